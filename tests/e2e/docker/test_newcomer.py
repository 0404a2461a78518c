"""The first hour with Docker and a cluster: a newcomer follows the README to a running, changed, redeployed service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.commands import wait_for
from tests.e2e.docker.engine import Engine
from tests.e2e.docker.node import Node
from tests.e2e.docker.project import Project
from tests.e2e.docker.test_kubernetes import STAGING, Shop, bring, forwarded
from tests.e2e.newcomer import Newcomer, curl
from tests.harness import Projects, Template

EVERY_COMMIT = "Then, for every commit:"
NAME = "newcomer"


@pytest.fixture
def work(engine: Engine, registry: str, projects: Projects, tmp_path: Path) -> Iterator[Project]:
    """A project of one of the chosen variants."""
    work = Project(engine, projects, tmp_path / "shop", NAME, "python-postgres", registry)
    yield work
    for tag in ("", "unknown"):
        work.compose("down", "--volumes", tag=tag)


@pytest.fixture
def shop(node: Node, engine: Engine, projects: Projects, work: Project, template: Template) -> Iterator[Shop]:
    """The same project for users of the cluster, which has the images of its database."""
    host = work.image.partition("/")[0]
    node.use_registry(host, int(host.rpartition(":")[2]))
    for image in (template.table("versions", "images")[work.database], template.table("versions", "restic")):
        bring(node, engine, image, work.path.parent)
    shop = Shop(node, projects, work)
    shop.provision(STAGING)
    yield shop
    node.kubectl("delete", "namespace", shop.namespace(STAGING), "--wait=false", "--ignore-not-found")


@pytest.mark.timeout(3600)
def test_first_hour_with_docker(work: Project, shop: Shop) -> None:
    def run(command: str) -> None:
        if command.startswith("curl "):
            curl(command)
        else:
            work.run("bash", "-c", command, environment=shop.environment())

    newcomer = Newcomer("with Docker", Path(__file__).with_name("newcomer.yml"), {}, run)
    readme = (work.path / "README.md").read_text(encoding="utf-8")
    first = work.git("rev-parse", "HEAD")
    newcomer.follow("README.md", readme)
    assert shop.tags(STAGING) == {first}

    work.edit("app/problems.py", '"Not found."', '"Nothing here."')
    second = work.commit()
    block = re.search(rf"(?ms)^{EVERY_COMMIT}\n(.*?^```$)", readme)
    assert block
    *deploy, rollback = re.sub(r"\s+#.*", "", block[1]).strip().splitlines()[1:-1]
    for command in deploy:
        run(command)
    wait_for(lambda: shop.tags(STAGING) == {second})
    with forwarded(shop) as client:
        assert "Nothing here." in client.get("/unknown").text
    run(rollback)
    wait_for(lambda: shop.tags(STAGING) == {first})
