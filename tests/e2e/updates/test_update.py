"""`copier update` brings a later version and keeps what the team changed, added, deleted and answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.updates.fast_copier import FastCopier
from tests.e2e.updates.project import (
    CHANGED,
    VERSIONS,
    History,
    assert_same,
    files,
    names_of_answers,
    stored,
    update,
    update_again,
    work,
)
from tests.harness import Projects, Space


@pytest.fixture(scope="module")
def fast() -> Iterator[FastCopier]:
    fast = FastCopier()
    yield fast
    fast.close()


@pytest.mark.parametrize(
    ("version", "name"), [(version, name) for version in VERSIONS for name in names_of_answers(version)]
)
def test_an_update_keeps_what_the_team_did(
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
def test_what_a_version_took_is_still_taken(history: History, space: Space, version: str) -> None:
    """Of an answer that has become invalid Copier says nothing: it takes the default."""
    for most in (True, False):
        answers = history.space(version).extreme(most=most)
        accepted = space.accepted(answers)
        for name, values in history.space(version).accepted(answers).items():
            assert set(values) <= set(accepted.get(name, values)), f"{name} is refused now"
