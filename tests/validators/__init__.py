"""Checks of rendered files: each takes files by path and gives findings, so broken samples can be fed to it too."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar, cast

Files = Mapping[str, bytes]


class Finding(NamedTuple):
    path: str
    where: str  # a line number, or a pointer into the document
    check: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.where}: {self.message} [{self.check}]"


Check = Callable[[Files], Iterable[Finding]]


Question = TypeVar("Question", bound=Hashable)


class Known(Generic[Question]):
    """Findings, by the answers to the questions that were asked on the way to them.

    What is asked next depends on nothing but the answers before, so the questions make a tree.
    """

    __slots__ = ("_findings", "_next", "_question")

    def __init__(self) -> None:
        self._question: Question | None = None
        self._next: dict[object, Known[Question]] | None = None
        self._findings: list[Finding] | None = None

    def find(
        self, answer: Callable[[Question], object], run: Callable[[Callable[[Question], None]], list[Finding]]
    ) -> list[Finding]:
        """What is known for these answers, or what `run` finds, which tells of each question that it asks."""
        place = self
        while place._findings is None:
            after = None if place._next is None else place._next.get(answer(cast(Question, place._question)))
            if after is None:
                return self._learn(answer, run)
            place = after
        return place._findings

    def _learn(
        self, answer: Callable[[Question], object], run: Callable[[Callable[[Question], None]], list[Finding]]
    ) -> list[Finding]:
        asked: dict[Question, None] = {}
        findings = run(lambda question: asked.update({question: None}))
        place = self
        for question in asked:
            if place._findings is not None or place._question not in (None, question):
                raise RuntimeError("a check asked something else after the same answers")
            place._question = question
            place._next = {} if place._next is None else place._next
            place = place._next.setdefault(answer(question), Known())
        place._findings = findings
        return findings


class Once:
    """A check that runs once for all files that are equal in what it reads of them."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._known = Known[tuple[str, str]]()

    def __call__(self, files: Files) -> Iterable[Finding]:
        def answer(question: tuple[str, str]) -> object:
            kind, path = question
            if kind == "paths":
                return tuple(files)
            if kind == "in":
                return path in files
            return files.parts.get(path) if isinstance(files, PartedFiles) else files.get(path)

        return self._known.find(answer, lambda note: list(self._check(_Read(files, note))))


class PartedFiles(Mapping[str, bytes]):
    """Files by path, each kept as the parts of which it is made: many files share most of theirs."""

    def __init__(self, parts: dict[str, tuple[bytes, ...]]) -> None:
        self.parts = parts

    def __getitem__(self, path: str) -> bytes:
        parts = self.parts[path]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def __contains__(self, path: object) -> bool:
        return path in self.parts

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)


class _Read(Mapping[str, bytes]):
    """Files that note what is read of them."""

    def __init__(self, files: Files, note: Callable[[tuple[str, str]], None]) -> None:
        self._files = files
        self._note = note

    def __getitem__(self, path: str) -> bytes:
        self._note(("content", path))
        return self._files[path]

    def __contains__(self, path: object) -> bool:
        self._note(("in", str(path)))
        return path in self._files

    def __iter__(self) -> Iterator[str]:
        self._note(("paths", ""))
        return iter(self._files)

    def __len__(self) -> int:
        self._note(("paths", ""))
        return len(self._files)


def lines(content: bytes) -> Iterator[tuple[str, str]]:
    """Line numbers and lines."""
    return ((str(number), line) for number, line in enumerate(content.decode().split("\n"), 1))
