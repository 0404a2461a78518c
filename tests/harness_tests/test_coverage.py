"""Every branch of the template is reached by some answers, and exactly the analyzed names are read."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import jinja2
import pytest

from tests.harness import ROOT, Projects, Space, Template
from tests.harness.coverage import Branch, Coverage, Seen
from tests.harness.dialog import Dialog
from tests.harness.space import Question
from tests.harness.template import COMPANY
from tests.options import EDGE_CASES, REPRESENTATIVES, TEXTS
from tests.test_questions import NUMBERS, ROWS
from tests.test_quoting import AWKWARD_WORDS


@dataclass
class Walk:
    """What was seen when everything that Jinja reads was rendered in every distinct way."""

    template: Template
    space: Space
    sources: dict[str, Seen] = field(default_factory=dict)
    questions: dict[str, Seen] = field(default_factory=dict)
    others: list[Seen] = field(default_factory=list)

    @property
    def coverage(self) -> Coverage:
        return cast(Coverage, self.template.env.extensions[Coverage.identifier])

    def taken(self) -> set[int]:
        everything = [*self.sources.values(), *self.questions.values(), *self.others]
        return {branch for seen in everything for branch in seen.taken}

    def answers_read(self, seen: Seen) -> set[str]:
        return seen.names & self.template.questions.keys()

    def where(self, branch: Branch) -> str:
        """The branch, and the line in which it stands."""
        file, _, first = branch.file.partition(":")
        line = int(first or 1) + branch.line - 1
        written = (self.template.folder / file).read_text().splitlines()[line - 1]
        return f"{branch._replace(file=file, line=line)}\n      {written.strip()}"


class _WatchedSpace(Space):
    """Notes what each question reads."""

    def __init__(self, template: Template, coverage: Coverage, questions: dict[str, Seen]) -> None:
        self._coverage, self._seen = coverage, questions
        super().__init__(template, REPRESENTATIVES, EDGE_CASES, TEXTS)

    def _find_values(self, question: Question, *arguments: Any, **options: Any) -> Any:
        seen = self._seen.setdefault(question.name, Seen(set(), set()))
        now = self._coverage.watch()
        try:
            return super()._find_values(question, *arguments, **options)
        finally:
            seen.taken.update(now.taken)
            seen.names.update(now.names)


@pytest.fixture(scope="module")
def walk(template: Template) -> Walk:
    watched = Template(template.folder, Coverage)
    coverage = cast(Coverage, watched.env.extensions[Coverage.identifier])
    questions: dict[str, Seen] = {}
    walk = Walk(watched, _WatchedSpace(watched, coverage, questions), questions=questions)
    walk.space.table  # noqa: B018
    projects = Projects(watched, walk.space)
    for source in watched.sources:
        if not source.is_answers_file:
            walk.sources[str(source.path)] = coverage.watch()
            for row in walk.space.rows(source.reads & watched.questions.keys()).iter_rows(named=True):
                context = walk.space.context(row)
                if projects.path(source, context):
                    projects.body(source, context)
    walk.others.append(coverage.watch())
    projects.render({"project_name": "Shop"})
    _render_messages(walk)
    _give_invalid_answers(walk)
    for written in watched.places:
        watched.env.from_string(written)
    for path in (watched.folder / "extensions").glob("*.jinja"):
        watched.env.get_template(f"extensions/{path.name}")
    return walk


def _render_messages(walk: Walk) -> None:
    """The texts that decide nothing."""
    template = walk.template
    messages = [value for name, value in template.settings.items() if name.startswith("message_")]
    for written in [*messages, *(details["help"] for details in template.questions.values() if "help" in details)]:
        for row in walk.space.rows(template.names_in(written)).iter_rows(named=True):
            for folder in ("/project", ROOT / "shop"):  # alone, or in a repository
                context = {**walk.space.context(row), "_copier_conf": {"dst_path": folder}}
                template.env.from_string(written).render(context)


def _give_invalid_answers(walk: Walk) -> None:
    """What questions refuse, an answer to one that is not asked, and words that YAML would not read as text."""
    dialog = Dialog(walk.space)
    for name, answer, _ in ROWS:
        assert dialog.refusal({**dialog.fewest(name), name: answer}), (name, answer)
    for answers in ({"databse": ""}, {"monitoring": True, "log_agent": True}, dict.fromkeys(NUMBERS, "two")):
        assert dialog.refusal(answers), answers
    at_the_prompt = walk.space.complete({"customize": True})[1]
    assert walk.space.refuses("metrics_port", at_the_prompt["port"], at_the_prompt)
    for word in AWKWARD_WORDS:
        cast(Any, walk.template.env.get_template("extensions/escapes.jinja").module).yaml_word(word, 2)


def test_every_branch_is_taken(walk: Walk, projects: Projects) -> None:
    taken = walk.taken()
    # A company has values or none: `make test COMPANY=tests/company.jinja` takes the other arms.
    others = ("is never false",) if COMPANY else ("is never false", "is never true", "never runs")
    missed = [
        branch
        for branch, number in walk.coverage.branches.items()
        if number not in taken
        and not (branch.arm in others and "company.get(" in walk.where(branch))
        and not re.search(r"in hidden\.|get\(\"hidden\"\)", walk.where(branch))
    ]
    projects.count("branches of the template, each taken", len(walk.coverage.branches) - len(missed))
    assert not missed, "no answers take these:\n" + "\n".join(f"  {walk.where(branch)}" for branch in sorted(missed))


def test_every_file_reads_exactly_the_analyzed_names(walk: Walk) -> None:
    """Fewer would overlook an answer that changes the file, more would render it again and again for nothing."""
    for source in walk.template.sources:
        if not source.is_answers_file:
            read = walk.answers_read(walk.sources[str(source.path)]) | source.name_reads
            assert read == source.reads, f"template/{source.path}"


def test_every_question_reads_exactly_the_analyzed_names(walk: Walk) -> None:
    for name, question in walk.space.questions.items():
        assert walk.answers_read(walk.questions[name]) == set(question.reads), name


def test_file_of_all_answers_reads_no_other_name(walk: Walk) -> None:
    """A column is rendered with what its file is known to read; here nothing is kept from it."""
    projects = Projects(walk.template, walk.space)
    for row in walk.space.table.sample(20, seed=1).iter_rows(named=True):
        context = projects.context(walk.space.given(row))
        for source in walk.template.sources:
            if not source.is_answers_file:
                seen = walk.coverage.watch()
                if projects.path(source, context):
                    projects.body(source, context)
                assert walk.answers_read(seen) <= source.reads, f"template/{source.path}"


# Text, the contexts with which it is rendered, and the arms that these leave out.
BRANCHES: list[tuple[str, list[dict[str, Any]], list[str]]] = [
    ("{% if a %}{% endif %}", [{"a": 1}], ["1: `if` on a is never false"]),
    ("{% if a %}{% endif %}", [{"a": 1}, {"a": 0}], []),
    ("{% if a %}\n{% elif b %}\n{% endif %}", [{"a": 1}, {"a": 0, "b": 1}], ["2: `if` on b is never false"]),
    ("{% if a %}{% elif b %}{% endif %}", [{"a": 0, "b": 0}, {"a": 1}], ["1: `if` on b is never true"]),
    ("\n{{ 1 if a else 2 }}", [{"a": 0}], ["2: `inline if` on a is never true"]),
    ("{{ 1 if true else 2 }}", [{}], ["1: `inline if` is never false"]),
    ("{{ 1 if a }}{{ 1 if b }}", [{"a": 1, "b": 0}, {"a": 0, "b": 0}], ["1: `inline if` on b is never true"]),
    ("{% for x in a %}{% endfor %}", [{"a": []}], ["1: `for` never runs"]),
    ("{% for x in a %}{% else %}none{% endfor %}", [{"a": [1]}], ["1: `for` never runs its else"]),
    ("{% for x in a if x %}{% endfor %}", [{"a": [1]}], ["1: `for … if` on x is never false"]),
    ("{% macro m() %}{% endmacro %}", [{}], ["1: `macro m` never runs"]),
    ("{% macro m() %}{{ 1 if a }}{% endmacro %}{{ m() }}", [{"a": 1}], ["1: `inline if` on a is never false"]),
    ("{% macro m() %}{{ caller }}{% endmacro %}{% call m() %}{% endcall %}", [{}], ["1: `call` never runs"]),
    ("{% if a %}{% set b %}{% endset %}{% endif %}", [{"a": 0}], ["1: `if` on a is never true", "1: `set` never runs"]),
    ("{% if a %}{% filter upper %}{% endfilter %}{% endif %}", [{"a": 1}, {"a": 0}], []),
]  # fmt: skip


@pytest.mark.parametrize(("written", "contexts", "missed"), BRANCHES, ids=[row[0] for row in BRANCHES])
def test_untaken_branch_is_reported(written: str, contexts: list[dict[str, Any]], missed: list[str]) -> None:
    env = jinja2.Environment(extensions=[Coverage], autoescape=False)  # noqa: S701
    plain = jinja2.Environment(autoescape=False)  # noqa: S701
    coverage = cast(Coverage, env.extensions[Coverage.identifier])
    for context in contexts:
        assert env.from_string(written).render(context) == plain.from_string(written).render(context)
    reported = [str(branch) for branch, number in coverage.branches.items() if number not in coverage.seen.taken]
    assert sorted(reported) == [f"a text:{line}" for line in missed]


@pytest.mark.parametrize(
    ("written", "context", "names"),
    [
        ("{{ a if b else c }}", {"b": 1, "a": 1}, {"a", "b"}),
        ("{{ a | default(1) }}", {}, {"a"}),
        ("{% set a = 1 %}{{ a }}", {}, set()),
        ("{% for a in b %}{{ a }}{% endfor %}", {"b": [1]}, {"b"}),
        ("{% macro m(a) %}{{ a ~ b }}{% endmacro %}{{ m(1) }}", {}, {"b"}),
    ],
)
def test_read_name_is_reported(written: str, context: dict[str, Any], names: set[str]) -> None:
    env = jinja2.Environment(extensions=[Coverage], autoescape=False)  # noqa: S701
    env.from_string(written).render(context)
    assert cast(Coverage, env.extensions[Coverage.identifier]).seen.names == names


# The start of a rendered line, and of the template's line that makes it.
PLACES = {
    "text": ("Makefile", ".PHONY: up", "template/Makefile.jinja", ".PHONY: up"),
    "a macro's call": ("README.md", "# Shop", "template/README.md.jinja", "# {{ markdown("),
    "an if": (
        "kubernetes/base/ingress.yaml",
        "  ingressClassName: ",
        "template/kubernetes/base/{{ ingress }}/ingress.yaml.jinja",
        "  ingressClassName: {{ ",
    ),
    "a for": (
        "kubernetes/database/statefulset.yaml",
        "            - name: POSTGRES_USER",
        "template/kubernetes/{{ has_database }}/database/statefulset.yaml.jinja",
        "            - name: {{ yaml_word(name) }}",
    ),
    "what is included": (".gitignore", "/secrets/", "extensions/gitignore.jinja", "/secrets/"),
    "no template": ("app/logs.py", "import logging", "template/{{ python }}/app/logs.py", "import logging"),
}


@pytest.mark.parametrize(("path", "start", "file", "written"), PLACES.values(), ids=PLACES)
def test_line_is_traced_to_its_template(projects: Projects, path: str, start: str, file: str, written: str) -> None:
    answers = {"project_name": "Shop", "customize": True, "exposure": "ingress", "ingress_class": "traefik"}
    lines = projects.render(answers)[path].content.decode().splitlines()
    number = next(number for number, line in enumerate(lines, 1) if line.startswith(start))
    found, _, line = projects.origin(path, number, projects.context(answers)).rpartition(":")
    assert found == file
    assert (projects.template.folder / file).read_text().splitlines()[int(line) - 1].startswith(written)


def test_every_plain_line_equals_its_source(projects: Projects, space: Space) -> None:
    texts: dict[str, list[str]] = {}
    for _, context in random.Random(1).sample(space.pairs(), 5):  # noqa: S311
        for line, written, place in _lines(projects, context, texts):
            assert line == written or re.search("{[{%#]|[#%}]}", written), f"{line!r} from {place}"


def _lines(
    projects: Projects, context: Mapping[str, Any], texts: dict[str, list[str]]
) -> Iterator[tuple[str, str, str]]:
    """Each line of what templates render, the template's line from which it comes, and its place."""
    for source in projects.template.sources:
        if source.is_template and not source.is_answers_file and projects.path(source, context):
            lines = projects.body(source, context).decode().split("\n")
            for line, place in zip(lines[:-1], projects.origins(source, context)[:-1], strict=True):
                name, _, number = place.rpartition(":")
                if name not in texts:
                    texts[name] = (projects.template.folder / name).read_text().split("\n")
                yield line, texts[name][int(number) - 1], place


def test_a_line_after_the_last_comes_from_there(projects: Projects) -> None:
    context = projects.context({})
    number = projects.render({"project_name": "Shop"})["Makefile"].content.count(b"\n")
    assert projects.origin("Makefile", 10 * number, context) == projects.origin("Makefile", number, context)
    with pytest.raises(ValueError, match="nothing of the template makes"):
        projects.origin("nothing", 1, context)
