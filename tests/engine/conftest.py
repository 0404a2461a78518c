"""The rendered projects, an engine with their base images, a registry, and the table of what was seen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NoReturn

import pytest

from tests.apps.project import DATABASES, LANGUAGES
from tests.apps.servers import MissingError
from tests.engine import images
from tests.engine.engine import Engine
from tests.engine.project import HASHED_PASSWORD, USER, Project, wait_for_answer
from tests.judge import Judge
from tests.render import Renderer
from tests.space import Space
from tests.template import Template

VARIANTS = [f"{language}-{database}" for language in LANGUAGES for database in DATABASES]
COLUMNS = ("build", "compose", "prod", "push", "swarm", "kubernetes")
"""The modules whose tests run for each variant: test_build.py and so on."""

notes: set[str] = set()
_outcomes: dict[tuple[str, str], list[str]] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test for each variant, or for those with a database that its `databases` marker names."""
    if "project" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("databases")
        databases = marker.args if marker else DATABASES
        variants = [variant for variant in VARIANTS if variant.partition("-")[2] in databases]
        metafunc.parametrize("project", variants, indirect=True, scope="session")


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker."""
    config.addinivalue_line("markers", "databases(*names): run the test on these databases only")


@pytest.fixture(scope="session")
def projects(template: Template, space: Space) -> Renderer:
    """What renders whole projects."""
    return Renderer(template, space)


@pytest.fixture(scope="session")
def engine(
    request: pytest.FixtureRequest, template: Template, judge: Judge, tmp_path_factory: pytest.TempPathFactory
) -> Engine:
    """A Docker engine that has the images which rendered files name."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    assert reporter
    languages, databases = template.table("versions", "languages"), template.table("versions", "images")
    names = [language["image"] for language in languages.values()] + list(databases.values()) + [images.REGISTRY]
    try:
        engine = Engine(tmp_path_factory.mktemp("docker-config"))
        with judge.stage("base images"):
            notes.update(images.provide(engine, names, reporter.write_line))
    except MissingError as missing:
        give_up(missing)
    return engine


@pytest.fixture(scope="session")
def helper(engine: Engine, template: Template) -> str:  # noqa: ARG001 -- it has the image
    """An image with Python, for what has to be done from within a network or beside a process."""
    image: str = template.table("versions", "languages")["python"]["image"]
    return image


@pytest.fixture(scope="session")
def registry(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry on loopback that wants a login."""
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
def project(
    request: pytest.FixtureRequest,
    engine: Engine,
    registry: str,
    projects: Renderer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Project]:
    """A rendered project, of which nothing runs."""
    path = tmp_path_factory.mktemp(request.param) / "shop"
    project = Project(engine, projects, path, request.param, registry)
    yield project
    project.compose("--profile=*", "down", "--volumes")
    project.compose("down", "--volumes", tag="unknown")


@pytest.fixture(scope="session")
def tag(project: Project) -> str:
    """The commit whose image is in the registry, pushed by the script that CI runs."""
    project.ci("publish")
    return project.git("rev-parse", "HEAD")


def give_up(missing: MissingError) -> NoReturn:
    """Skip what this machine cannot run, except in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(missing))
    notes.add(f"Skipped: {missing}")
    pytest.skip(str(missing))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what the table says."""
    column = PurePosixPath(report.nodeid.partition("::")[0]).stem.removeprefix("test_")
    variant = next((variant for variant in VARIANTS if f"[{variant}" in report.nodeid), None)
    if variant and column in COLUMNS and (report.when == "call" or report.outcome != "passed"):
        _outcomes.setdefault((variant, column), []).append(report.outcome)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, and say what was not tested as it should be."""
    if _outcomes:
        terminalreporter.section("what ran")
        terminalreporter.write_line(f"{'':20}" + "".join(f"{column:>12}" for column in COLUMNS))
        for variant in VARIANTS:
            cells = [_cell(_outcomes.get((variant, column), [])) for column in COLUMNS]
            terminalreporter.write_line(f"{variant:20}" + "".join(f"{cell:>12}" for cell in cells))
    for note in sorted(notes):
        terminalreporter.write_line(note)


def _cell(outcomes: list[str]) -> str:
    for bad in ("failed", "skipped"):
        if bad in outcomes:
            return f"{outcomes.count(bad)} {bad}"
    return f"{len(outcomes)} passed" if outcomes else "not run"
