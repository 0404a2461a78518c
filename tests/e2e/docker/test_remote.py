"""prod.yml on another machine's Docker by a context, as the README says: no file of this machine is mounted there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.apps.servers import MissingError
from tests.e2e.commands import wait_for
from tests.e2e.docker.engine import HINT, Engine
from tests.e2e.docker.project import Project
from tests.e2e.docker.test_swarm import WITHOUT_IPVS
from tests.e2e.requirements import skip_unless_available
from tests.harness import Template

pytestmark = pytest.mark.databases("postgres")

REMOTE = {"DOCKER_HOST": "", "DOCKER_CONTEXT": "production"}
LOCAL = {"DOCKER_HOST": "", "DOCKER_CONTEXT": "default"}
START = """\
ip link set lo up
mount --types tmpfs none "$1"
exec dockerd --host="unix://$2/docker.sock" --pidfile="$2/docker.pid" --exec-root="$2/exec" --data-root="$2/data"
"""
"""An engine with a network of its own, which does not see the files of the project."""


@pytest.fixture(scope="module")
def host(project: Project, engine: Engine, template: Template, tag: str) -> Iterator[str]:
    """The address of a second engine, which has the images of the project."""
    with skip_unless_available():
        if os.geteuid() or not shutil.which("dockerd"):
            raise MissingError(f"A second engine needs root and dockerd; {HINT}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(tempfile.mkdtemp(prefix="docker-", dir=cache))
    address = f"unix://{folder}/docker.sock"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "--net", "--mount", "bash", "-euc", START, "dockerd", project.path, folder],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip

    def starts() -> bool:
        assert process.poll() is None, (folder / "log").read_text()[-4000:]
        return project.run("docker", f"--host={address}", "version", check=False, environment=LOCAL).returncode == 0

    try:
        wait_for(starts)
        archive = folder / "images.tar"
        images = (f"{project.image}:{tag}", template.table("versions", "images")[project.database])
        engine.docker("save", f"--output={archive}", *images)
        project.run("docker", f"--host={address}", "load", f"--input={archive}", environment=LOCAL)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def stack(project: Project, host: str, tag: str) -> None:
    """What the README has its readers type, on this host."""
    readme = (project.path / "README.md").read_text()
    (commands,) = re.findall(r"```sh\n(docker context create .*?)```", readme, re.DOTALL)
    for told, here in {
        "ssh://deploy@host.example.com": host,
        "<commit hash>": tag,
        "swarm init": "swarm init --advertise-addr=127.0.0.1 --listen-addr=127.0.0.1",
    }.items():
        assert told in commands
        commands = commands.replace(told, here)
    if not Path("/proc/net/ip_vs").exists():
        project.stub("docker", WITHOUT_IPVS)
    project.run("bash", "-euxc", commands, environment={"DOCKER_HOST": ""})


def containers(project: Project) -> list[dict[str, Any]]:
    """What the second engine runs."""
    names = project.run("docker", "ps", "--quiet", environment=REMOTE).stdout.split()
    found: list[dict[str, Any]] = json.loads(project.run("docker", "inspect", *names, environment=REMOTE).stdout)
    return found


@pytest.mark.usefixtures("stack")
def test_the_service_runs_there_and_mounts_no_file_of_this_machine(project: Project) -> None:
    running = containers(project)
    images = {
        container["Config"]["Image"].partition("@")[0].rpartition("/")[2].partition(":")[0] for container in running
    }
    assert images == {project.image.rpartition("/")[2], project.database}
    # Which it gets only with the database, whose password is a secret of the Swarm.
    wait_for(lambda: {one["State"]["Health"]["Status"] for one in containers(project)} == {"healthy"})
    mounts = [mount for container in running for mount in container["Mounts"]]
    assert {mount["Type"] for mount in mounts} <= {"volume", "tmpfs"}
    assert [mount for mount in mounts if mount["Type"] == "volume"]


@pytest.mark.usefixtures("stack")
def test_compose_looks_for_the_password_there(project: Project, tag: str) -> None:
    command = ("docker", "compose", "--project-name=alone", "--file=prod.yml", "up", "--detach", "database")
    done = project.run(*command, environment=REMOTE | {"TAG": tag}, check=False)
    assert done.returncode != 0
    assert "bind source path does not exist" in done.stdout
