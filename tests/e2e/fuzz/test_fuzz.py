"""Any text and any number is refused with its question's sentence, or reads back unchanged wherever it lands."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import hypothesis.configuration
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.e2e.fuzz.fuzz import Base, Fuzz, RefusedError, kind_of, seeds
from tests.e2e.fuzz.readers import run_by_make_and_bash
from tests.harness import ROOT, Projects
from tests.harness.space import Question
from tests.test_rules import rules
from tests.tools.release import questions

hypothesis.configuration.set_hypothesis_home_dir(ROOT / ".cache/hypothesis")

# The same examples on every run, without a limit of time and without memory of earlier runs.
FIXED = settings(
    database=None, deadline=None, derandomize=True, print_blob=False, suppress_health_check=list(HealthCheck)
)

OPEN = [
    name
    for name, details in questions((ROOT / "copier.yml").read_bytes()).items()
    if details["type"] in ("str", "int") and "choices" not in details
]

# What means something to Jinja, YAML, TOML, JSON, Markdown, make, a shell, Docker, a URL or a terminal.
SYNTAX = [
    "{{ 1 }}", "{% if %}", "{#", "${HOME}", "$HOME", "$(id)", "$$", "`id`", "'", '"', "\\", "\\n", "\\u0041", "'''",
    '"""', "#", " #", "##", ": ", " : ", "- ", "? ", "& ", "&a", "*a", "!!int", "!", "%", "@", "|", ">", "~", "---",
    "...", "[", "]", "{", "}", ",", "<<", "null", "true", "yes", "1e3", ".e5", "0x1f", "0o17", "1_000", "1:30",
    ".inf", "2026-11-24", "=", "==", "===", "[a](b)", "![a](b)", "[a]: b", "<b>", "<!--", "&amp;", "&#35;", "**",
    "__", "~~", "```", "1.", "1)", "+ ", "|-|", "http://a.b", "//", "/", "../", "\n", "\r", "\r\n", "\t", "\0",
    "\x1b[31m", "\x7f", "\x85", "\xa0", "\xad", "\u200b", "\u200d", "\u202e", "\u2066", "\u2028", "\u2029",
    "\u3000", "\ufeff", "\ufffe", "\U0001fffe", "\ud800", "\udfff", "é", "e\u0301", "日本語", "שלום", "🎉", "👩‍💻", "İ",
    "ß", ";", "&&", "a", "b", " ", "  ", "0", "9", "-", "_", ".", "x" * 64,
]  # fmt: skip
# What some reader of YAML takes for something else than text, and what ends a heading of Markdown.
WORDS = ["1.e5", "1e3", "0x1f", "0o17", "1_000", "1:30", "y", "null", "~", ".inf", "2026-11-24", "a #", "# #", "-1"]
# One of each kind that no format, or not each, holds in a line of text.
CONTROLS = [f"a{control}b" for control in "\0\t\n\r\x1b\x7f\x85\u2028\u2029\ufeff\uffff\ud800"]
PIECES = st.lists(st.sampled_from(SYNTAX), max_size=6).map("".join)
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=60)
PRINTABLE = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=210)


@st.composite
def edited(draw: st.DrawFn, legal: str) -> str:
    """A legal answer with one thing put in, put for another, or taken out."""
    at = draw(st.sampled_from([0, len(legal)]) | st.integers(0, len(legal)))
    return legal[:at] + draw(st.sampled_from(["", *SYNTAX])) + legal[at + draw(st.integers(0, 1)) :]


@st.composite
def reshaped(draw: st.DrawFn, legal: str) -> str:
    """A legal answer with other words and numbers of any length, which is mostly legal too."""
    pieces = re.findall(r"[a-z]+|[0-9]+|[A-Z]+|.", legal, re.DOTALL)
    words = [index for index, piece in enumerate(pieces) if piece.isascii() and piece.isalnum()]
    for index in draw(st.lists(st.sampled_from(words), min_size=1, max_size=2)) if words else []:
        piece = pieces[index]
        alphabet = "0123456789" if piece.isdigit() else "abcdefinosuxy-" if piece.islower() else "ABCXYZ"
        longest = draw(st.sampled_from([len(piece), 3, 64]))
        pieces[index] = draw(st.text(alphabet, min_size=1, max_size=longest))
    return "".join(pieces)


def long(legal: str) -> st.SearchStrategy[str]:
    return st.sampled_from([2, 3, 10, 70, 300, 5000]).map(lambda times: (legal or "x") * times)


def near(legal: str) -> st.SearchStrategy[str]:
    return st.one_of(reshaped(legal), edited(legal), st.just(legal), long(legal))


def texts(question: Question, default: Any) -> st.SearchStrategy[Any]:
    legal = st.sampled_from(seeds(question, default))
    return st.one_of(legal.flatmap(reshaped), legal.flatmap(near), legal.flatmap(reshaped), PIECES, PRINTABLE, ANYTHING)


def numbers(question: Question, default: Any) -> st.SearchStrategy[Any]:
    legal = st.sampled_from(seeds(question, default))
    near_it = st.builds(int.__add__, legal, st.integers(-2, 2))
    within = st.integers(min(seeds(question, default)), max(seeds(question, default)))
    odd = st.one_of(st.floats(), st.booleans(), PIECES, legal.map(str).flatmap(near), st.integers().map(str))
    return st.one_of(near_it, within, within, st.integers(-(10**6), 10**6), st.integers(), odd)


def values(question: Question, default: Any) -> st.SearchStrategy[Any]:
    return (numbers if question.kind == "int" else texts)(question, default)


@pytest.fixture(scope="module")
def fuzz(projects: Projects) -> Fuzz:
    return Fuzz(projects)


def is_its_sentence(refused: RefusedError, name: str) -> bool:
    """A message starts with "must" or the question, and is one line with a full stop."""
    sentence = refused.sentence
    own = refused.question == name and sentence.startswith("must ")
    number = sentence == f"{name} must be a whole number."
    other = sentence.startswith(f"must differ from {name}, which is ")
    return (own or number or other) and sentence.endswith(".") and "\n" not in sentence


def test_expected_questions_are_asked(fuzz: Fuzz) -> None:
    assert fuzz.names == OPEN


@pytest.mark.parametrize("name", OPEN)
def test_any_answer_is_refused_or_read_back_unchanged(fuzz: Fuzz, name: str) -> None:
    bases = fuzz.bases(name)
    accepted: set[Any] = set()
    refused: set[str] = set()

    @settings(FIXED, max_examples=50)
    @given(base=st.sampled_from(bases), value=values(fuzz.questions[name], bases[0].context[name]))
    def check(base: Base, value: Any) -> None:
        try:
            fuzz.check(base, {name: value})
            accepted.add(value)
        except RefusedError as error:
            refused.add(str(value))
            if not is_its_sentence(error, name):
                raise AssertionError(f"{name}={value!r} is refused with {error.sentence!r}") from error

    question, default = fuzz.questions[name], bases[0].context[name]
    near_bounds = [seed + step for seed in seeds(question, default) for step in (-1, 1) if question.kind == "int"]
    for one in (*seeds(question, default), *WORDS, *CONTROLS, *near_bounds, fuzz.longest(bases[0], name)):
        check = example(base=bases[0], value=one)(check)
    check()
    assert len(accepted) >= 4, f"hardly any answer to {name} is accepted: {accepted}"
    assert len(refused) >= 4, f"hardly any answer to {name} is refused: {refused}"


Crowds = list[tuple[Base, dict[str, Any]]]


@pytest.fixture(scope="module")
def crowds(fuzz: Fuzz) -> Crowds:
    """Answers to all open questions at once, any two of which meet here: drawn or known ones, then the longest."""
    found: Crowds = []
    bases = fuzz.crowded()

    @settings(FIXED, max_examples=16)
    @given(data=st.data())
    def draw(data: st.DataObject) -> None:
        base = data.draw(st.sampled_from(bases))
        answers = {name: fuzz.plain(base, name, kind_of(name, base.context[name]))[0] for name in base.asked}
        for name in base.asked:
            question, default = fuzz.questions[name], base.context[name]
            for value in data.draw(values(question, default)), data.draw(st.sampled_from(seeds(question, default))):
                with contextlib.suppress(RefusedError):
                    answers[name] = fuzz.ask(base, {**answers, name: value})[name]
                    break
        found.append((base, answers))

    draw()
    return found + [(base, {name: fuzz.longest(base, name) for name in base.asked}) for base in bases]


def test_answers_to_all_questions_at_once_read_back_unchanged(fuzz: Fuzz, crowds: Crowds) -> None:
    for base, drawn in crowds:
        fuzz.check(base, drawn)


def test_make_and_bash_read_every_answer_unchanged(fuzz: Fuzz, crowds: Crowds, tmp_path: Path) -> None:
    plain = [fuzz.beside(base, drawn) for base, drawn in crowds[::2]]
    projects = [
        fuzz.files(fuzz.ask(base, answers))
        for (base, drawn), known in zip(crowds[::2], plain, strict=True)
        for answers in (known.one, known.other, drawn)
    ]
    commands = run_by_make_and_bash(projects, tmp_path)
    trees = iter(commands)
    for known, (_, drawn) in zip(plain, crowds[::2], strict=True):
        known.compare("Makefile", drawn, next(trees), next(trees), next(trees))
    landed = "".join(str(command) for command in commands)
    for name in ("service_name", "namespace", "image_repository", "cluster_domain", "port"):
        assert any(str(known.one[name]) in landed for known in plain if name in known.one), f"no command holds {name}"


def test_longest_answers_follow_all_rules(projects: Projects, crowds: Crowds) -> None:
    for base, drawn in crowds[-2:]:
        files = {path: file.content for path, file in projects.render({**base.answers, **drawn}).items()}
        found = [str(finding) for rule in rules() for finding in rule.check(files)]
        assert not found, f"with {base.answers | drawn}"
