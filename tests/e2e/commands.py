"""Commands of this machine, run to their end, and conditions that come true in time."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

TIMEOUT = 240
"""Seconds, far beyond what anything takes: a test that fails ends."""

T = TypeVar("T")


def run(
    *command: str,
    environment: Mapping[str, str],
    timeout: float,
    standard_input: str | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command with a time limit; with `check` it must succeed, or its output is reported."""
    done = subprocess.run(
        command,
        env=environment,
        input=standard_input,
        stdin=subprocess.DEVNULL if standard_input is None else None,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert not (check and done.returncode), f"{' '.join(command)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done


def wait_for(condition: Callable[[], T], explain: Callable[[], str] = str) -> T:
    """Return the value of a condition as soon as it is true; if it never is, explain."""
    deadline = time.monotonic() + TIMEOUT
    while not (found := condition()):
        assert time.monotonic() < deadline, f"It never happened. {explain()}"
        time.sleep(0.1)
    return found
