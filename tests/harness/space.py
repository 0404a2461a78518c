"""The option space as a table: a row for every combination of answers, then rows with every pair of edge cases."""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "2")

import polars as pl
from copier._settings import SettingsModel
from copier._user_data import AnswersMap
from copier._user_data import Question as CopierQuestion

from tests.harness.template import Template

Value = Any  # str, int or bool, as a person answers; a document for a computed value of type json or yaml
Answers = dict[str, Value]
Single = tuple[str, Value]  # one answer

IS_EDGE_CASE = "is_edge_case"
"""The column that marks rows with edge cases."""

_NUMBERS = {"int": pl.Int32, "bool": pl.Boolean}


@dataclass(frozen=True)
class Question:
    """A question of copier.yml, or a computed value."""

    name: str
    details: Mapping[str, Any]
    reads: tuple[str, ...]  # the names that decide whether it is asked, with which choices, default and rule

    @property
    def computed(self) -> bool:
        """Whether it is never asked."""
        return self.details.get("when") is False

    @property
    def kind(self) -> str:
        """Its type, or "choice"."""
        return "choice" if "choices" in self.details else str(self.details["type"])


class Space:
    """Joins the questions in the order asked, with Copier's own `Question` for conditions, choices and rules."""

    def __init__(
        self,
        template: Template,
        representatives: Mapping[str, Sequence[Value]],
        edge_cases: Mapping[str, Sequence[Value]],
        texts: Sequence[str] = (),
    ) -> None:
        """Read the questions of a template.

        Args:
            template: whose questions are asked.
            representatives: of a text or number that decides what is rendered, values that stand for all others. Its
                default is added; one that has no row here takes its default alone.
            edge_cases: legal values that formats read in unexpected ways.
            texts: the edge cases of a text question that has none of its own, where it accepts them.
        """
        self.template = template
        self._conf = template.worker()._render_context()["_copier_conf"]
        self._edge_cases, self._texts = edge_cases, texts
        self.questions: dict[str, Question] = {}
        for name, details in template.questions.items():
            # The default decides no values of a question that is always asked and has representatives.
            unread = {"default"} if name in representatives and "when" not in details else {}
            read = {key: value for key, value in details.items() if key not in unread}
            self.questions[name] = Question(name, details, template.names_in(read))
        self.asked = [question.name for question in self.questions.values() if not question.computed]
        self._cache: dict[tuple[str, bool, str], tuple[bool, list[Value]]] = {}
        self.representatives = {name: [*values] for name, values in representatives.items() if name in self.questions}
        # A default is always among the values, unless it follows from the folder that is rendered to.
        context: Answers = {}
        for question in self.questions.values():
            default = self._ask(question, context).get_default()
            if question.name in self.representatives and "_copier_conf" not in str(question.details["default"]):
                self.representatives[question.name] = [*dict.fromkeys([default, *self.representatives[question.name]])]
            context[question.name] = self.representatives.get(question.name, [default])[0]

    @functools.cached_property
    def product(self) -> pl.DataFrame:
        """Every combination of answers, with every computed value."""
        table = pl.DataFrame({"": [0]})
        for question in self.questions.values():
            reads = [name for name in question.reads if name in table.columns] or [""]
            keys = table.select(reads).unique()
            values = [
                [_stored(value) for value in self._values(question, self.context(row))[1]]
                for row in keys.iter_rows(named=True)
            ]
            # As narrow as the values allow: the table has a million rows.
            texts = pl.Categorical(pl.Categories(question.name, physical=pl.UInt8))
            column = pl.Series(question.name, values, dtype=pl.List(_NUMBERS.get(question.details["type"], texts)))
            table = table.join(keys.with_columns(column).explode(question.name), on=reads)
        return table.drop("")

    @functools.cached_property
    def table(self) -> pl.DataFrame:
        """The product, and below it rows that hold every pair of answers, edge cases too."""
        edges = pl.DataFrame([as_row(context) for _, context in self.pairs()], schema=self.product.schema)
        return pl.concat(
            [
                self.product.with_columns(pl.lit(False).alias(IS_EDGE_CASE)),
                edges.with_columns(pl.lit(True).alias(IS_EDGE_CASE)),
            ]
        )

    def rows(self, names: Iterable[str], *others: str) -> pl.DataFrame:
        """The values that these names have together in the table, each with the first of other columns.

        Of no names that is one row, with a column that has no name.
        """
        return self._rows(tuple(sorted(names)), others)

    @functools.cache  # noqa: B019
    def _rows(self, names: tuple[str, ...], others: tuple[str, ...]) -> pl.DataFrame:
        if not names:
            return self.table.select(pl.lit(0).alias(""), *others).head(1)
        return self.table.select(*names, *others).unique(names, keep="first", maintain_order=True)

    def context(self, row: Mapping[str, Any]) -> Answers:
        """What templates read, of a row of the table or of some of its columns."""
        return {
            name: value if self.questions[name].details["type"] in {"str", *_NUMBERS} else json.loads(value)
            for name, value in row.items()
            if name in self.questions
        }

    def given(self, row: Mapping[str, Any]) -> Answers:
        """The answers that lead to a row of the table."""
        context = self.context(row)
        return {name: context[name] for name in self.asked if self._values(self.questions[name], context)[0]}

    def pairs(self, names: Iterable[str] | None = None, *, edge_cases: bool = True) -> list[tuple[Answers, Answers]]:
        """Combinations that hold every possible pair of answers: what is asked, and what templates then read."""
        names = frozenset(names if names is not None else self.questions)
        singles = [
            (question.name, value)
            for question in self.closure(names)
            if not question.computed
            for value in self._all_values(question, edge_cases=edge_cases)
        ]
        missing = _MissingPairs(singles)
        rows = []
        while missing.pairs:
            # The last first: such questions are asked only after certain answers, which then count for their own pairs.
            pair = next(reversed(missing.pairs))
            found = next(self.walk(dict(pair), edge_cases=edge_cases, forced=dict(pair), missing=missing), None)
            missing.remove(pair)
            if found:
                row = next(self.walk(names, edge_cases=edge_cases, forced=found[0], missing=missing))
                rows.append(row)
                for held in itertools.combinations_with_replacement(row[0].items(), 2):
                    missing.remove(held)
        return rows

    def extreme(self, *, most: bool) -> Answers:
        """The answers that switch on as much as possible, or as little; texts and numbers are edge cases."""
        computed = [pl.col(name).cast(pl.String) for name, question in self.questions.items() if question.computed]
        on = pl.sum_horizontal(column.is_in(["", "false"]).not_().cast(pl.Int32) for column in computed)
        ranked = self.product.sort(on, descending=most, maintain_order=True)
        wanted = {
            name: value
            for name, value in self.given(ranked.row(0, named=True)).items()
            if self.questions[name].kind in ("choice", "bool")
        }
        given: Answers = {}
        context: Answers = {}
        for question in self.questions.values():
            asked, values = self._values(question, context, edge_cases=True)
            context[question.name] = wanted[question.name] if question.name in wanted else values[-1]
            if asked:
                given[question.name] = context[question.name]
        return given

    def accepted(self, answers: Answers) -> dict[str, list[Value]]:
        """Which values each question takes beside these answers, edge cases too."""
        given, context = self.complete(answers)
        return {name: self._values(self.questions[name], context, edge_cases=True)[1] for name in given}

    def complete(self, answers: Mapping[str, Value]) -> tuple[Answers, Answers]:
        """The combination of these answers, where they are asked for, with the defaults for all others."""
        given: Answers = {}
        context: Answers = {}
        for question in self.questions.values():
            name = question.name
            asked, values = self._values(question, context)
            if asked and name in answers:
                context[name] = answers[name]
            elif asked and name not in self.representatives:
                context[name] = self._ask(question, context).get_default()
            else:
                context[name] = values[0]
            if asked:
                given[name] = context[name]
        return given, context

    def refuses(self, name: str, value: Any, context: Answers) -> bool:
        """Whether this is a wrong answer after those."""
        return not _is_accepted(self._ask(self.questions[name], context), value)

    @functools.cache  # noqa: B019
    def closure(self, names: frozenset[str]) -> tuple[Question, ...]:
        """The questions that decide the values of these names, in the order asked."""
        found: set[str] = set()
        pending = list(names)
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending.extend(self.questions[name].reads)
        return tuple(question for question in self.questions.values() if question.name in found)

    def walk(
        self,
        names: Iterable[str],
        *,
        edge_cases: bool = False,
        forced: Mapping[str, Value] | None = None,
        missing: _MissingPairs | None = None,
    ) -> Iterator[tuple[Answers, Answers]]:
        """Every combination of what decides these names, asked question after question: see `pairs`.

        Args:
            names: of questions and computed values.
            edge_cases: whether to give these answers too.
            forced: the only answers to some questions.
            missing: what the first combinations have to hold most of.
        """
        questions = self.closure(frozenset(names))

        def step(index: int, answers: Answers, context: Answers) -> Iterator[tuple[Answers, Answers]]:
            if index == len(questions):
                yield answers, context
                return
            name = questions[index].name
            asked, values = self._values(questions[index], context, edge_cases=edge_cases)
            if forced and name in forced:
                values = [value for value in values if asked and value == forced[name]]
            elif asked and missing is not None:
                values = sorted(values, key=lambda value: missing.gain(answers, (name, value)), reverse=True)
            for value in values:
                yield from step(index + 1, {**answers, name: value} if asked else answers, {**context, name: value})

        yield from step(0, {}, {})

    def _values(self, question: Question, context: Answers, *, edge_cases: bool = False) -> tuple[bool, list[Value]]:
        """Whether the question is asked, and the values that it then takes; else its one default."""
        known = {name: context[name] for name in question.reads if name in context}
        key = (question.name, edge_cases, repr(known))
        if key not in self._cache:
            self._cache[key] = self._find_values(question, self._ask(question, known), edge_cases=edge_cases)
        return self._cache[key]

    def _find_values(self, question: Question, copier: CopierQuestion, *, edge_cases: bool) -> tuple[bool, list[Value]]:
        if not copier.get_when():
            return False, [copier.get_default()]
        values: list[Value]
        if question.kind == "choice":
            values = [copier.cast_answer(choice.value) for choice in copier._formatted_choices if not choice.disabled]
        elif question.kind == "bool":
            values = [False, True]
        else:
            values = self.representatives.get(question.name) or [copier.get_default()]
            if edge_cases:
                texts = self._texts if question.kind == "str" else ()
                values = [*values, *self._edge_cases.get(question.name, texts)]
        return True, [value for value in dict.fromkeys(values) if _is_accepted(copier, value)]

    def _all_values(self, question: Question, *, edge_cases: bool = True) -> list[Value]:
        """The values that a question takes after some typical answers."""
        found: dict[Value, None] = {}
        for _, context in self.walk(question.reads):
            asked, values = self._values(question, context, edge_cases=edge_cases)
            if asked:
                found.update(dict.fromkeys(values))
        return list(found)

    def _ask(self, question: Question, context: Answers) -> CopierQuestion:
        return CopierQuestion(
            answers=AnswersMap(),
            context={**context, "_copier_conf": self._conf, "_copier_answers": {}},
            jinja_env=self.template.env,
            settings=SettingsModel(),
            var_name=question.name,
            **question.details,
        )


def as_row(context: Mapping[str, Value]) -> Answers:
    """What a table holds of these answers: documents of computed values as text."""
    return {name: _stored(value) for name, value in context.items()}


def _stored(value: Value) -> Value:
    return json.dumps(value) if isinstance(value, (dict, list)) else value


class _MissingPairs:
    """The pairs of answers that no row holds yet; a pair of an answer with itself when it is the only question."""

    def __init__(self, singles: list[Single]) -> None:
        pairs = [(one, other) for one, other in itertools.combinations(singles, 2) if one[0] != other[0]]
        self.pairs = dict.fromkeys(pairs or [(single, single) for single in singles])
        self._left = Counter(single for pair in self.pairs for single in pair)

    def remove(self, pair: tuple[Single, Single]) -> None:
        if pair in self.pairs:
            del self.pairs[pair]
            self._left.subtract(pair)

    def gain(self, answers: Answers, single: Single) -> tuple[int, int]:
        """How many missing pairs an answer completes now, and how many more it may."""
        return sum((other, single) in self.pairs for other in answers.items()), self._left[single]


def _is_accepted(question: CopierQuestion, value: Any) -> bool:
    try:
        question.validate_answer(question.parse_answer(value))
    except ValueError:
        return False
    return True
