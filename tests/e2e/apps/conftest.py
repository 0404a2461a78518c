"""The rendered projects, each with a server of its database, made once and shared by all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.apps.project import DATABASES, LANGUAGES, Project
from tests.e2e.apps.servers import SERVERS, Server
from tests.e2e.requirements import notes, print_notes, skip_unless_available
from tests.template import copy_working_tree


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


# Before xdist reads the markers.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of one variant, or else of one file, on the worker that has made it."""
    for item in items:
        variant = (
            item.callspec.params.get("project")
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else None
        )
        item.add_marker(pytest.mark.xdist_group(variant or item.path.stem))


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not tested as it should be."""
    print_notes(terminalreporter)
