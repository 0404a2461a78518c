"""Runs a check once for all projects that are the same to it, without a walk through every combination of answers.

A check learns of a project what it asks: whether a file is there, what a function makes of one. What it is told follows
from few answers; which ones, shows what it is told for each combination of those that the files read. So it is enough
to walk through the combinations of what decides the questions of a check: nothing else can it ever be told.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tests.judge import findings
from tests.render import Rendered, Renderer
from tests.space import Answers, Value, picker
from tests.template import Part, Source
from tests.validators import Check, FileQuestion, Finding, Known, PartedFiles, Piecewise, Read, derive, holds

Names = frozenset[str]  # of answers and computed values
Context = Mapping[str, Any]
Row = tuple[Value, ...]


class Reach:
    """What checks can be told of the projects that a renderer makes."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer
        self.runs = 0
        self._defaults = renderer.space.complete({})[1]
        self._known: dict[Check, Known[FileQuestion]] = {}
        self._questions: dict[FileQuestion, _Question] = {}
        self._pieces: dict[tuple[object, ...], list[_Piece]] = {}
        self._finely: dict[Source, list[Part]] = {}
        self._cases: dict[Names, _Cases] = {}

    def every(self, check: Check) -> Iterator[tuple[Rendered, list[Finding]]]:
        """What the check finds, for each combination of what decides that; the other answers are the defaults."""
        names: Names = frozenset()
        while True:
            needed = set(names)
            found = [
                (answers, context, self._find(check, answers, context, names, needed))
                for answers, context in self._rows(names)
            ]
            found += [
                (answers, context, self._find(check, answers, context, frozenset(context), needed, is_usual=False))
                for answers, context in self._unusual(names)
            ]
            if names == needed:
                break
            names = frozenset(needed)
        for answers, context, what in found:
            yield self._project(answers) if what else Rendered(answers, context, {}), what

    def find(self, check: Check, answers: Answers, context: Context) -> list[Finding]:
        """What the check finds in one of all combinations."""
        return self._find(check, answers, context, frozenset(context), set())

    def _rows(self, names: Names) -> Iterable[tuple[Answers, Context]]:
        """The values that these can have together, each with the combination that has them and most defaults."""
        pick = picker(sorted(names))
        found: dict[Any, tuple[int, Answers, Context]] = {}
        for answers, context in self.renderer._combinations(names, awkward=False):
            row = pick(context)
            changed = sum(self._defaults[name] != value for name, value in answers.items())
            if row not in found or changed < found[row][0]:
                found[row] = (changed, answers, context)
        return [(answers, context) for _, answers, context in found.values()]

    def _unusual(self, names: Names) -> Iterator[tuple[Answers, Context]]:
        """Whole combinations with pairs of awkward values."""
        return (self.renderer.space.complete(answers) for answers, _ in self.renderer._pairs(names))

    def _find(
        self,
        check: Check,
        answers: Answers,
        context: Context,
        names: Names,
        needed: set[str],
        *,
        is_usual: bool = True,
    ) -> list[Finding]:
        """What is found where these names are known; nothing, for now, if others that decide it are needed too."""
        project: Rendered | None = None

        def told(question: FileQuestion) -> object:
            asked = self._question(question)
            if not asked.names <= names:
                needed.update(asked.names)
                if project is None:
                    raise _UndecidedError
            return asked.told(project.context if project else context, is_usual=is_usual)

        def run(note: Callable[[FileQuestion], None]) -> list[Finding]:
            nonlocal project
            project = self._project(answers)
            self.runs += 1
            return findings(check, Read(project.files, functools.partial(self._note, project, note, is_usual)))

        try:
            return self._known.setdefault(check, Known()).find(told, run)
        except _UndecidedError:
            return []

    def _note(
        self, project: Rendered, note: Callable[[FileQuestion], None], is_usual: bool, question: FileQuestion
    ) -> None:
        kind, path = question
        if isinstance(kind, Piecewise):
            told = _outcome(lambda files: derive(files, path, kind), project.files)
            if told != self._question(question).told(project.context, is_usual=is_usual):
                raise RuntimeError(f"{kind.function} makes of {path} something else than of its pieces")
        note(question)

    def _project(self, answers: Answers) -> Rendered:
        return self.renderer.one(*self.renderer.space.complete(answers), "*", "*/")

    def _question(self, question: FileQuestion) -> _Question:
        if question not in self._questions:
            self._questions[question] = self._ask(*question)
        return self._questions[question]

    def _ask(self, kind: Any, path: str) -> _Question:
        if kind == "at":
            sources = self._making(functools.partial(holds, path))
            always = [source for source in sources if not self._names(source)]
            return self._of_names(always[:1] or sources, lambda names: any(holds(path, name) for name in names))
        if not path:
            return self._of_names(self._making(kind), lambda names: tuple(filter(kind, names)))
        sources = self._making(lambda name: name == path)
        if kind == "in":
            return self._of_names(sources, lambda names: path in names)
        if isinstance(kind, Piecewise):
            pieces = [piece for source in sources for piece in self._pieces_of(source, kind)]
            return _Joined([self._of_piece(piece, path, kind) for piece in pieces], kind.join)
        reads = frozenset(name for source in sources for name in source.reads)
        return self._table(reads, functools.partial(self._of_file, sources, path, kind))

    def _making(self, wanted: Callable[[str], object]) -> list[Source]:
        return [source for source in self.renderer._everything() if any(map(wanted, self.renderer.targets(source)))]

    def _names(self, source: Source) -> tuple[str, ...]:
        return self.renderer.template.names_in(str(source.path))

    def _of_names(self, sources: list[Source], function: Callable[[list[str]], object]) -> _Question:
        reads = frozenset(name for source in sources for name in self._names(source))
        path = self.renderer._path
        return self._table(
            reads, lambda context: function([name for source in sources if (name := path(source, context))])
        )

    def _of_file(self, sources: list[Source], path: str, kind: Any, context: Context) -> object:
        for file in filter(None, (self.renderer._file(source, context) for source in sources)):
            if file[0] == path:
                return id(file[1]) if kind == "content" else derive(PartedFiles(dict([file])), path, kind)
        return None

    def _of_piece(self, piece: _Piece, path: str, kind: Piecewise[Any]) -> _Question:
        def told(context: Context) -> object:
            is_there = self.renderer._path(piece.source, context) == path
            return kind.function(self._text(piece, context)) if is_there else None

        return self._table(piece.reads, told)

    def _pieces_of(self, source: Source, kind: Piecewise[Any]) -> list[_Piece]:
        key = (source, kind.start, kind.is_whole)
        if key not in self._pieces:
            self._pieces[key] = list(self._cut(source, kind))
        return self._pieces[key]

    def _cut(self, source: Source, kind: Piecewise[Any]) -> Iterator[_Piece]:
        """What a file is made of, cut where a piece starts with all answers."""
        none = _Piece(source, (), frozenset(self._names(source)))
        stretches = list(_stretches(self._parts(source), kind))
        heads: list[set[bytes]] = [{b""}]  # how what follows each stretch can start, the last first
        for stretch in reversed(stretches[1:]):
            texts = self._texts(none.with_more(stretch))
            heads.append({text[:_SEEN] for text in texts if text} | (heads[-1] if b"" in texts else set()))
        piece = none
        for stretch in stretches:
            piece = piece.with_more(stretch)
            following = heads.pop()
            texts = self._texts(piece)
            if not heads or all(
                not text or (kind.is_whole(text) and _starts(kind, text[-_SEEN:], head))
                for text in texts
                for head in following
            ):
                yield piece
                piece = none

    def _parts(self, source: Source) -> list[Part] | list[bytes]:
        if not source.is_template:
            return [source.content or b""]
        if source not in self._finely:
            self._finely[source] = list(self.renderer.template.finely(source))
        return self._finely[source]

    def _texts(self, piece: _Piece) -> set[bytes]:
        return {
            self._text(piece, context)
            for context in self._cases_of(piece.reads).contexts()
            if self.renderer._path(piece.source, context)
        }

    def _text(self, piece: _Piece, context: Context) -> bytes:
        return b"".join(
            stretch if isinstance(stretch, bytes) else self.renderer._piece(stretch, context)
            for stretch in piece.stretches
        )

    def _table(self, reads: Names, function: Callable[[Context], object]) -> _Table:
        return _Table(self._cases_of(reads), function)

    def _cases_of(self, reads: Names) -> _Cases:
        if reads not in self._cases:
            self._cases[reads] = _Cases(self.renderer, reads)
        return self._cases[reads]


class _UndecidedError(Exception):
    """What a check is told next depends on more names than are known."""


class _Piece(NamedTuple):
    source: Source
    stretches: tuple[bytes | Part, ...]
    reads: Names  # to know what it becomes, and whether the file is there

    def with_more(self, stretch: bytes | Part) -> _Piece:
        more = stretch.reads if isinstance(stretch, Part) else ()
        return _Piece(self.source, (*self.stretches, stretch), self.reads.union(more))


_SEEN = 8  # of the text around a place, to see whether a piece starts there


def _starts(kind: Piecewise[Any], before: bytes, after: bytes) -> bool:
    return bool(kind.start.match(before + after, len(before)))


def _stretches(parts: Iterable[bytes | Part], kind: Piecewise[Any]) -> Iterator[bytes | Part]:
    """The parts of a file; plain text is cut at the first and last place where a piece starts."""
    for part in parts:
        if isinstance(part, Part) and part.reads:
            yield part
        else:
            text = part.template.render().encode() if isinstance(part, Part) else part
            places = [match.start() for match in kind.start.finditer(text)]
            yield from (text[start:end] for start, end in itertools.pairwise([0, *places[:1], *places[-1:], len(text)]))


class _Cases:
    """The values that some names can have together."""

    def __init__(self, renderer: Renderer, names: Names) -> None:
        self.names = sorted(names)
        self.row = _row(self.names)
        self.usual: dict[Row, Context] = {}
        for _, context in renderer._combinations(names, awkward=False):
            self.usual.setdefault(self.row(context), context)
        # Combinations with awkward values, each with those in which one answer less is given.
        self.unusual: list[tuple[Context, Mapping[str, Context]]] = []
        for answers, context in renderer._pairs(names):
            if self.row(context) not in self.usual:
                fewer = {
                    name: renderer.space.complete(
                        {other: value for other, value in answers.items() if other != name}, names
                    )[1]
                    for name in answers
                }
                self.unusual.append((context, fewer))

    def contexts(self) -> Iterator[Context]:
        yield from self.usual.values()
        for context, fewer in self.unusual:
            yield context
            yield from fewer.values()


class _Question:
    """Something that a check asks."""

    names: Names  # that decide what it is told

    def told(self, context: Context, *, is_usual: bool) -> object:
        """What it is told of projects with these answers and computed values."""
        raise NotImplementedError


class _Table(_Question):
    """A question about what several answers decide, of which in the end few do.

    Usual values were all tried together. What was tried of awkward ones is too little to tell that an answer does not
    matter, so for them the question is asked anew with all answers.
    """

    def __init__(self, cases: _Cases, function: Callable[[Context], object]) -> None:
        self._function = functools.partial(_outcome, function)
        self._row = cases.row
        self._unusual: dict[Row, object] = {}
        rows = {row: self._function(context) for row, context in cases.usual.items()}
        places = _decisive(rows)
        usual = [cases.names[place] for place in places]
        self._pick = _row(usual)
        self._usual = {tuple([row[place] for place in places]): told for row, told in rows.items()}
        self.names = frozenset(usual) | {
            name
            for context, fewer in cases.unusual
            for told in [self._function(context)]
            for name, without in fewer.items()
            if self._function(without) != told
        }

    def told(self, context: Context, *, is_usual: bool) -> object:
        """What it is told."""
        if is_usual:
            return self._usual[self._pick(context)]
        row = self._row(context)
        if row not in self._unusual:
            self._unusual[row] = self._function(context)
        return self._unusual[row]


class _Joined(_Question):
    """A question to the pieces of a file, each of which depends on less than the file."""

    def __init__(self, pieces: list[_Question], join: Callable[[Iterable[Any]], object]) -> None:
        self._join = join
        self._pieces = pieces
        self.names = frozenset(name for piece in pieces for name in piece.names)
        self._pick = _row(sorted(self.names))
        self._usual: dict[Row, object] = {}

    def told(self, context: Context, *, is_usual: bool) -> object:
        """What it is told."""
        if not is_usual:
            return self._put_together(context, is_usual=False)
        row = self._pick(context)
        if row not in self._usual:
            self._usual[row] = self._put_together(context, is_usual=True)
        return self._usual[row]

    def _put_together(self, context: Context, *, is_usual: bool) -> object:
        told = [piece.told(context, is_usual=is_usual) for piece in self._pieces]
        there = [one for one in told if one is not None]
        return self._join(there) if there else None


def _outcome(function: Callable[[Any], object], argument: Any) -> object:
    """What a function makes of something, or how it fails: a check that asks for it fails in the same way."""
    try:
        return function(argument)
    except Exception as error:  # noqa: BLE001
        return type(error), str(error)


def _row(names: list[str]) -> Callable[[Context], Row]:
    return lambda context: tuple([context[name] for name in names])


def _decisive(rows: Mapping[Row, object]) -> list[int]:
    """Few places in the rows on which what is told depends."""
    places: list[int] = []
    while conflict := _conflict(rows, places):
        places += _turning(rows, *conflict)
    for place in list(places):
        others = [other for other in places if other != place]
        if not _conflict(rows, others):
            places = others
    return places


def _conflict(rows: Mapping[Row, object], places: list[int]) -> tuple[Row, Row] | None:
    """Two rows that agree in these places, and not in what is told."""
    pick = picker(places)
    seen: dict[Any, tuple[Row, object]] = {}
    for row, told in rows.items():
        before, other = seen.setdefault(pick(row), (row, told))
        if told != other:
            return before, row
    return None


def _turning(rows: Mapping[Row, object], one: Row, other: Row) -> list[int]:
    """On the way from one row to another, the places after which something else is told."""
    changed: list[int] = []
    now = one
    for place in range(len(one)):
        if one[place] != other[place]:
            changed.append(place)
            now = (*now[:place], other[place], *now[place + 1 :])
            if now in rows:
                if rows[now] != rows[one]:
                    return changed
                changed = []
    raise AssertionError("two rows of which one is told two things")
