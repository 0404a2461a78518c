"""Linters that print what they find as JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.harness import Files, Problem
from tests.rules.languages.folders import write_all
from tests.toolchains import tool


def lint(
    batch: Sequence[Files], scratch: Path, name: str, *options: str, read: Callable[[Any], tuple[str, str, int]]
) -> Iterator[list[Problem]]:
    """A linter's findings in all files, each set in a separate folder; read returns path, message and line."""
    write_all(batch, scratch)
    paths = [f"{number}/{path}" for number, files in enumerate(batch) for path in files]
    done = subprocess.run([tool(name), *options, *paths], capture_output=True, check=False, cwd=scratch)
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(done.stderr.decode())
    found: list[list[Problem]] = [[] for _ in batch]
    for item in json.loads(done.stdout):
        place, message, line = read(item)
        number, _, path = place.partition("/")
        found[int(number)].append(Problem(path, message, str(line)))
    yield from found
