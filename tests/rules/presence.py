"""Rules about files that have to exist: those that a document links to, or a configuration means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import polars as pl

from tests.harness import Failure, Files, Problem, Projects, Rule
from tests.harness.projects import CONTENT, Column, joined, matches
from tests.harness.rules import fact_column
from tests.rules.ignore_patterns import ignoring


class Need(NamedTuple):
    """What a file needs of the others."""

    pattern: str  # is found in the path of a file
    problem: Problem  # what is wrong if there is no such file
    ignored: str = ""  # a path that need not exist if git ignores it

    def is_met(self, files: Files) -> bool:
        """Whether a project has such a file, or ignores it."""
        return any(self._matches(path) for path in files) or any(
            extract(files.get(".gitignore", b"")) for extract in self._ignoring()
        )

    def columns(self, projects: Projects) -> Iterator[Column]:
        """In which projects each such file exists, and in which they are ignored."""
        yield from (projects.presence(path) for path in projects.sources if self._matches(path))
        for extract in self._ignoring():
            (reads, table), values = fact_column(projects, ".gitignore", extract)
            is_ignored = [number is not None and values[number] for number in table[CONTENT].to_list()]
            yield Column(reads, table.with_columns(pl.Series(CONTENT, is_ignored).cast(pl.Int32)))

    def _matches(self, path: str) -> bool:
        return path[-1] != "/" and re.search(self.pattern, path) is not None

    def _ignoring(self) -> list[Callable[[bytes], bool]]:
        return [ignoring(self.ignored), ignoring(f"{self.ignored}/")] if self.ignored else []


class NeedRule(Rule):
    """Every file that a file needs exists."""

    def check(self, files: Files) -> list[Problem]:
        paths = [path for path in files if matches(path, self.patterns)]
        needs = [need for path in paths for need in self.function(path, files[path])]
        return [need.problem for need in needs if not need.is_met(files)]

    def run(self, projects: Projects) -> Iterator[Failure]:
        for path in projects.paths(*self.patterns):
            is_folder = path.endswith("/")
            table = (projects.presence(path) if is_folder else projects.column(path)).table
            numbers = [1] if is_folder else table[CONTENT].drop_nulls().unique().to_list()
            needs: dict[Need, list[int]] = {}
            for number in numbers:
                content = b"" if is_folder else projects.contents[number]
                for need in self.function(path, content) if projects.is_readable(path, content) else ():
                    needs.setdefault(need, []).append(number)
            for need, numbers in needs.items():
                rows = table.filter(pl.col(CONTENT).is_in(numbers)).drop(CONTENT)
                for column in sorted(need.columns(projects), key=lambda column: len({*column.reads} - {*rows.columns})):
                    rows = rows_where(projects, rows, column, 0)
                if rows.height:
                    yield Failure(need.problem, rows)


def need_rule(*patterns: str) -> Callable[[Callable[[str, bytes], Iterable[Need]]], NeedRule]:
    """A rule about the files that each file of these names needs."""
    return lambda function: NeedRule(function, patterns)


def rows_where(projects: Projects, rows: pl.DataFrame, column: Column, value: int) -> pl.DataFrame:
    """Those of some answers, with the ones that a column depends on, for which it has a value."""
    if rows.is_empty():
        return rows
    known = {name for name in rows.columns if name}
    if not known.issuperset(column.reads):
        every = projects.space.rows(known.union(column.reads))
        rows = rows.join(every, on=sorted(known), nulls_equal=True) if known else every
    return joined(rows, column).filter(pl.col(CONTENT).fill_null(0) == value).drop(CONTENT)
