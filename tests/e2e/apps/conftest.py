"""The rendered projects, each with a server of its database, made once and shared by all tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.databases import VARIANTS
from tests.e2e.apps.project import Project, Service
from tests.e2e.apps.servers import SERVERS, Server
from tests.e2e.requirements import skip_unless_available
from tests.harness.plugin import notes
from tests.harness.template import copy_working_tree
from tests.languages import LANGUAGES

collect_ignore = ["second_resource"]
"""The code of a team, with its own tests."""


def pytest_configure(config: pytest.Config) -> None:
    """Know the markers."""
    config.addinivalue_line("markers", "databases(*names): run the test on these databases only")
    config.addinivalue_line("markers", "languages(*names): run the test on these languages only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on every project, or on those that its markers name."""
    if "project" in metafunc.fixturenames:
        named = [metafunc.definition.get_closest_marker(name) for name in ("languages", "databases")]
        languages, databases = (
            marker.args if marker else every for marker, every in zip(named, (tuple(LANGUAGES), VARIANTS), strict=True)
        )
        # What compiles takes longest, and begins first.
        variants = [f"{language}-{database}" for language in reversed(languages) for database in databases]
        metafunc.parametrize("project", variants, indirect=True, scope="session")


class Variants(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps the tests of one variant, or else of one file, on the worker that has made it; those of backups are apart.

    What `--dist=loadgroup` puts behind the names of tests is lost in pytest 9.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        variants = (f"{language}-{database}" for language in LANGUAGES for database in VARIANTS)
        suffix = "-backup" if file.endswith("test_backup.py") else ""
        return next((variant + suffix for variant in variants if f"[{variant}" in test), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Variants:
    """Keep variants together."""
    return Variants(config, log)


@pytest.fixture(scope="session")
def working_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template of the working tree."""
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


@pytest.fixture(scope="session")
def environment(project: Project, server: Server | None) -> dict[str, str]:
    """The settings of a service, with a migrated database if it has one."""
    if server is None:
        return {}
    server.create_database("contract")
    environment = server.environment("contract")
    status, output, errors = project.run("migrate", environment=environment)
    assert status == 0, output + errors
    return environment


Start = Callable[..., Service]


@pytest.fixture
def start(project: Project, environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start services, which end with the test; none has logged the password."""
    services: list[Service] = []

    def start(**settings: str) -> Service:
        service = Service(project, tmp_path / f"{len(services)}.log", **environment | settings)
        services.append(service)
        return service.__enter__()

    yield start
    for service in services:
        service.__exit__()
        if environment:
            password = Path(environment["DATABASE_PASSWORD_FILE"]).read_text(encoding="utf-8").strip()
            assert password[-20:] not in service.log.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def service(
    project: Project, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service for tests that do not change it."""
    log = tmp_path_factory.mktemp("service") / "log"
    with Service(project, log, SERVICE_VERSION="1.2.3-test", LOG_LEVEL="debug", **environment) as service:
        service.wait_until_ready()
        yield service


@pytest.fixture
def client(service: Service) -> httpx.Client:
    """A client of the shared service."""
    return service.client
