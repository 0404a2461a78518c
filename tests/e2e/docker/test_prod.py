"""prod.yml runs the image of a commit, pulled from the registry, and bears what happens in production."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.commands import wait_for
from tests.e2e.docker.engine import Engine
from tests.e2e.docker.load import Load, command
from tests.e2e.docker.project import Project, assert_contract, assert_hardened, exec_in, kill
from tests.harness import Template

with_database = pytest.mark.databases("postgres", "mysql", "redis")


@pytest.fixture(scope="module")
def up(project: Project, engine: Engine, tag: str) -> Iterator[Project]:
    """A project that runs the image of its commit, which is only in the registry."""
    engine.docker("rmi", "--force", f"{project.image}:{tag}")
    if project.database != "none":
        project.make("secret")
    try:
        project.up(tag)
        yield project
    finally:
        project.compose("down", "--volumes", tag=tag)


def test_service_implements_the_contract_and_returns_its_commit(up: Project, tag: str) -> None:
    with up.client() as client:
        assert_contract(client, up, version=tag)


def test_nothing_runs_without_a_tag(project: Project) -> None:
    done = project.run("docker", "compose", "--file=prod.yml", "config", "--quiet", check=False)
    assert done.returncode != 0
    assert "set TAG to the commit hash" in done.stdout


def test_containers_are_hardened(up: Project, engine: Engine, tag: str) -> None:
    for name, container in up.containers(tag).items():
        assert_hardened(engine, name, container)
        assert container["HostConfig"]["Memory"] > 0
        assert container["HostConfig"]["NanoCpus"] > 0


@with_database
def test_only_the_service_is_published(up: Project, tag: str) -> None:
    published = {
        (name, port)
        for name, container in up.containers(tag).items()
        for port, hosts in container["NetworkSettings"]["Ports"].items()
        if hosts
    }
    assert published == {("app", f"{up.port}/tcp")}


@with_database
def test_database_is_isolated(up: Project, engine: Engine, template: Template, helper: str, tag: str) -> None:
    (address,) = [
        network["IPAddress"] for network in up.containers(tag)["database"]["NetworkSettings"]["Networks"].values()
    ]
    connect = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)"
    port = str(template.table("databases", "databases")[up.database]["port"])

    def reached(network: str, host: str) -> bool:
        name = f"--network={up.service}_{network}"
        done = engine.docker("run", "--rm", name, helper, "python", "-c", connect, host, port, check=False)
        return done.returncode == 0

    wait_for(lambda: reached("back", "database"))
    wait_for(lambda: reached("back", address))
    assert not reached("front", "database")
    assert not reached("front", address)
    (back,) = engine.inspect(f"{up.service}_back")
    assert back["Internal"]


@with_database
def test_the_data_outlives_the_containers(up: Project, tag: str) -> None:
    with up.client() as client:
        number = client.add("kept")
        up.compose("down", tag=tag)
        assert not up.containers(tag)
        up.up(tag)
        assert client.names()[number] == "kept"


def test_a_service_that_is_killed_comes_back(up: Project, engine: Engine, helper: str, tag: str) -> None:
    kill(engine, helper, up.containers(tag)["app"])
    wait_for(lambda: up.containers(tag)["app"]["RestartCount"] == 1)
    with up.client() as client:
        client.wait_for_status(httpx.codes.OK)


@with_database
def test_a_database_that_is_killed_comes_back_with_its_data(up: Project, engine: Engine, helper: str, tag: str) -> None:
    with up.client() as client:
        number = client.add("kept")
        kill(engine, helper, up.containers(tag)["database"])
        wait_for(lambda: up.containers(tag)["database"]["RestartCount"] == 1)
        client.wait_for_status(httpx.codes.OK)
        assert client.names()[number] == "kept"


def test_service_survives_a_full_tmp(up: Project, engine: Engine, helper: str, tag: str) -> None:
    """It is full before the memory is: to write there ends with an error, not with the process."""
    before = up.containers(tag)["app"]
    fill = "file = open(root + '/tmp/full', 'wb', 0)\nwhile True: file.write(bytes(2**20))"
    assert "No space left on device" in exec_in(engine, helper, before, fill)
    with up.client() as client:
        assert_contract(client, up, version=tag)
    assert up.containers(tag)["app"]["State"]["StartedAt"] == before["State"]["StartedAt"]
    assert not exec_in(engine, helper, before, "import os; os.remove(root + '/tmp/full')")


@with_database
def test_stopping_under_load_loses_nothing(up: Project, engine: Engine, helper: str, tag: str) -> None:
    """What the service has taken it answers and keeps; what it no longer takes leaves no trace."""
    before = up.containers(tag)["app"]
    load = engine.docker(
        "run", "--detach", f"--network={up.service}_front", helper, *command("app", up.port, up.database)
    ).stdout.strip()
    try:
        seen = Load(lambda: engine.docker("logs", load).stdout)
        seen.wait_for(200)
        engine.docker("stop", before["Id"])
        (stopped,) = engine.inspect(before["Id"])
        assert stopped["State"]["ExitCode"] == 0
        engine.docker("kill", load)
        assert seen.failed()
        engine.docker("start", before["Id"])
        with up.client() as client:
            client.wait_for_status(httpx.codes.OK)
            names = [name for name in client.names().values() if "-" in name]
        assert sorted(names) == seen.stored()
    finally:
        engine.docker("rm", "--force", load)
