"""One control plane for all tests; each test has its own service names, and so namespaces."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.kubernetes import programs
from tests.e2e.kubernetes.control_plane import ControlPlane
from tests.e2e.kubernetes.project import Project
from tests.harness import Projects, Space, Template
from tests.harness.plugin import notes
from tests.harness.space import Value


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """A running control plane."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    assert reporter
    found = programs.find((*programs.CONTROL_PLANE, *programs.SIMULATED_NODES, *programs.CLIENTS), reporter.write_line)
    notes.add("NetworkPolicies were stored, not enforced: nothing here carries traffic.")
    with ExitStack() as stack:
        yield stack.enter_context(ControlPlane(found))


@pytest.fixture(scope="session")
def projects(template: Template, space: Space) -> Projects:
    """What renders whole projects."""
    return Projects(template, space)


class Maker:
    """Renders projects with unique names, namespaces and node ports."""

    def __init__(self, cluster: ControlPlane, projects: Projects, folder: Path) -> None:
        self._cluster, self._projects, self._folder = cluster, projects, folder
        self._numbers = itertools.count(1)

    def __call__(self, **answers: Value) -> Project:
        number = next(self._numbers)
        name = f"shop-{number}"
        unique: dict[str, Value] = {"namespace": name, "node_port": 30000 + number}
        answers |= {key: value for key, value in unique.items() if key in answers}
        answers |= {"project_name": "Shop", "service_name": name}
        return Project(self._cluster, self._projects.render(answers), self._folder / name, answers)

    def update(self, project: Project, **answers: Value) -> Project:
        """Render a project anew, with other answers."""
        kept = {name: project.answers[name] for name in ("project_name", "service_name")}
        shutil.rmtree(project.path)
        return Project(self._cluster, self._projects.render(answers | kept), project.path, answers | kept)


@pytest.fixture(scope="session")
def make_project(cluster: ControlPlane, projects: Projects, tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Render a project with these answers."""
    return Maker(cluster, projects, tmp_path_factory.mktemp("projects"))
