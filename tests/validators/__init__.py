"""Checks of rendered files: each takes files by path and gives findings, so broken samples can be fed to it too."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast

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
T = TypeVar("T", bound=Hashable)


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
        self._known = Known[_FileQuestion]()

    def __call__(self, files: Files) -> Iterable[Finding]:
        parted = files if isinstance(files, PartedFiles) else PartedFiles({path: (files[path],) for path in files})
        return self._known.find(parted.answer, lambda note: list(self._check(_Read(parted, note))))


_FileQuestion = tuple[Any, str]  # "paths", "in", "content" or a function of the content, and the path
_Parts = tuple[bytes, ...]


def derive(files: Files, path: str, function: Callable[[bytes], T]) -> T | None:
    """What a function makes of a file: a check that needs no more than that does not depend on all of the file."""
    if isinstance(files, _Read):
        files.note((function, path))
        files = files.files
    if path not in files:
        return None
    content = unread(files)[path]
    return cast(T, _derived(function, content if isinstance(content, tuple) else (content,)))


_known_derived: dict[tuple[object, int], tuple[_Parts, object]] = {}


def _derived(function: Callable[[bytes], object], parts: _Parts) -> object:
    # By identity, because a hash of many parts takes long; kept with the parts, so that no others ever have their id.
    key = (function, id(parts))
    if key not in _known_derived:
        _known_derived[key] = (parts, _derived_of_equal(function, parts))
    return _known_derived[key][1]


@functools.cache
def _derived_of_equal(function: Callable[[bytes], object], parts: _Parts) -> object:
    return function(b"".join(parts))


class PartedFiles(Mapping[str, bytes]):
    """Files by path, each kept as the parts of which it is made: many files share most of theirs."""

    _contents: ClassVar[dict[_Parts, int]] = {}
    _alike: ClassVar[dict[int, tuple[_Parts, int]]] = {}
    _sets_of_paths: ClassVar[dict[tuple[str, ...], int]] = {}

    def __init__(self, parts: dict[str, _Parts]) -> None:
        self.parts = parts
        self._paths: int | None = None

    def answer(self, question: _FileQuestion) -> object:
        """What a check is told, or a number that stands for it: equal answers have one number."""
        kind, path = question
        if kind == "paths":
            if self._paths is None:
                self._paths = self._sets_of_paths.setdefault(tuple(self.parts), len(self._sets_of_paths))
            return self._paths
        if kind == "in":
            return path in self.parts
        parts = self.parts.get(path)
        if parts is None:
            return None
        if kind != "content":
            return _derived(kind, parts)
        if id(parts) not in self._alike:
            self._alike[id(parts)] = (parts, self._contents.setdefault(parts, len(self._contents)))
        return self._alike[id(parts)][1]

    def __getitem__(self, path: str) -> bytes:
        parts = self.parts[path]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def __contains__(self, path: object) -> bool:
        return path in self.parts

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)


def unread(files: Files) -> Mapping[str, bytes | _Parts]:
    """The contents to look up by, without putting them together from their parts."""
    return files.parts if isinstance(files, PartedFiles) else files


class _Read(Mapping[str, bytes]):
    """Files that note what is read of them."""

    def __init__(self, files: Files, note: Callable[[_FileQuestion], None]) -> None:
        self.files = files
        self.note = note

    def __getitem__(self, path: str) -> bytes:
        self.note(("content", path))
        return self.files[path]

    def __contains__(self, path: object) -> bool:
        self.note(("in", str(path)))
        return path in self.files

    def __iter__(self) -> Iterator[str]:
        self.note(("paths", ""))
        return iter(self.files)

    def __len__(self) -> int:
        self.note(("paths", ""))
        return len(self.files)


def lines(content: bytes) -> Iterator[tuple[str, str]]:
    """Line numbers and lines."""
    return ((str(number), line) for number, line in enumerate(content.decode().split("\n"), 1))
