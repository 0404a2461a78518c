"""The table holds every combination of answers, and every pair with edge cases."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.harness import Projects, Space, Template
from tests.harness.space import IS_EDGE_CASE
from tests.harness.template import choices
from tests.options import EDGE_CASES, REPRESENTATIVES


def test_product_of_the_small_template(small: Projects) -> None:
    asked = ["database", "port", "details", "size", "redis"]
    rows = {tuple(row[name] for name in asked) for row in small.space.product.iter_rows(named=True)}
    wanted = {
        (database, 8080, False, "small", "." if database == "redis" else "")
        for database in ("none", "postgres", "redis")
    }
    wanted |= {("none", 8080, True, "small", "")}
    wanted |= {("postgres", 8080, True, size, "") for size in ("small", "large")}
    wanted |= {("redis", 8080, True, size, ".") for size in ("small", "large")}
    assert rows == wanted
    assert small.space.product.height == len(wanted)


def test_edge_cases_meet_every_other_answer(small: Projects) -> None:
    rows = list(small.space.table.iter_rows(named=True))
    for database, port, size in itertools.product(["postgres", "redis"], [8080, 1], ["small", "large", "yes"]):
        for one in (
            {"database": database, "port": port},
            {"port": port, "size": size},
            {"database": database, "size": size},
        ):
            assert any(one.items() <= row.items() for row in rows), one
    assert not any(row["size"] == "huge" for row in rows), "a value that the question refuses"
    assert {row["port"] for row in rows if not row[IS_EDGE_CASE]} == {8080}


def test_product_equals_a_walk_through_the_questions(space: Space) -> None:
    """For what decides each file: the joins find what asking question after question finds."""
    for names in {frozenset(source.reads & space.questions.keys()) for source in space.template.sources}:
        ordered = sorted(names)
        walked = {tuple(str(context[name]) for name in ordered) for _, context in space.walk(names)}
        product = space.product.select(ordered).unique().iter_rows(named=True) if names else [{}]
        assert {tuple(str(space.context(row)[name]) for name in ordered) for row in product} == walked


def test_copier_accepts_every_combination_unchanged(template: Template, space: Space) -> None:
    """Copier's own worker asks the same questions, accepts every answer and computes the same values."""
    for row in space.table.sample(100, seed=1).iter_rows(named=True):
        answers, context = space.given(row), space.context(row)
        worker = template.worker(answers)
        worker._ask()
        assert worker._answers_to_remember().keys() - {"_src_path"} == answers.keys()
        asked_and_computed = worker._render_context()
        assert {name: asked_and_computed[name] for name in space.questions} == context


def test_every_choice_is_in_some_combination(space: Space) -> None:
    for name in space.asked:
        question, values = space.questions[name], set(space.product[name].unique().to_list())
        if question.kind == "choice":
            assert set(choices(question.details["choices"])) <= values, name
        if question.kind == "bool":
            assert values == {True, False}, name


def test_every_default_is_in_the_product(space: Space) -> None:
    for name, value in space.complete({})[1].items():
        if name in space.asked and name != "project_name":  # which follows from the folder
            assert value in space.product[name].unique().to_list(), name


def test_a_default_that_is_no_representative_joins_them(template: Template) -> None:
    changed = Space(template, {**REPRESENTATIVES, "replicas": [7]}, EDGE_CASES)
    assert set(changed.product["replicas"].unique().to_list()) == {2, 7}


def test_every_pair_of_answers_is_in_some_project(space: Space) -> None:
    """The possible values of two questions, found by walking through all."""
    covered = {pair for answers, _ in space.pairs() for pair in itertools.combinations(answers.items(), 2)}
    singles = {single for pair in covered for single in pair}
    for table in (REPRESENTATIVES, EDGE_CASES):
        for name, values in table.items():
            assert {(name, value) for value in values} <= singles, f"{name}: a value is refused, or never asked"
    for one, other in random.Random(1).sample(list(itertools.combinations(space.asked, 2)), 200):  # noqa: S311
        assert _pairs_of(space, one, other) <= covered, f"{one} and {other}"


def _pairs_of(space: Space, one: str, other: str) -> set[tuple[tuple[str, object], tuple[str, object]]]:
    """A default that follows from an edge case is not a separate value."""
    values = {name: space._all_values(space.questions[name]) for name in (one, other)}
    return {
        ((one, answers[one]), (other, answers[other]))
        for answers, _ in space.walk([one, other], edge_cases=True)
        if answers.get(one) in values[one] and answers.get(other) in values[other]
    }


@pytest.mark.parametrize("kind", ["str", "int"])
def test_every_text_and_number_has_edge_cases(space: Space, kind: str) -> None:
    for name in space.asked:
        if space.questions[name].kind == kind:
            assert len(space._all_values(space.questions[name])) > 1, f"tests/options.py has no edge case for {name}"
