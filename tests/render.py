"""Renders the template in memory, with Copier's own Jinja environment: one project, or every distinct set of files."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import jinja2

from tests.harness.coverage import Line, Origin
from tests.space import Answers, Space, picker
from tests.template import SUFFIX, Part, Source, Template
from tests.validators import PartedFiles

ANSWERS_FILE = ".copier-answers.yml"


Parts = tuple[bytes, ...]


class File(NamedTuple):
    content: bytes
    mode: int


@dataclass(frozen=True)
class Rendered:
    """Some files of a project, and the answers that decide them."""

    answers: Answers  # as a person gives them
    context: Mapping[str, Any]  # as the templates read them
    files: Mapping[str, bytes]

    def __str__(self) -> str:
        return " ".join(f"{name}={value!r}" for name, value in self.answers.items()) or "any answers"


class Renderer:
    def __init__(self, template: Template, space: Space) -> None:
        self.template = template
        self.space = space
        self._pieces: dict[Part, tuple[Callable[[Any], Any], dict[Any, bytes]]] = {}
        self._known_pairs: dict[frozenset[str], list[tuple[Answers, Answers]]] = {}
        self._interned: dict[tuple[str, Parts], tuple[str, Parts]] = {}
        self._memos: dict[Source, tuple[Callable[[Any], Any], dict[Any, tuple[str, Parts] | None]]] = {
            source: (picker(sorted(source.reads)), {}) for source in self._everything()
        }

        self._paths: dict[Source, tuple[Callable[[Any], Any], dict[Any, str]]] = {
            source: (picker(template.names_in(str(source.path))), {}) for source in template.sources
        }

    def context(self, answers: Answers) -> Mapping[str, Any]:
        """What templates read, asked and computed by Copier's worker."""
        worker = self.template.worker(answers)
        worker._ask()
        return worker._render_context()

    def project(self, answers: Answers) -> dict[str, File]:
        """The whole project, as Copier renders it; names of folders end in "/" and have no content."""
        context = self.context(answers)
        found: dict[str, File] = {}
        for source in self.template.sources:
            if path := self._path(source, context):
                found[path] = File(self._whole(source, context), source.mode)
        return found

    def distinct(self, *patterns: str, without: tuple[str, ...] = (), awkward: bool = True) -> list[Rendered]:
        """Every distinct set of contents that the files of these names can have together; "…/" is for folders."""
        found: dict[tuple[int, ...], Rendered] = {}
        for answers, context, files in self._sets(patterns, without, awkward=awkward):
            key = tuple(map(id, files))
            if key not in found:
                found[key] = Rendered(answers, context, _together(files))
        return list(found.values())

    def every(self, *patterns: str, awkward: bool = True) -> Iterator[Rendered]:
        """The files of these names for every combination, one at a time: there may be too many to keep."""
        for answers, context, files in self._sets(patterns, (), awkward=awkward):
            yield Rendered(answers, context, _together(files))

    def one(self, answers: Answers, context: Mapping[str, Any], *patterns: str) -> Rendered:
        """The files of these names for one combination."""
        found = filter(None, (self._file(source, context) for source in self._everything()))
        return Rendered(answers, context, _together([file for file in found if _matches(file[0], patterns)]))

    def each(self, *patterns: str, awkward: bool = True) -> Iterator[Rendered]:
        """Every distinct content of each file of these names, one at a time."""
        found: set[int] = set()
        for rendered, file in self._each(patterns, awkward=awkward):
            if id(file) not in found:
                found.add(id(file))
                yield rendered

    def neighbours(self, *patterns: str, awkward: bool = True) -> Iterator[Rendered]:
        """Enough files to hold every stretch of each file of these names next to each that can ever be next to it.

        To checks that look at a line, and at the blank lines around it, that is every distinct content.
        """
        found: set[tuple[str, Parts]] = set()
        for rendered, (path, parts) in self._each(patterns, awkward=awkward):
            windows = {(path, window) for window in _windows(parts)}
            if not windows <= found:
                found |= windows
                yield rendered

    def refuse_two_of_one_path(self) -> None:
        """With any answers: Copier would silently keep one of them."""
        making: dict[str, list[Source]] = {}
        for source in self._everything():
            for path in self.targets(source):
                if path[-1] != "/":
                    making.setdefault(path, []).append(source)
        for path, sources in making.items():
            names = frozenset(name for source in sources for name in self.template.names_in(str(source.path)))
            for answers, context in self._combinations(names, awkward=True) if len(sources) > 1 else ():
                if sum(self._path(source, context) == path for source in sources) > 1:
                    raise ValueError(f"two files of template/ render {path} with {answers}")

    def alone(self, source: Source, *, awkward: bool = True) -> Iterator[Rendered]:
        """Every distinct rendering of one file."""
        return (rendered for rendered, _ in self._alone(source, awkward=awkward))

    def origin(self, path: str, line: int, context: Mapping[str, Any]) -> str:
        """The template's file and line that make a line of a rendered file; that of the call, where a macro does."""
        for source in self.template.sources:
            if path in self.targets(source) and self._can_name(source, context) and self._path(source, context) == path:
                return next(place for place in reversed(self._origins(source, context)[:line]) if place)
        raise ValueError(f"nothing of the template makes {path} with these answers")

    def _origins(self, source: Source, context: Mapping[str, Any]) -> list[str]:
        name = self.template.name_of(source.path)
        if not source.is_template:
            return [f"{name}:{line}" for line, _ in enumerate((source.content or b"").split(b"\n"), 1)]
        template = self._telling.get_template(name)
        return _origins(template.root_render_func(template.new_context(dict(context))))

    @functools.cached_property
    def _telling(self) -> jinja2.Environment:
        return self.template.env.overlay(extensions=[Origin])

    def _can_name(self, source: Source, context: Mapping[str, Any]) -> bool:
        return context.keys() >= set(self.template.names_in(str(source.path)))

    def _each(self, patterns: tuple[str, ...], *, awkward: bool) -> Iterator[tuple[Rendered, tuple[str, Parts]]]:
        for source in self._everything():
            if source.content is not None and self._can_match(source, patterns, ()):
                for rendered, file in self._alone(source, awkward=awkward):
                    if _matches(file[0], patterns):
                        yield rendered, file

    def _alone(self, source: Source, *, awkward: bool) -> Iterator[tuple[Rendered, tuple[str, Parts]]]:
        found: set[int] = set()
        for answers, context in self._combinations(source.reads, awkward=awkward):
            file = self._file(source, context)
            if file and id(file) not in found:
                found.add(id(file))
                yield Rendered(answers, context, PartedFiles(dict([file]))), file

    def _sets(
        self, patterns: tuple[str, ...], without: tuple[str, ...], *, awkward: bool
    ) -> Iterator[tuple[Answers, Answers, list[tuple[str, Parts]]]]:
        sources = [source for source in self._everything() if self._can_match(source, patterns, without)]
        names = frozenset(name for source in sources for name in source.reads)
        alike: dict[frozenset[str], list[Source]] = {}
        for source in sources:
            alike.setdefault(source.reads, []).append(source)
        groups: list[tuple[Callable[[Any], Any], dict[Any, list[tuple[str, Parts]]], list[Source]]] = [
            (picker(sorted(reads)), {}, members) for reads, members in alike.items()
        ]
        for answers, context in self._combinations(names, awkward=awkward):
            files: list[tuple[str, Parts]] = []
            for pick, memo, members in groups:
                key = pick(context)
                if key not in memo:
                    found = filter(None, (self._file(source, context) for source in members))
                    memo[key] = [
                        file for file in found if _matches(file[0], patterns) and not _matches(file[0], without)
                    ]
                files += memo[key]
            if files:
                yield answers, context, files

    def _file(self, source: Source, context: Mapping[str, Any]) -> tuple[str, Parts] | None:
        """The path and the parts; equal ones are the same object."""
        pick, memo = self._memos[source]
        key = pick(context)
        if key not in memo:
            memo[key] = self._find_file(source, {name: context[name] for name in source.reads})
        return memo[key]

    def _find_file(self, source: Source, context: Mapping[str, Any]) -> tuple[str, Parts] | None:
        path = self._path(source, context)
        if not path:
            return None
        parts = tuple(filter(None, self._parts(source, context))) or (b"",)
        file = (path, parts)
        return self._interned.setdefault(file, file)

    def _parts(self, source: Source, context: Mapping[str, Any]) -> Iterator[bytes]:
        if not source.is_template:
            yield source.content or b""
        for part in source.parts:
            yield self._piece(part, context)

    def _piece(self, part: Part, context: Mapping[str, Any]) -> bytes:
        """Renders with the answers that a part is known to read; StrictUndefined refuses an overlooked one."""
        if part not in self._pieces:
            self._pieces[part] = (picker(part.reads), {})
        pick, memo = self._pieces[part]
        key = pick(context)
        if key not in memo:
            memo[key] = part.template.render({name: context[name] for name in part.reads}).encode()
        return memo[key]

    def _combinations(self, names: frozenset[str], *, awkward: bool) -> Iterable[tuple[Answers, Answers]]:
        return itertools.chain(self.space.combinations(names), self._pairs(names) if awkward else [])

    def _pairs(self, names: frozenset[str]) -> list[tuple[Answers, Answers]]:
        if names not in self._known_pairs:
            self._known_pairs[names] = self.space.pairs(names)
        return self._known_pairs[names]

    def _everything(self) -> Iterator[Source]:
        """All but the answers file, which reads every answer and is tested on its own."""
        return (source for source in self.template.sources if "_copier_answers" not in source.reads)

    @functools.cache  # noqa: B019
    def targets(self, source: Source) -> frozenset[str]:
        """The paths to which it can render."""
        names = self.template.names_in(str(source.path))
        paths = (self._path(source, context) for _, context in self.space.combinations(names))
        return frozenset(path for path in paths if path)

    def _can_match(self, source: Source, patterns: tuple[str, ...], without: tuple[str, ...]) -> bool:
        return any(_matches(path, patterns) and not _matches(path, without) for path in self.targets(source))

    def _whole(self, source: Source, context: Mapping[str, Any]) -> bytes:
        """One file as Copier renders it: at once, and with everything that it knows."""
        if not source.is_template:
            return source.content or b""
        return self.template.env.get_template(self.template.name_of(source.path)).render(context).encode()

    def _path(self, source: Source, context: Mapping[str, Any]) -> str:
        pick, memo = self._paths[source]
        key = pick(context)
        if key not in memo:
            memo[key] = self._find_path(source, context)
        return memo[key]

    def _find_path(self, source: Source, context: Mapping[str, Any]) -> str:
        if source.path.name == f"{{{{_copier_conf.answers_file}}}}{SUFFIX}":
            return ANSWERS_FILE
        parts = str(source.path).removesuffix(SUFFIX).split("/")
        rendered = [self.template.env.from_string(part).render(context) for part in parts]
        if not all(rendered):
            return ""
        path = str(PurePosixPath(*rendered))
        if not source.is_template and Path(self.template.folder, path + SUFFIX).exists():
            raise NotImplementedError(f"{path}{SUFFIX} at the template's root, for which Copier skips {source.path}")
        return path + "/" * (source.content is None)


def _origins(stretches: Iterable[str]) -> list[str]:
    """For each line, from where the first stretch comes that puts something on it."""
    found = [""]
    for stretch in stretches:
        assert isinstance(stretch, Line)
        pieces = stretch.split("\n")
        for index, piece in enumerate(pieces):
            if index:
                found.append("")
            if not found[-1] and (piece or index < len(pieces) - 1):
                found[-1] = f"{stretch.file}:{stretch.line + index * stretch.is_text}"
    return found


def _windows(parts: Parts) -> Iterator[Parts]:
    """The parts from one that holds a whole line of text to the next: what is on one side does not see the other."""
    window = [b""]
    for part in parts:
        window.append(part)
        if _holds_a_line(part):
            yield tuple(window)
            window = [part]
    yield (*window, b"")


@functools.cache
def _holds_a_line(part: bytes) -> bool:
    return bool(re.search(rb"\n[^\n]*\S[^\n]*\n", part))


def _together(files: list[tuple[str, Parts]]) -> PartedFiles:
    together = dict(files)
    if len(together) < len(files):
        seen: set[str] = set()
        for path, _ in files:
            if path in seen and path[-1] != "/":
                raise ValueError(f"two files of template/ render {path}")
            seen.add(path)
    return PartedFiles(together)


@functools.cache
def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path, pattern) and path.endswith("/") == pattern.endswith("/") for pattern in patterns)
