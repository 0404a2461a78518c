"""Reports of a rule's failures: an example for each file, the exact answers, and the lines."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from tests.harness.documents import line_of
from tests.harness.projects import Projects
from tests.harness.rules import Failure, Rule
from tests.harness.space import IS_EDGE_CASE, Answers

SHOWN = 5  # files; one of them nearly always explains the others
PROBLEMS = 3  # of one file in one project


def report(projects: Projects, rule: Rule, failures: Iterable[Failure]) -> str:
    """The failures of a rule; empty if there are none."""
    by_path: dict[str, list[Failure]] = {}
    for failure in failures:
        by_path.setdefault(failure.problem.path, []).append(failure)
    if not by_path:
        return ""
    reported = [_of_path(projects, rule, path, found) for path, found in list(by_path.items())[:SHOWN]]
    more = [f"  … and in {len(by_path) - SHOWN} more files"] if len(by_path) > SHOWN else []
    return "\n".join([f"{rule.name}: {' '.join(str(rule.__doc__).split())}", *reported, *more])


def _of_path(projects: Projects, rule: Rule, path: str, failures: list[Failure]) -> str:
    sampled = next((failure.sampled for failure in failures if failure.sampled is not None), None)
    everything = projects.space.table if sampled is None else sampled
    failing = _among(everything, failures)
    changed = pl.sum_horizontal(
        pl.col(name).cast(pl.String) != _text(value)
        for name, value in _defaults(projects).items()
        if name in everything.columns and name in projects.space.asked
    )
    typical = [pl.col(IS_EDGE_CASE)] if IS_EDGE_CASE in everything.columns else []
    least = failing.sort(*typical, changed, maintain_order=True).row(0, named=True)
    here = {
        one.problem.message: one.problem
        for one in failures
        if _among(pl.DataFrame([least], schema=everything.schema), [one]).height
    }
    answers = {
        name: value for name, value in projects.space.given(least).items() if value != _defaults(projects).get(name)
    }
    if sampled is not None:
        answers = _fewest(projects, rule, path, answers)
    places: dict[str, list[str]] = {}  # one problem each: environments have the same
    for problem in here.values():
        rendered, template = _places(projects, rule, path, problem.where, answers)
        places.setdefault(
            rendered, [f"  {rendered}: {problem.message}", *([f"    template  {template}"] * bool(template))]
        )
    lines = [line for place in list(places.values())[:PROBLEMS] for line in place]
    lines.append(f"    in        {_condition(projects, everything, failing, is_sample=sampled is not None)}")
    lines.append(f"    answers   {' '.join(f'{name}={value!r}' for name, value in answers.items()) or 'any'}")
    lines.append(f"    render    {command(answers)}")
    return "\n".join(lines)


def command(answers: Answers) -> str:
    """The command that renders the project of these answers."""
    data = [f"--data={name}={_text(value)}" for name, value in answers.items()]
    return shlex.join([".venv/bin/copier", "copy", "--vcs-ref=HEAD", "--defaults", "--quiet", *data, ".", "../project"])


def _among(table: pl.DataFrame, failures: Iterable[Failure]) -> pl.DataFrame:
    """The projects that have some of these failures."""
    by_columns: dict[tuple[str, ...], list[pl.DataFrame]] = {}
    for failure in failures:
        names = tuple(name for name in failure.rows.columns if name in table.columns)
        by_columns.setdefault(names, []).append(failure.rows.select(names))
    found = []
    for names, rows in by_columns.items():
        wanted = pl.concat(rows).unique() if names else None
        found.append(table if wanted is None else table.join(wanted, on=list(names), how="semi", nulls_equal=True))
    return pl.concat(found).unique(maintain_order=True)


def _condition(projects: Projects, everything: pl.DataFrame, failing: pl.DataFrame, *, is_sample: bool) -> str:
    """How many projects fail, and which: the smallest conjunction of answers that holds all of them."""
    if IS_EDGE_CASE in everything.columns:
        everything, edges = everything.filter(~pl.col(IS_EDGE_CASE)), failing.filter(pl.col(IS_EDGE_CASE))
        failing = failing.filter(~pl.col(IS_EDGE_CASE))
        if failing.is_empty():
            return f"no project with typical answers, and {edges.height} with edge cases"
    asked = [name for name in projects.space.asked if name in everything.columns]
    cube = {name: sorted(failing[name].unique().to_list(), key=str) for name in asked}
    cube = {name: values for name, values in cube.items() if len(values) < everything[name].n_unique()}
    inside = _inside(everything, cube)
    # Without those that follow from others that are named.
    cube = {
        one: cube[one] for one in cube if inside < _inside(everything, {name: cube[name] for name in {*cube} - {one}})
    }
    which = "exactly those" if inside == failing.height else "all among those"
    of = "sampled projects" if is_sample else "projects"
    said = " and ".join(
        f"{name} = {' or '.join(_text(value) or 'nothing' for value in values)}" for name, values in cube.items()
    )
    return f"{failing.height:,} of {everything.height:,} {of}" + (
        f", {which} with {said}" if cube else ", with any answers" if inside == failing.height else ""
    )


def _inside(everything: pl.DataFrame, cube: Mapping[str, list[Any]]) -> int:
    """How many projects have some of these values for each name."""
    return everything.filter(pl.lit(value=True), *(pl.col(name).is_in(cube[name]) for name in cube)).height


def _places(projects: Projects, rule: Rule, path: str, where: str, answers: Answers) -> tuple[str, str]:
    """The line of the rendered file, and that of the template which makes it."""
    context = projects.context(answers)
    files = {name: file.content for name, file in projects.render(answers).items() if name[-1] != "/"}
    if path not in files:
        # A resource of what Kustomize or another tool has made of several files.
        made_of = {name: line_of(content, where) for name, content in files.items() if rule.reads([name])}
        found = next((name for name, line in made_of.items() if line > 1), None)
        if found is None:
            return path, ""
        return f"{path}: {found}:{made_of[found]}", projects.origin(found, made_of[found], context)
    line = line_of(files[path], where)
    return f"{path}:{line}", projects.origin(path, line, context) if path in projects.sources else ""


def _fewest(projects: Projects, rule: Rule, path: str, answers: Answers) -> Answers:
    """The fewest answers with which the rule still finds something in the file, each other at its default."""
    for name in reversed(list(answers)):
        fewer = {other: value for other, value in answers.items() if other != name}
        try:
            files = {name: file.content for name, file in projects.render(fewer).items()}
        except ValueError:  # an answer that is allowed only together with the one that was left out
            continue
        if any(problem.path == path for problem in rule.check(files)):
            answers = fewer
    return answers


@functools.cache
def _defaults(projects: Projects) -> Answers:
    return projects.space.complete({})[1]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
