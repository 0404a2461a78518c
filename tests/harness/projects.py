"""All projects that the template renders: a row of the table is a project, a file is a column of its contents."""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import jinja2
import numpy as np
import polars as pl

from tests.harness.coverage import Line, Origin
from tests.harness.space import IS_EDGE_CASE, Answers, Space
from tests.harness.template import ANSWERS_FILE, SUFFIX, Source, Template

Files = Mapping[str, bytes]  # contents by path; the path of a folder ends in "/", and it has no content
CONTENT = "content"


class File(NamedTuple):
    content: bytes
    mode: int


@dataclass(frozen=True)
class Sample:
    """Files of one project, and the answers that decide them."""

    context: Answers  # as the templates read them
    files: Files

    def __str__(self) -> str:
        return " ".join(f"{name}={value!r}" for name, value in self.context.items()) or "any answers"


class Column(NamedTuple):
    """What depends on few answers: a row of the table for each combination of them, with a number for the value."""

    reads: list[str]
    table: pl.DataFrame  # the answers that are read, and the number, null where the project has no such file


class Projects:
    def __init__(
        self, template: Template, space: Space, is_readable: Callable[[str, bytes], bool] = lambda _, __: True
    ) -> None:
        """Render the template in memory.

        Args:
            template: what is rendered.
            space: the answers.
            is_readable: whether a file follows the syntax of its format; no rule sees one that does not.
        """
        self.template = template
        self.space = space
        self.is_readable = is_readable
        self.contents: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self.exhaustive = False  # whether tools see every distinct set of files, not a sample
        self.counts: dict[str, str] = {}  # printed at the end
        self.sources: dict[str, list[Source]] = {}
        for source in template.sources:
            if not source.is_answers_file:
                for path in self._targets(source):
                    self.sources.setdefault(path, []).append(source)

    def count(self, what: str, number: int | str) -> None:
        """Have a number printed at the end."""
        self.counts[what] = number if isinstance(number, str) else f"{number:,}"

    def paths(self, *patterns: str, without: Iterable[str] = ()) -> list[str]:
        """The paths of all projects that match a pattern; "…/" is for folders."""
        return sorted(path for path in self.sources if matches(path, patterns) and not matches(path, tuple(without)))

    def render(self, answers: Mapping[str, Any]) -> dict[str, File]:
        """One whole project, asked and rendered as Copier does."""
        context = self.context(answers)
        found: dict[str, File] = {}
        for source in self.template.sources:
            if path := self.path(source, context):
                found[path] = File(self.body(source, context), source.mode)
        return found

    def context(self, answers: Mapping[str, Any]) -> Mapping[str, Any]:
        """What templates read, asked and computed by Copier's worker."""
        worker = self.template.worker(answers)
        worker._ask()
        return worker._render_context()

    @functools.cache  # noqa: B019
    def column(self, path: str) -> Column:
        """The contents of a file, by number."""
        reads = sorted({name for source in self.sources[path] for name in source.reads & self.space.questions.keys()})
        keys = self.space.rows(reads)
        numbers = [self._number(path, self.space.context(row)) for row in keys.iter_rows(named=True)]
        return Column(reads, keys.with_columns(pl.Series(CONTENT, numbers, dtype=pl.Int32)))

    @functools.cache  # noqa: B019
    def presence(self, path: str) -> Column:
        """Whether a file or folder is there."""
        reads = sorted({name for source in self.sources[path] for name in source.name_reads})
        keys = self.space.rows(reads)
        contexts = map(self.space.context, keys.iter_rows(named=True))
        present = [any(self.path(source, context) == path for source in self.sources[path]) for context in contexts]
        return Column(reads, keys.with_columns(pl.Series(CONTENT, present).cast(pl.Int32)))

    def each(self, *patterns: str) -> Iterator[tuple[str, int]]:
        """Every distinct content of each file of these names: its path and number."""
        for path in self.paths(*patterns):
            if not path.endswith("/"):
                for number in self.column(path).table[CONTENT].drop_nulls().unique().sort().to_list():
                    yield path, number

    def sets(self, *patterns: str, without: Iterable[str] = ()) -> tuple[list[str], pl.DataFrame]:
        """Every distinct set of contents that files of these names have together: their paths, and a row a set.

        The row is of one project that has the set, and has the number of the content of each path.
        """
        paths = [path for path in self.paths(*patterns, without=without) if path[-1] != "/"]
        columns = [self.column(path) for path in paths]
        reads = {name for column in columns for name in column.reads}
        table = self.space.rows(reads, *(name for name in self.space.table.columns if name not in reads))
        for group in grouped(zip(paths, columns, strict=True)):
            table = joined(table, group)
        some = table.filter(pl.any_horizontal(pl.col(paths).is_not_null()))
        return paths, some.unique(paths, keep="first", maintain_order=True)

    def distinct(self, *patterns: str, without: Iterable[str] = (), edge_cases: bool = True) -> list[Sample]:
        """Every distinct set of contents that files of these names have together."""
        paths, table = self.sets(*patterns, without=without)
        return self.samples(paths, table if edge_cases else table.filter(~pl.col(IS_EDGE_CASE)))

    def sample(self, *patterns: str, without: Iterable[str] = ()) -> list[Sample]:
        """Few sets that hold every distinct content of typical answers, every triple of these, and every edge case."""
        paths, table = self.sets(*patterns, without=without)
        reads = sorted({name for path in paths for name in self.column(path).reads})
        typical, edge_cases = table.filter(~pl.col(IS_EDGE_CASE)), table.filter(pl.col(IS_EDGE_CASE))
        chosen = [
            typical[covering(typical.select(*reads, *paths), paths, 3)],
            edge_cases[covering(edge_cases.select(reads), [], 1)],
        ]
        return self.samples(paths, pl.concat(chosen))

    def samples(self, paths: Sequence[str], table: pl.DataFrame) -> list[Sample]:
        """The sets of these rows; those with a file that no reader of its format could read are left out."""
        found = []
        for row in table.iter_rows(named=True):
            files = {path: self.contents[row[path]] for path in paths if row[path] is not None}
            if all(itertools.starmap(self.is_readable, files.items())):
                found.append(Sample(self.space.context(row), files))
        return found

    def origin(self, path: str, line: int, context: Mapping[str, Any]) -> str:
        """The template's file and line that make a line of a rendered file; that of the call, where a macro does."""
        for source in self.sources.get(path, ()):
            if self.path(source, context) == path:
                return next((place for place in reversed(self.origins(source, context)[:line]) if place), path)
        raise ValueError(f"nothing of the template makes {path} with these answers")

    def origins(self, source: Source, context: Mapping[str, Any]) -> list[str]:
        """For each line of a rendered file, the template's line from which its first stretch comes."""
        name = self.template.jinja_name(source.path)
        if not source.is_template:
            return [f"{name}:{line}" for line, _ in enumerate((source.content or b"").split(b"\n"), 1)]
        template = self._with_origins.get_template(name)
        return _origins(template.root_render_func(template.new_context(dict(context))))

    @functools.cached_property
    def _with_origins(self) -> jinja2.Environment:
        return self.template.env.overlay(extensions=[Origin])

    def body(self, source: Source, context: Mapping[str, Any]) -> bytes:
        """What a file of the template renders to."""
        if not source.is_template:
            return source.content or b""
        return self.template.env.get_template(self.template.jinja_name(source.path)).render(context).encode()

    def path(self, source: Source, context: Mapping[str, Any]) -> str:
        """Where a file of the template is rendered to; nowhere if empty."""
        if source.is_answers_file:
            return ANSWERS_FILE
        return self._path(source, tuple((name, context[name]) for name in sorted(source.name_reads)))

    @functools.cache  # noqa: B019
    def _path(self, source: Source, named: tuple[tuple[str, Any], ...]) -> str:
        parts = str(source.path).removesuffix(SUFFIX).split("/")
        rendered = [self.template.env.from_string(part).render(dict(named)) for part in parts]
        if not all(rendered):
            return ""
        path = str(PurePosixPath(*rendered))
        if not source.is_template and Path(self.template.folder, path + SUFFIX).exists():
            raise NotImplementedError(f"{path}{SUFFIX} at the template's root, for which Copier skips {source.path}")
        return path + "/" * (source.content is None)

    def _targets(self, source: Source) -> set[str]:
        rows = self.space.rows(source.name_reads).iter_rows(named=True)
        return {self.path(source, self.space.context(row)) for row in rows} - {""}

    def _only(self, path: str, context: Answers) -> Source | None:
        found = [source for source in self.sources[path] if self.path(source, context) == path]
        if len(found) > 1:
            raise ValueError(f"two files of template/ render {path} with {context}")
        return found[0] if found else None

    def _number(self, path: str, context: Answers) -> int | None:
        """Renders with the answers that a file is known to read; StrictUndefined refuses an overlooked one."""
        source = self._only(path, context)
        if source is None:
            return None
        content = self.body(source, context)
        number = self._numbers.setdefault(content, len(self.contents))
        if number == len(self.contents):
            self.contents.append(content)
        return number


def grouped(columns: Iterable[tuple[str, Column]]) -> Iterator[Column]:
    """One column for all that depend on the same answers: named as given, not `CONTENT`."""
    alike: dict[tuple[str, ...], pl.DataFrame] = {}
    for name, (reads, table) in columns:
        named = table.rename({CONTENT: name})
        key = tuple(reads)
        alike[key] = alike[key].join(named, on=reads or [""], nulls_equal=True) if key in alike else named
    return (Column(list(reads), table) for reads, table in alike.items())


def joined(table: pl.DataFrame, column: Column) -> pl.DataFrame:
    """The table with the values of a column for the answers of each row."""
    if column.reads:
        return table.join(column.table, on=column.reads, how="left", nulls_equal=True, maintain_order="left")
    return table.join(column.table.drop(""), how="cross", maintain_order="left")


def covering(table: pl.DataFrame, paths: Sequence[str], strength: int) -> list[int]:
    """Few rows that hold every value of the paths, and every tuple of values of the other columns: greedily chosen."""
    if table.is_empty():
        return []
    codes = {
        name: table[name].to_physical().rank("dense").fill_null(0).to_numpy().astype(np.int64) for name in table.columns
    }
    axes = _independent({name: code for name, code in codes.items() if name not in paths and code.max() > 1})
    features = []
    offset = 0
    for names in (*itertools.combinations(axes, min(strength, len(axes))), *((path,) for path in paths)):
        code = np.zeros(table.height, np.int64)
        for name in names:
            code = code * (codes[name].max() + 1) + codes[name]
        values, numbers = np.unique(code, return_inverse=True)
        features.append((numbers + offset).astype(np.int32))
        offset += len(values)
    rows = np.stack(features, axis=1)
    missing = np.ones(offset, np.int32)
    queue = [(-rows.shape[1], index) for index in range(len(rows))]
    chosen = []
    while queue:
        _, index = heapq.heappop(queue)
        gain = int(missing[rows[index]].sum())
        if gain and queue and -gain > queue[0][0]:  # what it added has been found in others meanwhile
            heapq.heappush(queue, (-gain, index))
        elif gain:
            chosen.append(index)
            missing[rows[index]] = 0
    return sorted(chosen)


def _independent(codes: dict[str, np.ndarray[Any, Any]]) -> list[str]:
    """The columns whose values do not follow from those of another one that is kept."""
    kept: list[str] = []
    for name in sorted(codes, key=lambda name: -int(codes[name].max())):
        width = codes[name].max() + 1
        if not any(
            len(np.unique(codes[other] * width + codes[name])) == len(np.unique(codes[other])) for other in kept
        ):
            kept.append(name)
    return kept


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


@functools.cache
def matches(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a path matches a pattern; only a pattern that ends in "/" matches folders."""
    return any(fnmatchcase(path, pattern) and path.endswith("/") == pattern.endswith("/") for pattern in patterns)
