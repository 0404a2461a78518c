"""Every branch is taken by some answers, every file read by some check, and no more or less read than foreseen."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import jinja2
import pytest

from tests import test_circleci, test_compose, test_dockerfile, test_files, test_github, test_gitlab, test_projects
from tests.harness.coverage import Branch, Coverage, Seen
from tests.judge import Judge
from tests.render import Rendered, Renderer
from tests.space import Answers, Question, Space
from tests.template import Part, Source, Template, choices
from tests.test_questions import NO_NUMBERS, REFUSED
from tests.validators import Files, Finding, PartedFiles, text

# These find the same faults in any text: they read no file for what it says.
GENERIC: tuple[object, ...] = (text.check, text.check_markers)
FIXTURES = {"template", "tmp_path", "tmp_path_factory"}  # that every test may want


@dataclass
class Walk:
    """What was seen when everything that Jinja reads was rendered in every distinct way."""

    template: Template
    parts: dict[tuple[Source, Part], Seen] = field(default_factory=dict)
    questions: dict[str, Seen] = field(default_factory=dict)
    others: list[Seen] = field(default_factory=list)

    @property
    def coverage(self) -> Coverage:
        return cast(Coverage, self.template.env.extensions[Coverage.identifier])

    def taken(self) -> set[int]:
        everything = [*self.parts.values(), *self.questions.values(), *self.others]
        return {branch for seen in everything for branch in seen.taken}

    def taken_by(self, source: Source) -> set[int]:
        """The branches that a file takes."""
        return {number for (one, _), seen in self.parts.items() if one.path == source.path for number in seen.taken}

    def answers_read(self, seen: Seen) -> set[str]:
        return seen.names & self.template.questions.keys()

    def where(self, branch: Branch) -> str:
        """The branch, and the line in which it stands."""
        file, _, first = branch.file.partition(":")
        line = int(first or 1) + branch.line - 1
        written = (self.template.folder / file).read_text().splitlines()[line - 1]
        return f"{branch._replace(file=file, line=line)}\n      {written.strip()}"


class _WatchedSpace(Space):
    """Tells what each question reads."""

    def __init__(self, walk: Walk) -> None:
        super().__init__(walk.template)
        self._walked = walk

    def _find_values(self, question: Question, context: Answers, awkward: bool) -> Any:
        seen = self._walked.questions.setdefault(question.name, Seen(set(), set()))
        now = self._walked.coverage.watch()
        try:
            return super()._find_values(question, context, awkward)
        finally:
            seen.taken.update(now.taken)
            seen.names.update(now.names)


@pytest.fixture(scope="module")
def walk(template: Template, renderer: Renderer) -> Walk:
    walk = Walk(Template(template.folder, Coverage))
    for plain, source in zip(template.sources, walk.template.sources, strict=True):
        tested = source.parts and "_copier_answers" not in source.reads
        contexts = list(_contexts(renderer, plain)) if tested else []
        for part in source.parts:
            walk.parts[source, part] = walk.coverage.watch()
            for values in dict.fromkeys(tuple(context[name] for name in part.reads) for context in contexts):
                part.template.render(zip(part.reads, values, strict=True))
    space = _WatchedSpace(walk)
    for question in space.questions.values():
        for _, context in space.combinations(question.reads):
            space._values(question, context, awkward=True)
    walk.others.append(walk.coverage.watch())
    Renderer(walk.template, space).project({"project_name": "Shop"})
    for written in _texts_that_decide_nothing(walk.template):
        for _, context in space.combinations(walk.template.names_in(written)):
            walk.template.env.from_string(written).render({**context, "_copier_conf": space._conf})
    known: dict[str, Answers] = {}
    for name, wrong, others, _ in REFUSED:
        known[str(others)] = known.get(str(others)) or _after(walk.template, others)
        assert space.refuses(name, wrong, known[str(others)]), (name, wrong)
    with pytest.raises(ValueError, match="there is no question databse"):
        _after(walk.template, {"databse": "postgres"})
    for name, wrong, others, rule in NO_NUMBERS:
        with pytest.raises(ValueError, match=f"{name} {rule}"):
            _after(walk.template, {name: wrong, **others})
    for written in walk.template.places:
        walk.template.env.from_string(written)
    for path in (walk.template.folder / "extensions").glob("*.jinja"):
        walk.template.env.get_template(f"extensions/{path.name}")
    return walk


def _contexts(renderer: Renderer, source: Source) -> Iterator[Mapping[str, Any]]:
    """All with which it is rendered."""
    folders: dict[tuple[Any, ...], str] = {}
    for _, context in renderer._combinations(source.reads, awkward=True):
        key = tuple(context[name] for name in renderer.template.names_in(str(source.path)))
        if key not in folders:
            folders[key] = renderer._path(source, context)
        if folders[key]:
            yield context


def _after(template: Template, answers: Mapping[str, Any]) -> Answers:
    """What is known when a person has given these answers."""
    worker = template.worker({"project_name": "Shop", **answers})
    worker._ask()
    return {name: value for name, value in worker._render_context().items() if name in template.questions}


def _texts_that_decide_nothing(template: Template) -> list[str]:
    messages = [value for name, value in template.settings.items() if name.startswith("message_")]
    return [*messages, *(details["help"] for details in template.questions.values() if "help" in details)]


def test_every_branch_is_taken(walk: Walk, judge: Judge) -> None:
    single = {
        name for name, details in walk.template.questions.items() if len(choices(details.get("choices", []))) == 1
    }
    taken = walk.taken()
    missed = [
        branch
        for branch, number in walk.coverage.branches.items()
        # What looks for the one choice that a question has so far waits for the second.
        if number not in taken and not (set(branch.names) <= single and branch.arm == "is never false" and branch.names)
    ]
    judge.count("branches of the template, each taken", len(walk.coverage.branches) - len(missed))
    assert not missed, "no answers take these:\n" + "\n".join(f"  {walk.where(branch)}" for branch in sorted(missed))


def test_every_part_reads_exactly_what_the_analysis_says(walk: Walk) -> None:
    """Fewer would overlook an answer that changes the file, more would render it again and again for nothing."""
    for (source, part), seen in walk.parts.items():
        if "_copier_answers" not in source.reads:
            assert walk.answers_read(seen) == set(part.reads), f"a part of template/{source.path}"


def test_every_file_reads_exactly_what_the_analysis_says(walk: Walk) -> None:
    for source in walk.template.sources:
        if "_copier_answers" not in source.reads:
            read = {name for part in source.parts for name in walk.answers_read(walk.parts[source, part])}
            assert read | set(walk.template.names_in(str(source.path))) == source.reads, f"template/{source.path}"


def test_every_question_reads_exactly_what_the_analysis_says(walk: Walk, space: Space) -> None:
    for name, question in space.questions.items():
        assert walk.answers_read(walk.questions[name]) == set(question.reads), name


def test_a_file_that_is_given_every_answer_reads_no_other(walk: Walk, space: Space) -> None:
    """A part is rendered with what it is known to read; here nothing is kept from it."""
    renderer = Renderer(walk.template, space)
    draw = random.Random(1)  # noqa: S311
    for answers, _ in draw.sample(space.pairs(), 20):
        worker = walk.template.worker(answers)
        worker._ask()
        context = worker._render_context()
        for source in walk.template.sources:
            if "_copier_answers" not in source.reads:
                seen = walk.coverage.watch()
                if renderer._path(source, context):
                    renderer._whole(source, context)
                assert walk.answers_read(seen) <= source.reads, f"template/{source.path} with {answers}"


class _Few(Renderer):
    """Renders no more projects than hold each file once."""

    def __init__(self, renderer: Renderer) -> None:
        super().__init__(renderer.template, renderer.space)
        self.paths: set[str] = set()
        self.projects: list[tuple[Answers, Answers]] = []
        for answers, context in self.space.pairs(awkward=False):
            paths = {self._path(source, context) for source in self._everything() if source.content is not None} - {""}
            if not paths <= self.paths:
                self.paths |= paths
                self.projects.append((answers, context))

    def _combinations(self, *_: object, **__: object) -> Iterable[tuple[Answers, Answers]]:
        return self.projects

    def _pairs(self, *_: object) -> list[tuple[Answers, Answers]]:
        return []


class _Noted(dict[str, tuple[bytes, ...]]):
    """Parts of files that note whose content is read."""

    def __init__(self, parts: dict[str, tuple[bytes, ...]], read: set[str]) -> None:
        super().__init__(parts)
        self._read = read

    def __getitem__(self, path: str) -> tuple[bytes, ...]:
        self._read.add(path)
        return super().__getitem__(path)

    def get(self, path: str, default: Any = None) -> Any:
        return self[path] if path in self.keys() else default


class _Reader(Judge):
    """Lets every check read but those that read nothing for what it says; what they find is for other tests."""

    def __call__(self, rendered: Iterable[Rendered], check: Callable[[Files], Iterable[Finding]]) -> None:
        if check not in GENERIC:
            super().__call__(rendered, check)

    def found(self, results: Iterable[tuple[Rendered, Iterable[Finding]]]) -> None:
        for _, findings in results:
            list(findings)

    def count(self, what: str, number: int | str) -> None:
        pass


def _tests() -> Iterator[tuple[Callable[..., None], list[str]]]:
    """Those that judge rendered files, with what they want; without the few that want fixtures of their own."""
    for module in (test_circleci, test_compose, test_dockerfile, test_files, test_github, test_gitlab, test_projects):
        for name, test in vars(module).items():
            wanted = list(inspect.signature(test).parameters) if name.startswith("test_") else []
            if {"renderer", "judge"} <= set(wanted) <= {"renderer", "judge", *FIXTURES}:
                yield test, wanted


def test_every_file_is_read_by_some_check(
    walk: Walk,
    renderer: Renderer,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tests of rendered files run on a few projects, whose files note who reads them."""
    few = _Few(renderer)
    assert few.paths == {path for source in few._everything() for path in few.targets(source) if path[-1] != "/"}
    read: set[str] = set()

    class Noting(PartedFiles):
        def __init__(self, parts: dict[str, tuple[bytes, ...]]) -> None:
            super().__init__(_Noted(parts, read))

    monkeypatch.setattr("tests.render.PartedFiles", Noting)
    for test, wanted in _tests():
        given = {"renderer": few, "judge": _Reader(), "tmp_path": tmp_path_factory.mktemp("read")}
        test(**{name: given[name] if name in given else request.getfixturevalue(name) for name in wanted})
    unread = few.paths - read
    lost = {
        walk.where(branches[number])
        for branches in [list(walk.coverage.branches)]
        for source in few._everything()
        if unread & few.targets(source)
        for number in walk.taken_by(source)
    }
    assert not unread, f"no check reads {', '.join(sorted(unread))}, nor what these decide there:\n" + "\n".join(
        sorted(lost)
    )


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
def test_a_branch_that_is_not_taken_is_told(written: str, contexts: list[dict[str, Any]], missed: list[str]) -> None:
    env = jinja2.Environment(extensions=[Coverage], autoescape=False)  # noqa: S701
    plain = jinja2.Environment(autoescape=False)  # noqa: S701
    coverage = cast(Coverage, env.extensions[Coverage.identifier])
    for context in contexts:
        assert env.from_string(written).render(context) == plain.from_string(written).render(context)
    told = [str(branch) for branch, number in coverage.branches.items() if number not in coverage.seen.taken]
    assert sorted(told) == [f"a text:{line}" for line in missed]


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
def test_a_name_that_is_read_is_told(written: str, context: dict[str, Any], names: set[str]) -> None:
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
        "            - name: {{ name }}",
    ),
    "what is included": (".gitignore", "/secrets/", "extensions/gitignore.jinja", "/secrets/"),
    "no template": ("app/logs.py", "import logging", "template/{{ python }}/app/logs.py", "import logging"),
}


@pytest.mark.parametrize(("path", "start", "file", "written"), PLACES.values(), ids=PLACES)
def test_a_line_tells_where_it_comes_from(
    renderer: Renderer, template: Template, path: str, start: str, file: str, written: str
) -> None:
    answers: Answers = {"customize": True, "exposure": "ingress", "ingress_class": "traefik"}
    lines = renderer.project({"project_name": "Shop", **answers})[path].content.decode().splitlines()
    number = next(number for number, line in enumerate(lines, 1) if line.startswith(start))
    found, _, line = renderer.origin(path, number, _after(template, answers)).rpartition(":")
    assert found == file
    assert (template.folder / file).read_text().splitlines()[int(line) - 1].startswith(written)


def test_every_line_of_plain_text_is_the_one_from_which_it_comes(
    renderer: Renderer, template: Template, space: Space
) -> None:
    draw = random.Random(1)  # noqa: S311
    texts: dict[str, list[str]] = {}
    for _, context in draw.sample(space.pairs(), 5):
        for source in renderer._everything():
            file = renderer._file(source, context)
            if file and source.is_template:
                lines = b"".join(file[1]).decode().split("\n")
                for line, place in zip(lines[:-1], renderer._origins(source, context)[:-1], strict=True):
                    name, _, number = place.rpartition(":")
                    if name not in texts:
                        texts[name] = (template.folder / name).read_text().split("\n")
                    written = texts[name][int(number) - 1]
                    assert line == written or re.search("{[{%#]|[#%}]}", written), f"{file[0]}: {line!r} from {place}"


def test_a_line_after_the_last_comes_from_there(renderer: Renderer, template: Template) -> None:
    context = _after(template, {})
    number = renderer.project({"project_name": "Shop"})["Makefile"].content.count(b"\n")
    assert renderer.origin("Makefile", 10 * number, context) == renderer.origin("Makefile", number, context)
    with pytest.raises(ValueError, match="nothing of the template makes"):
        renderer.origin("nothing", 1, context)
