"""One control plane for all tests; each test has service names, and so namespaces, of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.kubernetes import programs
from tests.e2e.kubernetes.control_plane import ControlPlane
from tests.e2e.kubernetes.project import Project
from tests.e2e.requirements import notes, print_notes
from tests.judge import Judge
from tests.render import Renderer
from tests.space import Space, Value
from tests.template import Template


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, judge: Judge) -> Iterator[ControlPlane]:
    """A running control plane."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    assert reporter
    found = programs.find((*programs.CONTROL_PLANE, *programs.SIMULATED_NODES), reporter.write_line)
    notes.add("NetworkPolicies were stored, not enforced: nothing here carries traffic.")
    with ExitStack() as stack:
        with judge.stage("start of the control plane"):
            cluster = stack.enter_context(ControlPlane(found))
        yield cluster


@pytest.fixture(scope="session")
def projects(template: Template, space: Space) -> Renderer:
    """What renders whole projects."""
    return Renderer(template, space)


class Maker:
    """Renders projects whose names, namespaces and node ports nobody else has."""

    def __init__(self, cluster: ControlPlane, renderer: Renderer, folder: Path) -> None:
        self._cluster, self._renderer, self._folder = cluster, renderer, folder
        self._numbers = itertools.count(1)

    def __call__(self, **answers: Value) -> Project:
        number = next(self._numbers)
        name = f"shop-{number}"
        unique: dict[str, Value] = {"namespace": name, "node_port": 30000 + number}
        answers |= {key: value for key, value in unique.items() if key in answers}
        answers |= {"project_name": "Shop", "service_name": name}
        return Project(self._cluster, self._renderer.project(answers), self._folder / name, answers)


@pytest.fixture(scope="session")
def make_project(cluster: ControlPlane, projects: Renderer, tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Render a project with these answers."""
    return Maker(cluster, projects, tmp_path_factory.mktemp("projects"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not tested as it should be."""
    print_notes(terminalreporter)
