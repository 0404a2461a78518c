"""Rules that every project follows, the facts that they read, and the faults that they reject."""

from __future__ import annotations

import functools
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple, Self, TypeVar

import polars as pl

from tests.harness.documents import Edit, NotFoundError
from tests.harness.projects import CONTENT, Column, Files, Projects, Sample, grouped, joined, matches
from tests.harness.space import as_row


class Problem(NamedTuple):
    """A problem that a rule finds in a file."""

    path: str
    message: str
    where: str = ""  # see `documents.line_of`

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


Problems = Iterable[Problem]


class Failure(NamedTuple):
    """A problem, and the projects that have it."""

    problem: Problem
    rows: pl.DataFrame  # of some answers
    sampled: pl.DataFrame | None = None  # the projects that were looked at, if not all


class Fact:
    """Something that a rule reads.

    Args:
        pattern: a path, or a pattern with `*`, `?` or `[`.
        extract: makes of a file's content what the rule has to know of it; the less that is, the fewer times the rule
            runs. Without it, the fact is whether the file exists.

    A rule is given what is extracted, or None where there is no such file; of a pattern a mapping by path, without
    those of which None is extracted. Without `extract`, it is given whether the file exists, or of a pattern the paths
    that do.
    """

    def __init__(self, pattern: str, extract: Callable[[bytes], Any] | None = None) -> None:
        self.pattern = pattern
        self.extract = extract

    def of(self, files: Files) -> Any:
        """What it is in one project."""
        extract = self.extract or (lambda _: True)
        return self.given({path: extract(files[path]) for path in sorted(files) if matches(path, (self.pattern,))})

    def given(self, values: Mapping[str, Any]) -> Any:
        """The argument of a rule, from the facts of each file."""
        is_pattern = any(letter in self.pattern for letter in "*?[")
        present = {path: value for path, value in values.items() if value is not None}
        if self.extract is None:
            return list(present) if is_pattern else bool(present)
        return present if is_pattern else present.get(self.pattern)


class Fault(NamedTuple):
    """A change of a good project, and the rules that find it wrong: none, if it only looks so."""

    title: str
    edits: tuple[tuple[str, Edit], ...]
    rules: frozenset[str]
    project: str | None  # the reference project; the first to which the edits apply, if none
    message: str = ""

    def apply(self, files: Files) -> dict[str, bytes]:
        """The files with the fault.

        Raises:
            NotFoundError: the files have nothing of what is changed.

        """
        broken = dict(files)
        for path, edit in self.edits:
            broken[path] = edit(path, broken.get(path))
            if broken[path] == files.get(path):
                raise NotFoundError(f"{path} is not changed")
        return broken

    def test(self, rules: Iterable[Rule], references: Mapping[str, Files]) -> None:
        """See that the right rules find it, and no others."""
        missing = []
        for name, files in references.items():
            try:
                broken = self.apply(files) if self.project in (None, name) else None
            except NotFoundError as error:
                missing.append(str(error))
                continue
            if broken is not None:
                changed = [path for path in {*files, *broken} if files.get(path) != broken.get(path)]
                found = {rule: set(rule.check(broken)) for rule in rules if rule.reads(changed)}
                if {rule.name for rule, problems in found.items() if problems} != self.rules:
                    # Problems of the unmodified project are reported by another test.
                    found = {rule: problems and problems - set(rule.check(files)) for rule, problems in found.items()}
                seen = [f"{one} [{rule.name}]" for rule, some in found.items() for one in some]
                reported = "; ".join(seen) or "nothing"
                is_exact = {rule.name for rule, problems in found.items() if problems} == self.rules
                assert is_exact, f"found in the project {name!r}: {reported}"
                assert self.message in reported, reported
                return
        raise AssertionError(f"update this fault: not found in any reference project: {', '.join(set(missing))}")


class Rule:
    """Something that every project follows."""

    def __init__(self, function: Callable[..., Any], patterns: Iterable[str]) -> None:
        if not function.__doc__:
            raise TypeError(f"the rule {function.__name__} has no docstring that states it")
        self.function = function
        self.name = function.__name__
        self.module = function.__module__
        self.patterns = tuple(patterns)
        self.faults: list[Fault] = []
        self.__doc__ = function.__doc__

    def check(self, files: Files) -> Problems:
        """What it finds in one project."""
        raise NotImplementedError

    def run(self, projects: Projects) -> Iterator[Failure]:
        """What it finds in all projects."""
        raise NotImplementedError

    def reads(self, paths: Iterable[str]) -> bool:
        """Whether it reads any of these files."""
        return any(matches(path, self.patterns) for path in paths)

    def rejects(self, *fault: Any, **options: Any) -> None:
        """Have tests see that this rule, which has no place for decorators, finds a fault: see `rejects` below."""
        rejects(*fault, **options)(self)

    def has(self, fault: Fault) -> Self:
        """Add a fault."""
        self.faults.insert(0, fault)  # as decorators run from below
        return self


class FactRule(Rule):
    """Runs once for each combination of facts that some projects have."""

    def __init__(self, function: Callable[..., Problems], facts: Mapping[str, Fact]) -> None:
        super().__init__(function, [fact.pattern for fact in facts.values()])
        self.facts = facts

    def check(self, files: Files) -> Problems:
        return list(self.function(**{name: fact.of(files) for name, fact in self.facts.items()}))

    def run(self, projects: Projects) -> Iterator[Failure]:
        columns: dict[str, Column] = {}
        values: dict[str, list[Any]] = {}
        for name, fact in self.facts.items():
            paths = projects.paths(fact.pattern)
            if not paths:
                raise ValueError(f"{self.name} reads {fact.pattern}, which no project has")
            for path in paths:
                columns[f"{name} {path}"], values[f"{name} {path}"] = fact_column(projects, path, fact.extract)
        axes = sorted({name for column in columns.values() for name in column.reads})
        table = projects.space.rows(axes)
        for group in grouped(columns.items()):
            table = joined(table, group)
        for number, row in enumerate(table.select(*columns).unique(maintain_order=True).iter_rows(named=True)):
            known: dict[str, dict[str, Any]] = {name: {} for name in self.facts}
            for column, index in row.items():
                name, _, path = column.rpartition(" ")
                known[name][path] = None if index is None else values[column][index]
            errors = [one for facts in known.values() for one in facts.values() if isinstance(one, Problem)]
            if all(error.message for error in errors):
                facts = {name: fact.given(known[name]) for name, fact in self.facts.items()}
                for problem in errors or self.function(**facts):
                    same = [pl.col(name).eq_missing(index) for name, index in row.items()]
                    rows = table.filter(*same).select(axes) if axes else table.select(pl.lit(number).alias(""))
                    yield Failure(problem, rows)


class FileRule(Rule):
    """Looks at one file at a time."""

    is_for_unreadable = False

    def judge(self, batch: Sequence[Files]) -> Iterable[Problems]:
        """What is wrong with the files, or sets of files, of a batch."""
        return (self.function(path, content) for files in batch for path, content in files.items())

    def check(self, files: Files) -> Problems:
        batch = [{path: content} for path, content in files.items() if matches(path, self.patterns)]
        return [problem for found in self.judge(batch) for problem in found]

    def run(self, projects: Projects) -> Iterator[Failure]:
        each = [(path, number, projects.contents[number]) for path, number in projects.each(*self.patterns)]
        each = [one for one in each if self.is_for_unreadable or projects.is_readable(one[0], one[2])]
        found = self.judge([{path: content} for path, _, content in each])
        for (path, number, _), problems in zip(each, found, strict=True):
            yield from (Failure(problem, rows_with(projects, path, number)) for problem in problems)


class ToolRule(FileRule):
    """Gives files one by one to a tool, all in one batch."""

    def judge(self, batch: Sequence[Files]) -> Iterable[Problems]:
        """The tool's findings in a batch."""
        with tempfile.TemporaryDirectory() as scratch:
            yield from self.function(batch, Path(scratch)) if batch else ()


class SetRule(ToolRule):
    """Gives sets of files to a tool."""

    is_sampled: bool
    choose: Callable[[Files], Hashable]

    def check(self, files: Files) -> Problems:
        chosen = {path: content for path, content in files.items() if matches(path, self.patterns)}
        return [problem for found in self.judge([chosen] if chosen else []) for problem in found]

    def run(self, projects: Projects) -> Iterator[Failure]:
        is_sample = self.is_sampled and not projects.exhaustive
        samples = (projects.sample if is_sample else projects.distinct)(*self.patterns)
        samples = list({self.choose(sample.files): sample for sample in reversed(samples)}.values())
        projects.count(f"sets of {' '.join(self.patterns)} for tools", len(samples))
        yield from failures_of(samples, self.judge([sample.files for sample in samples]))


R = TypeVar("R", bound=Rule)


def rejects(
    title: str, path: str, edit: Edit, *more: Any, also: str = "", project: str | None = None, message: str = ""
) -> Callable[[R], R]:
    """Have tests see that the rule below finds a fault, and of its subject only some others do.

    Args:
        title: the fault, as a noun: "a mount without a volume".
        path: the file that is changed.
        edit: how: see `documents`.
        more: further paths, each with an edit.
        also: the names of other rules of the subject that find it, with blanks between.
        project: the reference project that is changed.
        message: a part of what is found, where a tool has many reasons to find something.
    """
    edits = ((path, edit), *zip(more[::2], more[1::2], strict=True))
    return lambda rule: rule.has(Fault(title, edits, frozenset({rule.name, *also.split()}), project, message))


def accepts(title: str, path: str, edit: Edit, *more: Any, project: str | None = None) -> Callable[[R], R]:
    """Have tests see that no rule of the subject minds something that only looks wrong."""
    edits = ((path, edit), *zip(more[::2], more[1::2], strict=True))
    return lambda rule: rule.has(Fault(title, edits, frozenset(), project))


def rule(**facts: Fact) -> Callable[[Callable[..., Problems]], FactRule]:
    """A rule about what several files say, exact for every combination of answers."""
    return lambda function: FactRule(function, facts)


def file_rule(*patterns: str) -> Callable[[Callable[[str, bytes], Problems]], FileRule]:
    """A rule about single files of these names."""
    return lambda function: FileRule(function, patterns)


def tool_rule(
    *patterns: str,
    sets: Literal["each", "sample", "distinct"] = "each",
    choose: Callable[[Files], Hashable] = lambda files: tuple(files.items()),
) -> Callable[[Callable[[Sequence[Files], Path], Iterable[Problems]]], ToolRule]:
    """A rule that a tool judges.

    Args:
        patterns: the files that the tool reads.
        sets: "each" file by itself; "distinct" for every distinct set of them; "sample" for a few sets that hold every
            distinct file and every triple of answers, or every set where the tests are exhaustive.
        choose: of a set, what the tool really reads: it sees one of those that are alike in this.
    """

    def decorate(function: Callable[[Sequence[Files], Path], Iterable[Problems]]) -> ToolRule:
        if sets == "each":
            return ToolRule(function, patterns)
        rule = SetRule(function, patterns)
        rule.is_sampled, rule.choose = sets == "sample", choose
        return rule

    return decorate


def agreement(name: str, says: Mapping[str, Callable[[bytes], Any]]) -> FactRule:
    """A rule that several files say the same about one thing.

    Args:
        name: the thing.
        says: for each path or pattern, what makes of a file what it says. After the path may stand what is looked at.
    """

    def agree(**said: Any) -> Iterator[Problem]:
        places: dict[str, tuple[Any, str]] = {}
        for place, value in said.items():
            for path, (one,) in (value or {}).items() if isinstance(value, dict) else [(place, value)] if value else []:
                places[path] = (one, getattr(says[place], "where", ""))
        times = Counter(str(value) for value, _ in places.values())
        if len(times) > 1:
            place, (_, where) = min(places.items(), key=lambda item: times[str(item[1][0])])
            listed = ", ".join(f"{other}: {value}" for other, (value, _) in places.items())
            yield Problem(place.split(" ")[0], f"the files disagree about the {name}: {listed}", where)

    agree.__name__ = f"{name.replace(' ', '_')}_is_the_same_everywhere"
    agree.__doc__ = f"Every file that names the {name} names the same."
    agree.__module__ = sys._getframe(1).f_globals["__name__"]
    return FactRule(agree, {place: Fact(place.split(" ")[0], _one_tuple(extract)) for place, extract in says.items()})


def rules_of(module: ModuleType) -> list[Rule]:
    """The rules that a module defines."""
    return [value for value in vars(module).values() if isinstance(value, Rule) and value.module == module.__name__]


def rules_of_subject(module: ModuleType) -> list[Rule]:
    """The rules that a module defines, and those of the others that its package lists in `__all__`."""
    package = sys.modules[str(module.__package__)]
    names = [f"{package.__name__}.{name}" for name in getattr(package, "__all__", ())]
    modules = [import_module(name) for name in names] if module.__name__ in names else [module]
    return [rule for one in modules for rule in rules_of(one)]


def failures_of(samples: Sequence[Sample], found: Iterable[Problems]) -> Iterator[Failure]:
    """What was found in some projects that stand for all."""
    sampled = None
    for sample, problems in zip(samples, found, strict=True):
        for problem in problems:
            if sampled is None:
                sampled = pl.DataFrame([as_row(one.context) for one in samples], infer_schema_length=None)
            yield Failure(problem, pl.DataFrame([as_row(sample.context)], schema=sampled.schema), sampled)


def rows_with(projects: Projects, path: str, number: int) -> pl.DataFrame:
    """The answers with which a file has this content."""
    return projects.column(path).table.filter(pl.col(CONTENT) == number).drop(CONTENT)


@functools.cache
def fact_column(projects: Projects, path: str, extract: Callable[[bytes], Any] | None) -> tuple[Column, list[Any]]:
    """What is extracted from a file, for each combination of the few answers on which that depends, and the values.

    A problem stands for what cannot be extracted; of a file that follows no syntax, which another rule reports, it has
    no message.
    """
    if extract is None:
        return projects.presence(path), [None, True]
    reads, table = projects.column(path)
    values: list[Any] = []
    numbers: dict[str, int] = {}
    of_content: dict[int, int] = {}
    for number in table[CONTENT].drop_nulls().unique().to_list():
        content = projects.contents[number]
        value: Any = Problem(path, "")
        if projects.is_readable(path, content):
            try:
                value = extract(content)
            except Exception as error:  # noqa: BLE001
                value = Problem(path, f"cannot be read: {type(error).__name__}: {error}")
        if value is not None:  # which is to a rule as if there were no file
            of_content[number] = numbers.setdefault(repr(value), len(values))
            if of_content[number] == len(values):
                values.append(value)
    facts = [None if number is None else of_content.get(number) for number in table[CONTENT].to_list()]
    return _relevant(Column(reads, table.with_columns(pl.Series(CONTENT, facts, dtype=pl.Int32)))), values


def _relevant(column: Column) -> Column:
    """The column without the answers that change nothing."""
    reads, table = column
    for name in list(reads):
        rest = [other for other in reads if other != name]
        if not rest:
            if table[CONTENT].n_unique() == 1:
                return Column([], pl.DataFrame({"": [0], CONTENT: table[CONTENT][:1]}))
            continue
        smaller = table.drop(name).unique()
        if smaller.height == smaller.select(rest).n_unique():
            reads, table = rest, smaller
    return Column(reads, table)


def _one_tuple(extract: Callable[[bytes], Any]) -> Callable[[bytes], tuple[Any]]:
    return lambda content: (extract(content),)
