"""`copier update` brings a later version and keeps what the team changed, added, deleted and answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.updates.fast_copier import FastCopier
from tests.e2e.updates.project import (
    CHANGED,
    NOW,
    VERSIONS,
    History,
    assert_same,
    change,
    commit,
    files,
    names_of_answers,
    start,
    stored,
    update,
    update_again,
    work,
)
from tests.harness import Projects, Space
from tests.harness_tests.test_projects import git


@pytest.fixture(scope="module")
def fast() -> Iterator[FastCopier]:
    fast = FastCopier()
    yield fast
    fast.close()


@pytest.mark.parametrize(
    ("version", "name"), [(version, name) for version in VERSIONS for name in names_of_answers(version)]
)
def test_update_keeps_the_changes_of_a_team(
    history: History, fast: FastCopier, projects: Projects, tmp_path: Path, version: str, name: str
) -> None:
    project, changed = tmp_path / "project", CHANGED.get(name, {})
    with fast():
        wanted = work(project, history, projects, version, name)
        before = stored(project)
        update(project, changed)
        now = stored(project)
        kept = {name: value for name, value in before.items() if name in now} | changed
        assert kept == {name: now[name] for name in kept}, "an answer is lost or replaced"
        assert_same(files(project), wanted)
        if not changed:
            update_again(project)


@pytest.mark.parametrize("version", VERSIONS)
def test_answers_of_earlier_versions_remain_valid(history: History, space: Space, version: str) -> None:
    """Copier silently replaces an invalid old answer with the default."""
    for most in (True, False):
        answers = history.space(version).extreme(most=most)
        accepted = space.accepted(answers)
        for name, values in history.space(version).accepted(answers).items():
            assert set(values) <= set(accepted.get(name, values)), f"{name} is refused now"


def test_a_project_keeps_a_choice_that_its_company_hides_later(history: History, tmp_path: Path) -> None:
    repository, project = tmp_path / "fork", tmp_path / "project"
    git(tmp_path, "clone", "--quiet", str(history.repository), str(repository))
    start(repository, project, {"project_name": "Shop", "language": "typescript", "ci_provider": "circleci"}, NOW)
    company = "{% set company = {'hidden': {'language': ['typescript'], 'ci_provider': ['circleci']}} %}\n"
    (repository / "extensions/company.jinja").write_text(company)
    before = stored(project)
    for version in ("1000.0.0", "1000.1.0"):
        change(repository / "template/kubernetes/base/deployment.yaml.jinja", "minReadySeconds: ", "minReadySeconds: 1")
        commit(repository)
        git(repository, "tag", f"v{version}")
        update(project, {})
        commit(project)
    assert stored(project) == before
    assert "minReadySeconds: 115\n" in (project / "kubernetes/base/deployment.yaml").read_text()
