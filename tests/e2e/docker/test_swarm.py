"""prod.yml on a Docker Swarm of one node: rolled out and back under load, without a failed request."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.apps.servers import MissingError
from tests.e2e.commands import wait_for
from tests.e2e.docker.engine import Engine
from tests.e2e.docker.load import Load, command
from tests.e2e.docker.project import Project
from tests.e2e.requirements import skip_unless_available
from tests.harness.plugin import Count, notes

WITHOUT_IPVS = f"""\
#!{sys.executable}
import os, subprocess, sys, yaml

docker = ["docker", *sys.argv[1:]]
os.environ["PATH"] = os.environ["PATH"].partition(os.pathsep)[2]
if sys.argv[1:3] != ["stack", "deploy"]:
    os.execvp("docker", docker)
stack = yaml.safe_load(sys.stdin)
for service in stack["services"].values():
    service.setdefault("deploy", {{}})["endpoint_mode"] = "dnsrr"
    service.pop("ports", None)
sys.exit(subprocess.run(docker, input=yaml.safe_dump(stack), text=True).returncode)
"""
"""Stands before docker where the kernel cannot balance: no published ports, and names that lead to each container."""


SLOW = 35
"""Seconds that a migration takes: more than a version has to start, which is watched for 30."""

MIGRATIONS = {
    "python": (
        "migrations/versions/0002_slow.py",
        f"""from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("SELECT pg_sleep({SLOW})")
""",
    ),
    "typescript": ("migrations/0002.do.slow.sql", f"SELECT SLEEP({SLOW});\n"),
}


@pytest.fixture(scope="session")
def balances(engine: Engine, wait_for_others: Callable[[], None]) -> Iterator[bool]:
    """Make the engine a Swarm, and return whether its kernel balances connections."""
    with skip_unless_available():
        if engine.docker("info", "--format={{.Swarm.LocalNodeState}}").stdout.strip() != "inactive":
            raise MissingError("The engine belongs to a Swarm already: the tests make one of their own and leave it")
    engine.docker("swarm", "init", "--advertise-addr=127.0.0.1", "--listen-addr=127.0.0.1")
    balances = Path("/proc/net/ip_vs").exists()
    if not balances:
        notes.add("Swarm without published ports and virtual addresses: this kernel has no IPVS.")
    yield balances
    # A Docker that leaves a Swarm forgets the names of all containers, also of those that have nothing to do with it.
    wait_for_others()
    engine.docker("swarm", "leave", "--force")


@pytest.fixture(scope="module")
def stack(project: Project, engine: Engine, balances: bool, tag: str) -> Iterator[str]:
    """A stack of two replicas of the first version; its name."""
    if not balances:
        project.stub("docker", WITHOUT_IPVS)
    project.make("swarm-deploy", TAG=tag, REPLICAS="2")
    yield project.service
    engine.docker("stack", "rm", project.service)
    wait_for(lambda: not engine.docker("network", "ls", "--quiet", f"--filter=name={project.service}_").stdout)


@pytest.fixture(scope="module")
def load(project: Project, engine: Engine, helper: str, stack: str) -> Iterator[Load]:
    """A load on the service from within its network."""
    network = f"{stack}_{'default' if project.database == 'none' else 'front'}"
    name = f"{stack}-load"
    engine.docker(
        "service", "create", "--no-resolve-image", f"--name={name}", f"--network={network}", helper,
        *command("app", project.port, project.database),
    )  # fmt: skip
    load = Load(lambda: engine.docker("service", "logs", "--raw", name).stdout)
    load.wait_for(1)
    yield load
    engine.docker("service", "rm", name)


def images(engine: Engine, stack: str) -> set[str]:
    """The versions of the containers of the service that run."""
    listed = engine.docker(
        "service",
        "ps",
        "--no-trunc",
        "--filter=desired-state=running",
        "--format={{.Image}} {{.CurrentState}}",
        f"{stack}_app",
    )
    return {line.split()[0].partition("@")[0].rpartition(":")[2] for line in listed.stdout.splitlines()}


def tasks(engine: Engine, service: str) -> list[dict[str, Any]]:
    """The tasks of a service, old ones too."""
    return engine.inspect(*engine.docker("service", "ps", "--quiet", "--no-trunc", service).stdout.split())


def assert_migrated_before(engine: Engine, stack: str, tag: str) -> None:
    """Assert that one migration ran, and ended before the first container of the version started."""
    (migration,) = tasks(engine, f"{stack}_migrate")
    assert migration["Status"]["State"] == "complete"
    ended = datetime.fromisoformat(migration["Status"]["Timestamp"])
    started = [
        datetime.fromisoformat(task["CreatedAt"])
        for task in tasks(engine, f"{stack}_app")
        if f":{tag}" in task["Spec"]["ContainerSpec"]["Image"]
    ]
    assert started
    assert ended < min(started)


def test_a_new_version_replaces_the_old_without_a_failed_request(
    project: Project, engine: Engine, stack: str, load: Load, tag: str, count: Count
) -> None:
    assert images(engine, stack) == {tag}
    second = project.commit()
    project.ci("publish")
    project.make("swarm-deploy", TAG=second, REPLICAS="2")
    load.wait_for(50)
    assert images(engine, stack) == {second}
    if project.database in ("postgres", "mysql"):
        assert_migrated_before(engine, stack, second)
    count(f"requests during a rolling update on Docker Swarm, {project.database}", load.told())
    assert not load.failed(), load.failed()[:3]


def test_a_version_that_does_not_start_is_rolled_back(project: Project, engine: Engine, stack: str, load: Load) -> None:
    (before,) = images(engine, stack)
    broken = f"{project.image}:broken"
    engine.docker("build", f"--tag={broken}", "-", standard_input=f'FROM {project.image}:{before}\nCMD ["nonsense"]\n')
    engine.docker("push", broken)
    done = project.make("swarm-deploy", check=False, TAG="broken", REPLICAS="2")
    load.wait_for(50)
    assert images(engine, stack) == {before}
    assert not load.failed(), load.failed()[:3]
    assert done.returncode != 0
    assert "The rollout of broken failed and was rolled back." in done.stdout


@pytest.mark.databases("postgres", "mysql")
def test_failed_migration_leaves_the_service_unchanged(
    project: Project, engine: Engine, stack: str, load: Load
) -> None:
    (before,) = images(engine, stack)
    broken = f"{project.image}:broken-migration"
    recipe = f'FROM {project.image}:{before}\nENTRYPOINT ["/nothing"]\n'
    engine.docker("build", f"--tag={broken}", "-", standard_input=recipe)
    engine.docker("push", broken)
    done = project.make("swarm-deploy", check=False, TAG="broken-migration", REPLICAS="2")
    assert done.returncode != 0
    assert "The migration of broken-migration failed, and the service is unchanged." in done.stdout
    assert images(engine, stack) == {before}
    load.wait_for(50)
    assert not load.failed(), load.failed()[:3]
    project.make("swarm-deploy", TAG=before, REPLICAS="2")  # a fixed version is migrated


@pytest.mark.databases("postgres", "mysql")
def test_a_slow_migration_is_waited_for(project: Project, engine: Engine, stack: str, load: Load) -> None:
    path, content = MIGRATIONS[project.language]
    (project.path / path).write_text(content)
    slow = project.commit()
    project.ci("publish")
    project.make("swarm-deploy", TAG=slow, REPLICAS="2")
    assert_migrated_before(engine, stack, slow)
    (migration,) = tasks(engine, f"{stack}_migrate")
    began, ended = (datetime.fromisoformat(time) for time in (migration["CreatedAt"], migration["Status"]["Timestamp"]))
    assert (ended - began).total_seconds() > SLOW
    assert images(engine, stack) == {slow}
    load.wait_for(50)
    assert not load.failed(), load.failed()[:3]
