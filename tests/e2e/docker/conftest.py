"""The rendered projects, an engine with their base images, a registry, and the table of what was seen."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.databases import VARIANTS as DATABASES
from tests.e2e.docker import images
from tests.e2e.docker.engine import Engine
from tests.e2e.docker.node import Node, leftovers
from tests.e2e.docker.project import HASHED_PASSWORD, USER, Project, wait_for_answer
from tests.e2e.kubernetes import programs
from tests.e2e.locks import exclusive_lock, shared_lock
from tests.e2e.requirements import skip_unless_available
from tests.harness import Projects, Space, Template
from tests.harness.plugin import notes
from tests.languages import LANGUAGES

VARIANTS = [f"{language}-{database}" for language in LANGUAGES for database in DATABASES]
COLUMNS = ("build", "compose", "prod", "push", "swarm", "kubernetes")
"""The modules whose tests run for variants: test_build.py and so on."""

CHOSEN = ("python-postgres", "typescript-mysql", "go-redis", "go-none")
"""Each database and each language, for tests that ask little of a language and take long: all but some of builds."""

GROUPS = {
    "test_build": "build",
    "test_swarm": "swarm",
    "test_kubernetes": "kubernetes",
    "test_newcomer": "kubernetes",
    "test_node": "kubernetes",
    "test_network": "kubernetes",
}
"""Which modules share a worker: an engine is in one Swarm, one node is enough, and builds use what they have built."""

_outcomes: dict[tuple[str, str], list[str]] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test for the chosen variants, or for all, with a database that its `databases` marker names."""
    if "project" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("databases")
        databases = marker.args if marker else DATABASES
        known = VARIANTS if metafunc.definition.get_closest_marker("every_variant") else CHOSEN
        variants = [variant for variant in known if variant.partition("-")[2] in databases]
        metafunc.parametrize("project", variants, indirect=True, scope="session")


def pytest_configure(config: pytest.Config) -> None:
    """Know the markers."""
    config.addinivalue_line("markers", "databases(*names): run the test on these databases only")
    config.addinivalue_line("markers", "every_variant: run the test on every language with every database")


class Groups(LoadScopeScheduling):  # type: ignore[misc]
    """More workers than cores, as much of the time is spent waiting, for deadlines and for what is to be stable."""

    def _split_scope(self, nodeid: str) -> str:
        return GROUPS.get(PurePosixPath(nodeid.partition("::")[0]).stem, "others")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """Keep groups together."""
    return Groups(config, log)


@pytest.fixture(scope="session")
def projects(template: Template, space: Space) -> Projects:
    """What renders whole projects."""
    return Projects(template, space)


@pytest.fixture(scope="session")
def wait_for_others() -> Iterator[Callable[[], None]]:
    """What returns when no other worker uses the engine any more."""
    with shared_lock("engine") as wait:
        yield wait


@pytest.fixture(scope="session")
def engine(
    template: Template,
    tmp_path_factory: pytest.TempPathFactory,
    wait_for_others: Callable[[], None],  # noqa: ARG001 -- says that this worker uses it
) -> Engine:
    """A Docker engine that has the images which rendered files name."""
    languages, databases = template.table("versions", "languages"), template.table("versions", "images")
    restic = template.table("versions", "restic")
    names = [*images.of_languages(languages), *databases.values(), restic, images.REGISTRY]
    with skip_unless_available():
        engine = Engine(tmp_path_factory.mktemp("docker-config"))
        with exclusive_lock("images"):
            notes.update(images.pull_or_build_images(engine, names, say))
        return engine


def say(line: str) -> None:
    """Report progress: xdist hides the other output of workers."""
    print(line, file=sys.__stderr__, flush=True)


@pytest.fixture(scope="session")
def helper(engine: Engine, template: Template) -> str:  # noqa: ARG001 -- it has the image
    """An image with Python, for what has to be done from within a network or beside a process."""
    image: str = template.table("versions", "languages")["python"]["image"]
    return image


@pytest.fixture(scope="session")
def registry(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry on loopback that requires a login."""
    users = tmp_path_factory.mktemp("registry") / "htpasswd"
    users.write_text(f"{USER}:{HASHED_PASSWORD}\n")
    path = "/etc/distribution/htpasswd"
    variables = {"": "htpasswd", "_HTPASSWD_REALM": "shop", "_HTPASSWD_PATH": path}
    settings = [f"--env=REGISTRY_AUTH{name}={value}" for name, value in variables.items()]
    container = engine.docker("create", "--publish=127.0.0.1::5000", *settings, images.REGISTRY).stdout.strip()
    try:
        engine.docker("cp", str(users), f"{container}:{path}")
        engine.docker("start", container)
        address = engine.docker("port", container, "5000").stdout.strip()
        wait_for_answer(f"http://{address}/v2/")
        yield address
    finally:
        engine.docker("rm", "--force", "--volumes", container)


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """A cluster of one real node."""
    with skip_unless_available():
        node = Node(programs.find((*programs.CONTROL_PLANE, *programs.REAL_NODE, *programs.CLIENTS), say))
        node.__enter__()
    try:
        yield node
    finally:
        node.__exit__()
    assert not leftovers(node)


@pytest.fixture(scope="session")
def project(
    request: pytest.FixtureRequest,
    engine: Engine,
    registry: str,
    projects: Projects,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Project]:
    """A rendered project, of which nothing runs."""
    path = tmp_path_factory.mktemp(request.param) / "shop"
    worker = request.config.workerinput["workerid"] if hasattr(request.config, "workerinput") else "shop"
    project = Project(engine, projects, path, worker, request.param, registry)
    yield project
    project.compose("--profile=*", "down", "--volumes")
    project.compose("down", "--volumes", tag="unknown")
    named = [f"--filter=reference={name}" for name in (project.image, f"{project.service}-*")]
    built = engine.docker("image", "ls", "--quiet", *named).stdout.split()
    if built:
        engine.docker("image", "rm", "--force", *set(built), check=False)  # a task may still be about to end


@pytest.fixture(scope="session")
def tag(project: Project) -> str:
    """The commit whose image is in the registry, pushed by the script that CI runs."""
    project.ci("publish")
    return project.git("rev-parse", "HEAD")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what the table says."""
    column = PurePosixPath(report.nodeid.partition("::")[0]).stem.removeprefix("test_")
    variant = next((variant for variant in VARIANTS if f"[{variant}" in report.nodeid), None)
    if variant and column in COLUMNS and (report.when == "call" or report.outcome != "passed"):
        _outcomes.setdefault((variant, column), []).append(report.outcome)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if _outcomes:
        terminalreporter.section("what ran")
        terminalreporter.write_line(f"{'':20}" + "".join(f"{column:>12}" for column in COLUMNS))
        for variant in VARIANTS:
            cells = [_cell(_outcomes.get((variant, column), [])) for column in COLUMNS]
            terminalreporter.write_line(f"{variant:20}" + "".join(f"{cell:>12}" for cell in cells))


def _cell(outcomes: list[str]) -> str:
    for bad in ("failed", "skipped"):
        if bad in outcomes:
            return f"{outcomes.count(bad)} {bad}"
    return f"{len(outcomes)} passed" if outcomes else "not run"
