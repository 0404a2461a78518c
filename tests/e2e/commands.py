"""Commands of this machine, run to their end."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping


def run(
    *command: str, environment: Mapping[str, str], timeout: float, standard_input: str | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command for some seconds at most; with `check` it has to succeed, or tells what it printed."""
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
