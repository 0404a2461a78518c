"""Which tests need not run again: those that have passed with the same files, tools and interpreter.

A test depends on its own module with all that it imports of `tests`, and on every other file of the repository but the
documentation of the template, which no test of these reads.
"""

from __future__ import annotations

import ast
import functools
import os
import subprocess
from pathlib import Path

from tests import verdicts
from tests.template import ROOT, known_to_git

_TOOLS = (("make", "--version"), ("git", "--version"), ("bash", "--version"))


def key(test: str) -> str:
    """What stands for a test, given as pytest names it, with everything on which it depends."""
    module = test.partition("::")[0]
    return verdicts.key_of(test, _files(module))


def key_of_counts(arguments: list[str]) -> str:
    """What stands for the numbers that a run of these tests prints."""
    return verdicts.key_of("counts", arguments, _files())


@functools.cache
def _files(module: str | None = None) -> str:
    known = _known()
    others = {path for path in known if path.startswith("tests/") and path.endswith(".py")}
    needed = others if module is None else imported(module)
    return verdicts.key_of(
        [[path, digest] for path, digest in known.items() if path not in others or path in needed],
        verdicts.code(),
        [subprocess.run(tool, capture_output=True, check=True).stdout for tool in (*_TOOLS, ("git", "tag"))],
    )


def look() -> None:
    """Read the files now: what passes later has passed with these, though they may change meanwhile."""
    _known()


@functools.cache
def _known() -> dict[str, str]:
    """The content and mode of each file that git knows, or would, by path."""
    paths = [path for path in known_to_git() if not path.startswith("docs/") and (ROOT / path).is_file()]
    return {path: verdicts.key_of((ROOT / path).read_bytes(), str(os.access(ROOT / path, os.X_OK))) for path in paths}


@functools.cache
def imported(module: str) -> frozenset[str]:
    """The files of `tests` that run with a module: itself, what it imports, what pytest loads with it."""
    found: set[str] = set()
    pending = [module, "tests/conftest.py"]
    while pending:
        path = pending.pop()
        if path not in found and (ROOT / path).is_file():
            found.add(path)
            pending += _imports(ROOT / path)
    return frozenset(found)


def _imports(path: Path) -> list[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {item.name for item in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{item.name}" for item in node.names)}
    own = [name.replace(".", "/") for name in names if name.split(".")[0] == "tests"]
    return [f"{name}{end}" for name in own for end in (".py", "/__init__.py")]
