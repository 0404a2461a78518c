"""The space holds every combination of answers, and awkward answers meet every other answer."""

from __future__ import annotations

import itertools

from tests.space import AWKWARD, GIVEN, Answers, Space
from tests.template import Template, choices


def test_counting_agrees_with_walking(space: Space, template: Template) -> None:
    """For what decides each file: in one walk through all, there is nothing else to count."""
    for names in {frozenset(source.reads & space.questions.keys()) for source in template.sources}:
        combinations = [tuple(answers.items()) for answers, _ in space.combinations(names)]
        assert len(combinations) == len(set(combinations)) == space.count(names)


def test_some_combinations_are_the_ones_that_a_walk_comes_by(space: Space) -> None:
    number = 2000
    some = space.some(number)
    assert len({tuple(answers.items()) for answers, _ in some}) == number
    names = ["database", "exposure", "secrets", "tls"]
    walked = {tuple(context[name] for name in names) for _, context in space.combinations(names)}
    assert {tuple(context[name] for name in names) for _, context in some} == walked


def test_copier_takes_every_combination_as_it_is(template: Template, space: Space) -> None:
    """Copier's own worker asks the same questions, accepts every answer and computes the same values."""
    for answers, context in [*space.some(100), *space.pairs()[::5]]:
        worker = template.worker(answers)
        worker._ask()
        assert worker._answers_to_remember().keys() - {"_src_path"} == answers.keys()
        asked_and_computed = worker._render_context()
        assert {name: asked_and_computed[name] for name in space.questions} == context


def test_every_choice_is_in_some_combination(space: Space) -> None:
    for question in space.questions.values():
        seen = {
            answers[question.name] for answers, _ in space.combinations([question.name]) if question.name in answers
        }
        if question.kind == "choice" and not question.computed:
            assert set(choices(question.details["choices"])) <= seen, question.name
        if question.kind == "bool" and not question.computed:
            assert seen == {True, False}, question.name


def test_every_awkward_value_is_legal_and_meets_every_other_answer(space: Space) -> None:
    covered = {pair for answers, _ in space.pairs() for pair in itertools.combinations(answers.items(), 2)}
    singles = {single for pair in covered for single in pair}
    for table in (GIVEN, AWKWARD):
        for name, values in table.items():
            assert {(name, value) for value in values} <= singles, f"{name}: a value is refused, or never asked"
    for one, other in itertools.combinations(space.asked, 2):
        assert pairs_of(space, one, other) <= covered, f"{one} and {other}"


def pairs_of(space: Space, one: str, other: str) -> set[tuple[tuple[str, object], tuple[str, object]]]:
    """Every pair of answers to two questions that some person can give, found by walking through all.

    A default that follows from another awkward answer is no value of its own.
    """
    values = {name: space._all_values(space.questions[name]) for name in (one, other)}
    questions = space.closure(frozenset([one, other]))
    walked: list[tuple[Answers, Answers]] = list(space._walk(questions, {}, {}, awkward=True))
    return {
        ((one, answers[one]), (other, answers[other]))
        for answers, _ in walked
        if answers.get(one) in values[one] and answers.get(other) in values[other]
    }


def test_every_text_and_number_has_awkward_values(space: Space) -> None:
    for question in space.questions.values():
        if not question.computed and question.kind in ("str", "int"):
            assert len(space._all_values(question)) > 1, f"tests/space.py has no awkward value for {question.name}"
