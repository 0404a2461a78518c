"""What all tests share: the option space of this template, its projects, and those that faults break."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.harness import Files, Projects, Space, Template
from tests.harness.plugin import counts
from tests.options import space_of
from tests.rules.references import REFERENCES
from tests.rules.syntax import is_readable
from tests.tools.release import known_names


@pytest.fixture(scope="session")
def space(template: Template) -> Space:
    """Every combination of answers."""
    space = space_of(template)
    if unknown := set(space.asked) - known_names():
        # With it, every copy would be refused, for a reason that is not the fault.
        pytest.exit(f"copier.yml has the new question {', '.join(unknown)}: run `make docs`.", returncode=2)
    return space


@pytest.fixture(scope="session")
def projects(template: Template, space: Space) -> Projects:
    """Every project that the template renders."""
    projects = Projects(template, space, is_readable)
    projects.counts = counts
    projects.count("combinations of answers", space.product.height)
    return projects


@pytest.fixture(scope="session")
def references(projects: Projects) -> Mapping[str, Files]:
    """Good projects, by name."""
    return {
        name: {path: file.content for path, file in projects.render(answers).items()}
        for name, answers in REFERENCES.items()
    }


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings of whoever runs the tests away from Copier and git."""
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(tmp_path / "no-settings.yml"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
