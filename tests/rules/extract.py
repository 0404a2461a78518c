"""What rules of several subjects take from files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any


class Matching:
    """Gives the first group of the first match of a pattern in a file, or None."""

    def __init__(self, pattern: str) -> None:
        self.where = pattern
        self.pattern = re.compile(pattern, re.MULTILINE)

    def __call__(self, content: bytes) -> str | None:
        """What is found."""
        found = self.pattern.search(content.decode())
        return found[1] if found else None


class AllMatching(Matching):
    """Gives what a pattern finds in a file, each once, sorted; None if nothing."""

    def __call__(self, content: bytes) -> Any:
        """What is found."""
        return tuple(sorted(set(self.pattern.findall(content.decode())))) or None


def the_same(values: Iterable[str]) -> str | tuple[str, ...]:
    """The value that all have, or else all their values."""
    found = tuple(sorted(set(values)))
    return found[0] if len(found) == 1 else found


def variable(name: str) -> Matching:
    """Gives a variable of a Makefile."""
    return Matching(f"^{name} :?= (.*)$")


def settings(content: bytes) -> dict[str, str]:
    """The settings of a file with NAME=value in each line."""
    return dict(line.split("=", 1) for line in content.decode().splitlines())


explained_variables = AllMatching("`([A-Z][A-Z0-9_]+)`")
"""Gives the variables that a document names."""
