"""`make up` brings up everything for development: it speaks, keeps its data, and runs without any right."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.docker.engine import Engine
from tests.e2e.docker.project import Project, assert_contract, assert_hardened, exec_in

with_database = pytest.mark.databases("postgres", "mysql", "redis")


@pytest.fixture(scope="module")
def up(project: Project) -> Iterator[Project]:
    """A project whose containers run."""
    try:
        project.up()
        yield project
    finally:
        project.compose("--profile=*", "down", "--volumes")


def test_service_implements_the_contract_on_its_published_ports(up: Project) -> None:
    with up.client() as client:
        assert_contract(client, up, "dev", metrics=f"http://127.0.0.1:{up.metrics_port}")


def test_everything_is_healthy(up: Project) -> None:
    states = {name: container["State"] for name, container in up.containers().items()}
    migrated = states.pop("migrate", None)
    assert (migrated is not None) == (up.database in ("postgres", "mysql"))
    assert migrated is None or migrated["ExitCode"] == 0
    assert states.keys() == ({"app"} if up.database == "none" else {"app", "database"})
    assert {state["Health"]["Status"] for state in states.values()} == {"healthy"}


def test_containers_are_hardened(up: Project, engine: Engine) -> None:
    for name, container in up.containers().items():
        assert_hardened(engine, name, container)


@pytest.mark.parametrize(("path", "allowed"), [("/tmp/x", True), ("/x", False), ("/etc/x", False), ("/usr/x", False)])  # noqa: S108
def test_only_tmp_can_be_written(up: Project, engine: Engine, helper: str, path: str, allowed: bool) -> None:
    error = exec_in(engine, helper, up.containers()["app"], f"open(root + {path!r}, 'w')")
    assert "Read-only file system" in error if not allowed else not error, error


@with_database
def test_the_data_outlives_the_containers(up: Project) -> None:
    with up.client() as client:
        number = client.add("kept")
    up.make("down")
    assert not up.containers()
    up.up()
    with up.client() as client:
        assert client.names()[number] == "kept"


@with_database
def test_the_service_outlives_its_database(up: Project) -> None:
    with up.client() as client:
        up.compose("kill", "database")
        client.wait_for_status(httpx.codes.SERVICE_UNAVAILABLE)
        assert client.get("/livez").status_code == client.get("/").status_code == httpx.codes.OK
        assert client.get("/items").status_code == httpx.codes.SERVICE_UNAVAILABLE
        up.compose("start", "database")
        client.wait_for_status(httpx.codes.OK)
        assert client.get("/items").status_code == httpx.codes.OK
