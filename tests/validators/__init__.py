"""Checks of rendered files: each takes files by path and gives findings, so broken samples can be fed to it too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

Files = Mapping[str, bytes]


class Finding(NamedTuple):
    path: str
    where: str  # a line number, or a pointer into the document
    check: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.where}: {self.message} [{self.check}]"


Check = Callable[[Files], Iterable[Finding]]


def lines(content: bytes) -> Iterator[tuple[str, str]]:
    """Line numbers and lines."""
    return ((str(number), line) for number, line in enumerate(content.decode().split("\n"), 1))
