"""The rendered projects, each with a server of its database, made once and shared by all tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.e2e.apps.project import DATABASES, LANGUAGES, Project
from tests.e2e.apps.servers import SERVERS, Server
from tests.e2e.requirements import skip_unless_available
from tests.harness.plugin import notes
from tests.harness.template import copy_working_tree


def pytest_configure(config: pytest.Config) -> None:
    """Know the markers."""
    config.addinivalue_line("markers", "databases(*names): run the test on these databases only")
    config.addinivalue_line("markers", "languages(*names): run the test on these languages only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on every project, or on those that its markers name."""
    if "project" in metafunc.fixturenames:
        named = [metafunc.definition.get_closest_marker(name) for name in ("languages", "databases")]
        languages, databases = (
            marker.args if marker else every for marker, every in zip(named, (LANGUAGES, DATABASES), strict=True)
        )
        # What compiles takes longest, and begins first.
        variants = [f"{language}-{database}" for language in reversed(languages) for database in databases]
        metafunc.parametrize("project", variants, indirect=True, scope="session")


class Variants(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps the tests of one variant, or else of one file, on the worker that has made it.

    What `--dist=loadgroup` puts behind the names of tests is lost in pytest 9.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        variants = (f"{language}-{database}" for language in LANGUAGES for database in DATABASES)
        return next((variant for variant in variants if f"[{variant}" in test), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Variants:
    """Keep variants together."""
    return Variants(config, log)


@pytest.fixture(scope="session")
def working_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it is now."""
    return copy_working_tree(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def project(request: pytest.FixtureRequest, working_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A rendered project whose tools are installed."""
    language, _, database = request.param.partition("-")
    with skip_unless_available():
        project = Project(working_tree, tmp_path_factory.mktemp(request.param), language, database)
    project.make("build")
    return project


@pytest.fixture(scope="session")
def server(project: Project) -> Iterator[Server | None]:
    """A server of the project's database, if it has one."""
    if project.database not in SERVERS:
        yield None
        return
    with skip_unless_available():
        server = SERVERS[project.database]()
    if server.note:
        notes.add(server.note)
    with server:
        yield server
