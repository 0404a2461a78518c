"""What rules share: the option space of this template, its projects, and those that faults break."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.harness import Files, Projects, Space, Template
from tests.harness.template import copy_working_tree
from tests.options import EDGE_CASES, REPRESENTATIVES, TEXTS
from tests.rules.references import REFERENCES
from tests.rules.syntax import is_readable


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The template of the working tree."""
    return Template(copy_working_tree(tmp_path_factory.mktemp("template")))


@pytest.fixture(scope="session")
def space(template: Template) -> Space:
    """Every combination of answers."""
    return Space(template, REPRESENTATIVES, EDGE_CASES, TEXTS)


@pytest.fixture(scope="session")
def projects(template: Template, space: Space) -> Projects:
    """Every project that the template renders."""
    projects = Projects(template, space, is_readable)
    projects.count("combinations of answers", space.product.height)
    return projects


@pytest.fixture(scope="session")
def references(projects: Projects) -> Mapping[str, Files]:
    """Good projects, by name."""
    return {
        name: {path: file.content for path, file in projects.render(answers).items()}
        for name, answers in REFERENCES.items()
    }
