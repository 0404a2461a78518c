"""Checks of rendered files: each takes files by path and gives findings, so broken samples can be fed to it too."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar, cast

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


# What is asked of a project, and the path: "in", "at" or "content", or a function of the content; with no path, a
# function that chooses names.
FileQuestion = tuple[Any, str]
_Parts = tuple[bytes, ...]


def named(files: Files, wanted: Callable[[str], object]) -> list[str]:
    """The names that a function chooses: a check that needs no others does not depend on them."""
    if isinstance(files, Read):
        files.note((wanted, ""))
        files = files.files
    return [path for path in files if wanted(path)]


def is_at(files: Files, path: str) -> bool:
    """Whether there is a file of this name, or a folder that holds one."""
    if isinstance(files, Read):
        files.note(("at", path))
        files = files.files
    return any(holds(path, name) for name in files)


def holds(path: str, name: str) -> bool:
    """Whether a file has this path or is below it."""
    return name[-1] != "/" and (name == path or name.startswith(path + "/"))


class Piecewise(Generic[T]):
    """A function of a file that looks at pieces of it, one by one: of a long file, each depends on few answers.

    Args:
        function: what is made of a piece, or of several that follow each other.
        join: makes one answer of those for all pieces.
        start: matches, without taking anything, where a piece starts that knows nothing of what stands before.
        is_whole: whether a piece ends where the next starts, and not within something.
    """

    def __init__(
        self,
        function: Callable[[bytes], T],
        join: Callable[[Iterable[T]], T],
        start: bytes = rb"(?<=\n)",
        is_whole: Callable[[bytes], bool] = bool,
    ) -> None:
        self.function = function
        self.join = join
        self.start = re.compile(start, re.MULTILINE)
        self.is_whole = is_whole

    def __call__(self, content: bytes) -> T:
        """What it makes of a whole file."""
        return self.join([self.function(content)])


def each_once(found: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(item for items in found for item in items))


def by_line(function: Callable[[bytes], tuple[T, ...]]) -> Piecewise[tuple[T, ...]]:
    """A function that finds something in single lines."""
    return Piecewise(function, each_once)


def derive(files: Files, path: str, function: Callable[[bytes], T]) -> T | None:
    """What a function makes of a file: a check that needs no more than that does not depend on all of the file."""
    if isinstance(files, Read):
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

    def __init__(self, parts: dict[str, _Parts]) -> None:
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


def every(_: str) -> bool:
    """Chooses all names."""
    return True


def unread(files: Files) -> Mapping[str, bytes | _Parts]:
    """The contents to look up by, without putting them together from their parts."""
    return files.parts if isinstance(files, PartedFiles) else files


class Read(Mapping[str, bytes]):
    """Files that note what is read of them."""

    def __init__(self, files: Files, note: Callable[[FileQuestion], None]) -> None:
        self.files = files
        self.note = note

    def __getitem__(self, path: str) -> bytes:
        self.note(("content", path))
        return self.files[path]

    def __contains__(self, path: object) -> bool:
        self.note(("in", str(path)))
        return path in self.files

    def __iter__(self) -> Iterator[str]:
        self.note((every, ""))
        return iter(self.files)

    def __len__(self) -> int:
        self.note((every, ""))
        return len(self.files)


def lines(content: bytes) -> Iterator[tuple[str, str]]:
    """Line numbers and lines."""
    return ((str(number), line) for number, line in enumerate(content.decode().split("\n"), 1))
