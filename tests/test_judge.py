"""A failure says all that one needs to see it again."""

from __future__ import annotations

import pytest

from tests.judge import Judge, smallest
from tests.render import Rendered, Renderer
from tests.space import Answers
from tests.validators import Finding

ANSWERS: Answers = {"project_name": "Shop", "service_name": "shop", "database": "redis", "replicas": 1, "port": 3000}


@pytest.fixture
def rendered(renderer: Renderer) -> Rendered:
    files = {path: file.content for path, file in renderer.project(dict(ANSWERS)).items()}
    return Rendered(dict(ANSWERS), renderer.context(dict(ANSWERS)), files)


def failure(judge: Judge, rendered: Rendered, *findings: Finding) -> str:
    with pytest.raises(pytest.fail.Exception) as raised:
        judge.found([(rendered, findings)])
    return str(raised.value)


def test_it_names_files_lines_answers_check_and_commands(judge: Judge, rendered: Rendered) -> None:
    line = rendered.files["Dockerfile"].split(b"\n").index(b"EXPOSE 3000 9090") + 1
    told = failure(judge, rendered, Finding("Dockerfile", str(line), "expose", "is wrong"))
    assert f"  Dockerfile:{line}: is wrong [expose]\n" in told
    assert "    template  template/{{ python }}/Dockerfile.jinja:" in told
    assert "    answers   project_name='Shop' database='redis' port=3000\n" in told
    assert " --data=database=redis --data=port=3000 . ../project\n" in told
    assert "Check again: .venv/bin/pytest 'tests/test_judge.py::" in told


def test_it_names_the_file_of_what_kustomize_has_built(judge: Judge, rendered: Rendered) -> None:
    told = failure(judge, rendered, Finding("shop-staging", "Deployment/shop", "probes", "is wrong"))
    assert "    rendered  kubernetes/base/deployment.yaml:2\n" in told
    assert "    template  template/kubernetes/base/deployment.yaml.jinja:" in told


def test_of_two_answers_that_show_it_the_fewer_are_told(judge: Judge, renderer: Renderer, rendered: Rendered) -> None:
    finding = Finding("LICENSE", "1", "missing", "is not there")
    usual = Rendered({"project_name": "Shop"}, renderer.context({"project_name": "Shop"}), {"LICENSE": b""})
    with pytest.raises(pytest.fail.Exception) as raised:
        judge.found([(rendered, [finding]), (usual, [finding])])
    assert "database" not in str(raised.value)


def test_answers_that_change_nothing_are_left_out(renderer: Renderer, rendered: Rendered) -> None:
    finding = Finding("kubernetes/base/poddisruptionbudget.yaml", "1", "x", "is wrong")
    assert smallest(renderer, finding, rendered).keys() <= {"project_name", "replicas"}
