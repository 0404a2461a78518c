"""What is found by way of few answers is what a look at each project finds."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.reach import Reach, Row, _decisive
from tests.render import Renderer
from tests.space import Space
from tests.template import Template
from tests.test_projects import checks
from tests.validators import Check, Files, Finding, by_line, derive, is_at, named, text

# Faults that need two answers to show, or an awkward one: the file, a text in it, and what stands there instead.
FAULTS = [
    (
        "template/README.md.jinja",
        "http://localhost:{{ port }}",
        "http://localhost:{{ port + (1 if redis and monitoring else 0) }}",
    ),
    ("template/README.md.jinja", "`common.yml`", "`{{ 'commons' if has_ci and monitoring else 'common' }}.yml`"),
    ("template/README.md.jinja", "make logs\n", "make {{ 'log' if kops and mysql else 'logs' }}\n"),
    ("template/README.md.jinja", "## Develop", "{{ '####' if namespace | length == 40 else '##' }} Develop"),
    ("template/kubernetes.mk.jinja", ".PHONY: deploy\n", ".PHONY: {{ 'x' if log_agent else '' }}deploy\n"),
    (
        "template/kubernetes/base/deployment.yaml.jinja",
        "runAsUser: 65532",
        "runAsUser: {{ 65533 if has_sql and replicas == 1 else 65532 }}",
    ),
    ("template/kubernetes/base/service.yaml.jinja", "  name: ", "  name: {{ 'a' if node_selector and gateway_api }}"),
    ("extensions/gitignore.jinja", "/secrets/", "/secrets/\n/kubernetes/monitoring/"),
]
EMPTY = "template/{{ kops }}/{{ if_monitoring }}/empty"


@pytest.fixture(scope="module")
def broken(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    folder = tmp_path_factory.mktemp("broken") / "template"
    subprocess.run(["cp", "-a", template.folder, folder], check=True)
    for path, old, new in FAULTS:
        before = (folder / path).read_text()
        assert old in before, (path, old)
        (folder / path).write_text(before.replace(old, new, 1))
    (folder / EMPTY).mkdir(parents=True)
    broken = Template(folder)
    return Renderer(broken, Space(broken))


def test_every_project_is_known_for_what_a_look_at_it_finds(broken: Renderer) -> None:
    reach = Reach(broken)
    every = list(checks(sorted({path for source in broken._everything() for path in broken.targets(source)})))
    known = {finding for check in every for _, found in reach.every(check) for finding in found}
    runs = reach.runs
    seen: set[Finding] = set()
    for answers, context in broken.space.pairs(awkward=False):
        files = broken.one(answers, context, "*", "*/").files
        for check in every:
            found = list(check(files))
            assert reach.find(check, answers, context) == found, (check, answers)
            seen.update(found)
    assert reach.runs == runs, "not all that checks can be told was known"
    assert seen <= known
    assert {(finding.path, finding.check) for finding in seen} >= {
        ("README.md", "links"), ("README.md", "targets"), ("kubernetes/monitoring/servicemonitor.yaml", "ignored"),
        ("empty/", "empty"),
    }  # fmt: skip
    assert "starts with its only title" in str([finding for finding in known - seen if finding.check == "links"])


def reach_of(renderer: Renderer, check: Check) -> list[list[Finding]]:
    return [found for _, found in Reach(renderer).every(check) if found]


def test_each_combination_of_what_decides_a_finding_is_told(renderer: Renderer) -> None:
    def check(files: Files) -> Iterator[Finding]:
        if is_at(files, "kubernetes/monitoring") and "requirements.txt" in files:
            for path in named(files, text.MARKDOWN.fullmatch):
                yield Finding(path, "", "x", str(derive(files, "kubernetes/base/service.yaml", len)))

    results = [(rendered, found) for rendered, found in Reach(renderer).every(check) if found]
    assert {bool(rendered.context["monitoring"]) for rendered, _ in results} == {True}
    assert {rendered.context["exposure"] for rendered, _ in results} >= {"nodeport", "loadbalancer"}
    for rendered, found in results:
        assert list(check(dict(rendered.files))) == found


def test_a_function_that_needs_the_whole_file_is_refused(renderer: Renderer) -> None:
    length = by_line(lambda content: (len(content),))

    def check(files: Files) -> list[Finding]:
        return [Finding("README.md", "", "x", str(derive(files, "README.md", length)))]

    with pytest.raises(RuntimeError, match="something else than of its pieces"):
        reach_of(renderer, check)


def test_what_a_check_fails_on_is_no_pass(renderer: Renderer) -> None:
    def fail(content: bytes) -> int:
        raise ArithmeticError(len(content))

    def check(files: Files) -> list[Finding]:
        return [Finding("Makefile", "", "x", str(derive(files, "Makefile", fail)))]

    with pytest.raises(ArithmeticError):
        reach_of(renderer, check)


@pytest.mark.parametrize(
    ("rows", "places"),
    [
        ({(1, 1): "a", (1, 2): "a"}, []),
        ({(1, 1): "a", (1, 2): "b", (2, 1): "a", (2, 2): "b"}, [1]),
        ({(1, 1): "a", (1, 2): "b", (2, 1): "b", (2, 2): "a"}, [0, 1]),
        ({(1, 1, 1): "a", (2, 2, 1): "b", (1, 1, 2): "a", (2, 2, 2): "b"}, [1]),
        ({(1, 1, 1): "a", (2, 1, 2): "b", (1, 2, 1): "c"}, [1, 2]),
    ],
)
def test_few_places_decide(rows: dict[Row, object], places: list[int]) -> None:
    assert sorted(_decisive(rows)) == places
