"""The space of answers, read from copier.yml: every combination, and awkward texts against every other answer."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from copier._settings import SettingsModel
from copier._user_data import AnswersMap
from copier._user_data import Question as CopierQuestion

from tests.template import Template

Value = str | int | bool
Answers = dict[str, Value]
Single = tuple[str, Value]  # one answer

# In the product a text or number takes its default, except one that depends on the folder, and those whose value
# switches something on or off: for these, the values that stand for all others.
GIVEN: dict[str, list[Value]] = {
    "project_name": ["Shop"],
    "service_name": ["shop"],
    "image_repository": [
        "docker.io/acme/shop",
        "ghcr.io/acme/shop",
        "registry.gitlab.com/acme/shop",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop",
    ],
    "replicas": [2, 1],
    "cluster_issuer": ["letsencrypt", ""],
    "ingress_class": ["", "traefik"],
    "node_selector": ["", "pool=web"],
    "storage_class": ["", "fast"],
}

_TEXTS: list[Value] = [
    """It's "quoted": yes # no comment, 100% \\n""",
    "{{ x }} {% raw %} {# c #} ${HOME} $HOME $(id) `id` << y >>",
    "<b>&amp;</b> *bold* _it_ [x](y) | cell | ~~no~~ ![i](j)",
    "# heading",
    "- item",
    "1. item",
    "[x]: y",
    "\"\"\" + '''",
    "yes",
    "null",
    "1e3",
    "0o17",
    "2026-11-22",
    "&anchor *alias !tag %directive @at",
    "héllo 🎉 日本語",
    "שלום עולם",
    "\\",
    "C ##",
]

# Legal but awkward answers. A text question without a row takes those of `_TEXTS` that it accepts.
AWKWARD: dict[str, list[Value]] = {
    "project_name": [*_TEXTS, "x" * 60],
    "description": [*_TEXTS, "x" * 200],
    "service_name": ["x", "x" * 40, "database"],
    "namespace": ["x" * 40, "kube"],
    "ingress_host": ["1.2.3.x", ".".join(["x" * 59] * 4) + ".yes"],
    "image_repository": [
        "localhost:5000/a__b/c.d-e",
        "123.dkr.ecr.eu-west-1.example.com/shop",
        "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com/a/b",
        "registry.example.com/" + "x" * 179,
    ],
    "gateway": ["null/yes", "x" * 63 + "/" + "y" * 63],
    "ingress_namespace": ["null", "1e3", "x" * 63],
    "cluster_issuer": ["1.5", "yes"],
    "ingress_class": ["null", "x" * 253],
    "node_selector": ["example.com/pool=true", "gpu=", "1=1e3"],
    "cluster_domain": ["1.2.3.x", "x" * 16 + "." + "y" * 31 + ".yes"],
    "aws_region": ["us-gov-west-1", "ap-southeast-2"],
    "database_host": ["1.2.3.x", ".".join(["x" * 59] * 4) + ".yes"],
    "storage_class": ["true", "0x1f", "x" * 253],
    "storage_size": ["1Gi", "9999Ti"],
    "secret_store": ["null", "1e3", "x.y"],
    "log_collector": ["c:1", "otel.example.com:65535"],
    "port": [1024, 65535, 5432],
    "service_port": [1, 443, 65535],
    "metrics_port": [1025, 65534],
    "node_port": [30000, 32767],
    "max_replicas": [100, 300],
    "cpu_target": [10, 100],
    "replicas": [3, 100],
}


class Document(dict[str, Any]):
    """A computed value of type json, which can be looked up by."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted(self.items())))


def hashable(value: Any) -> Any:
    """The same value, to look something up by."""
    return Document(value) if isinstance(value, dict) else value


@dataclass(frozen=True)
class Question:
    name: str
    details: Mapping[str, Any]
    reads: tuple[str, ...]  # the names whose values decide whether it is asked, with which choices, default and rule

    @property
    def computed(self) -> bool:
        return self.details.get("when") is False

    @property
    def kind(self) -> str:
        return "choice" if "choices" in self.details else str(self.details["type"])


class Space:
    """Walks the questions in the order asked, with Copier's own `Question` for visibility, choices and rules."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._conf = template.worker()._render_context()["_copier_conf"]
        self.questions = {
            name: Question(name, details, template.names_in(_decisive(name, details)))
            for name, details in template.questions.items()
        }
        self.asked = [question.name for question in self.questions.values() if not question.computed]
        self._known: dict[tuple[Any, ...], Any] = {}

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

    def combinations(self, names: Iterable[str] | None = None) -> Iterator[tuple[Answers, Answers]]:
        """Every combination of the answers that decide these names: what is asked, and what templates then read."""
        questions = self.closure(frozenset(names if names is not None else self.questions))
        # Question by question, not combination by combination: most values follow from few others.
        rows: list[tuple[Value, ...]] = [()]
        asked: list[tuple[str, Callable[[tuple[Value, ...]], Any], dict[Any, bool]]] = []
        places: dict[str, int] = {}
        for index, question in enumerate(questions):
            read = [name for name in question.reads if name in places]
            pick = picker([places[name] for name in read])
            values: dict[Any, list[Value]] = {}
            is_asked: dict[Any, bool] = {}
            for key in dict.fromkeys(map(pick, rows)):
                known = dict(zip(read, key if len(read) > 1 else (key,), strict=False))
                is_asked[key], values[key] = self._values(question, known)
            rows = [(*row, value) for row in rows for value in values[pick(row)]]
            places[question.name] = index
            if any(is_asked.values()):
                asked.append((question.name, pick, is_asked))
        names_in_order = list(places)
        for row in rows:
            context = dict(zip(names_in_order, row, strict=True))
            yield {name: context[name] for name, pick, is_asked in asked if is_asked[pick(row)]}, context

    def pairs(self, names: Iterable[str] | None = None, *, awkward: bool = True) -> list[tuple[Answers, Answers]]:
        """Combinations that hold every possible pair of answers, the awkward ones too."""
        questions = self.closure(frozenset(names if names is not None else self.questions))
        singles = [
            (q.name, value) for q in questions if not q.computed for value in self._all_values(q, awkward=awkward)
        ]
        missing = _Missing(singles)
        rows = []
        while missing.pairs:
            # The last first: such questions are asked only after certain answers, which then count for their own pairs.
            pair = next(reversed(missing.pairs))
            small = self.closure(frozenset(name for name, _ in pair))
            found = next(self._walk(small, {}, {}, awkward=awkward, forced=dict(pair), missing=missing), None)
            missing.remove(pair)
            if found:
                row = next(self._walk(questions, {}, {}, awkward=awkward, forced=found[0], missing=missing))
                rows.append(row)
                for held in itertools.combinations_with_replacement(row[0].items(), 2):
                    missing.remove(held)
        return rows

    def count(self, names: Iterable[str] | None = None) -> int:
        """How many combinations there are, of all or of those that decide some names, without walking through each."""
        return self._counting(frozenset(names if names is not None else self.asked)).total

    def some(self, number: int) -> list[tuple[Answers, Answers]]:
        """As many combinations, at equal distances among all, without walking through those between."""
        counting = self._counting(frozenset(self.asked))
        return [self.complete(counting.nth(rank * counting.total // number)) for rank in range(number)]

    @functools.cache  # noqa: B019
    def _counting(self, names: frozenset[str]) -> _Counting:
        return _Counting(self.closure(names), self._values)

    def extreme(self, *, most: bool) -> Answers:
        """The answers that switch on as much as possible, or as little: all booleans, then what chooses most files.

        Climbing from answer to answer finds it without a walk through every combination. Texts and numbers are unusual
        ones, never the default.
        """

        def score(answers: Answers) -> tuple[int, int]:
            given, context = self._with(answers)
            on = sum(bool(context[name]) for name, question in self.questions.items() if question.computed)
            return (on, len(given)) if most else (-on, len(given))

        best: Answers = {name: most for name in self.asked if self.questions[name].kind == "bool"}
        better = True
        while better:
            better = False
            for name in self.asked:
                for value in self._all_values(self.questions[name], awkward=False):
                    if score({**best, name: value}) > score(best):
                        best = {**best, name: value}
                        better = True
        chosen = self._with(best)[0].items()
        switches = {name: value for name, value in chosen if self.questions[name].kind in ("choice", "bool")}
        return self._with(switches, unusual=True)[0]

    def accepted(self, answers: Answers) -> dict[str, list[Value]]:
        """Which usual and awkward values each question takes beside these answers."""
        given, context = self._with(answers)
        return {name: self._values(self.questions[name], context, awkward=True)[1] for name in given}

    def complete(self, answers: Mapping[str, Value], names: Iterable[str] | None = None) -> tuple[Answers, Answers]:
        """The combination of these answers with the defaults for all others, or for others that decide some names."""
        given: Answers = {}
        known: Answers = {}
        for question in self.closure(frozenset(names if names is not None else self.questions)):
            name = question.name
            asked, values = self._values(question, known)
            if not asked:
                known[name] = values[0]
                continue
            if name in answers:
                known[name] = answers[name]
            else:
                known[name] = values[0] if name in GIVEN else self._default(question, known)
            given[name] = known[name]
        return given, known

    def _default(self, question: Question, context: Answers) -> Value:
        known = tuple((name, context[name]) for name in question.reads if name in context)
        key = (question.name, "default", known)
        if key not in self._known:
            self._known[key] = self._ask(question, dict(known)).get_default()
        found: Value = self._known[key]
        return found

    def _with(self, wanted: Answers, *, unusual: bool = False) -> tuple[Answers, Answers]:
        """One combination: the wanted answers where they are asked for, else the first possible ones or the last."""
        given: Answers = {}
        context: Answers = {}
        for question in self.questions.values():
            asked, values = self._values(question, context, awkward=unusual)
            value = wanted.get(question.name, values[-unusual])
            context[question.name] = value if asked and value in values else values[-unusual]
            if asked:
                given[question.name] = context[question.name]
        return given, context

    def _walk(
        self,
        questions: tuple[Question, ...],
        answers: Answers,
        context: Answers,
        *,
        awkward: bool = False,
        forced: Mapping[str, Value] | None = None,
        missing: _Missing | None = None,
    ) -> Iterator[tuple[Answers, Answers]]:
        if not questions:
            yield answers, context
            return
        question, rest = questions[0], questions[1:]
        name = question.name
        asked, values = self._values(question, context, awkward=awkward)
        if forced and name in forced:
            values = [value for value in values if asked and _same(value, forced[name])]
        elif asked and missing is not None:
            gains = {value: missing.gain(answers, (name, value)) for value in values}
            values = sorted(values, key=lambda value: gains[value], reverse=True)
        for value in values:
            yield from self._walk(
                rest,
                {**answers, name: value} if asked else answers,
                {**context, name: value},
                awkward=awkward,
                forced=forced,
                missing=missing,
            )

    def _values(self, question: Question, context: Answers, *, awkward: bool = False) -> tuple[bool, list[Value]]:
        """Whether the question is asked, and the values that it then takes; else its one default."""
        known = tuple((name, context[name]) for name in question.reads if name in context)
        key = (question.name, awkward, known)
        if key not in self._known:
            self._known[key] = self._find_values(question, dict(known), awkward)
        found: tuple[bool, list[Value]] = self._known[key]
        return found

    def _find_values(self, question: Question, context: Answers, awkward: bool) -> tuple[bool, list[Value]]:
        copier = self._ask(question, context)
        if not copier.get_when():
            return False, [hashable(copier.get_default())]
        values: list[Value]
        if question.kind == "choice":
            values = [copier.cast_answer(choice.value) for choice in copier._formatted_choices if not choice.disabled]
        elif question.kind == "bool":
            values = [False, True]
        else:
            values = GIVEN[question.name] if question.name in GIVEN else [copier.get_default()]
            if awkward:
                values = values + AWKWARD.get(question.name, _TEXTS if question.kind == "str" else [])
        return True, [value for value in dict.fromkeys(values) if _accepted(copier, value)]

    def refuses(self, name: str, value: Any, context: Answers) -> bool:
        """Whether this is a wrong answer after those."""
        return not _accepted(self._ask(self.questions[name], context), value)

    def _ask(self, question: Question, context: Answers) -> CopierQuestion:
        return CopierQuestion(
            answers=AnswersMap(),
            context={**context, "_copier_conf": self._conf},
            jinja_env=self._template.env,
            settings=SettingsModel(),
            var_name=question.name,
            **question.details,
        )

    def _all_values(self, question: Question, *, awkward: bool = True) -> list[Value]:
        found: dict[Value, None] = {}
        for _, context in self._walk(self.closure(frozenset(question.reads)), {}, {}, awkward=False):
            asked, values = self._values(question, context, awkward=awkward)
            if asked:
                found.update(dict.fromkeys(values))
        return list(found)


class _Counting:
    """Numbers the combinations of answers to some questions in the order in which `combinations` has them."""

    def __init__(
        self, questions: Sequence[Question], values: Callable[[Question, Answers], tuple[bool, list[Value]]]
    ) -> None:
        self._questions = questions
        self._values = values
        # Of the answers before each question, those that it or a later one reads: with these alike, all else is.
        self._needed = [
            sorted({name for later in questions[i:] for name in later.reads} & {q.name for q in questions[:i]})
            for i in range(len(questions) + 1)
        ]
        self._known: dict[tuple[int, tuple[Value, ...]], int] = {}
        self.total = self._after(0, {})

    def nth(self, rank: int) -> Answers:
        """The answers, asked or not, of the combination with this number."""
        known: Answers = {}
        for index, question in enumerate(self._questions):
            for value in self._values(question, known)[1]:
                following = self._after(index + 1, {**known, question.name: value})
                if rank < following:
                    known[question.name] = value
                    break
                rank -= following
        return known

    def _after(self, index: int, context: Answers) -> int:
        """How many ways there are to answer the questions from this one on."""
        if index == len(self._questions):
            return 1
        key = (index, tuple(context[name] for name in self._needed[index]))
        if key not in self._known:
            question, known = self._questions[index], {name: context[name] for name in self._needed[index]}
            values = self._values(question, known)[1]
            self._known[key] = sum(self._after(index + 1, {**known, question.name: value}) for value in values)
        return self._known[key]


class _Missing:
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


def picker(keys: Sequence[Any]) -> Callable[[Any], Any]:
    """What gets these items of a row or mapping, as something to look up by."""
    return operator.itemgetter(*keys) if keys else lambda _: ()


def _decisive(name: str, details: Mapping[str, Any]) -> dict[str, Any]:
    """What decides which values a question takes: not the default of one that is always asked and never takes it."""
    given = name in GIVEN and "when" not in details
    return {key: value for key, value in details.items() if key != "default" or not given}


def _same(one: Value, other: Value) -> bool:
    return type(one) is type(other) and one == other


def _accepted(question: CopierQuestion, value: Any) -> bool:
    try:
        question.validate_answer(question.parse_answer(value))
    except ValueError:
        return False
    return True


def describe(number: int) -> str:
    return f"{number:,}" if number < 10**6 else f"10^{math.log10(number):.1f}"
