"""The script that CI runs pushes one image under the commit hash and `latest`."""

from __future__ import annotations

import httpx
import pytest

from tests.engine.engine import Engine
from tests.engine.project import PASSWORD, USER, Project

MANIFESTS = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def test_both_tags_have_the_digest_of_what_was_built(project: Project, engine: Engine, tag: str) -> None:
    host, _, path = project.image.partition("/")
    with httpx.Client(base_url=f"http://{host}/v2/{path}", auth=(USER, PASSWORD), trust_env=False) as client:
        listed = client.get("/tags/list").json()["tags"]
        digests = {
            name: client.head(f"/manifests/{name}", headers={"Accept": MANIFESTS}).headers["Docker-Content-Digest"]
            for name in (tag, "latest")
        }
    assert {tag, "latest"} <= set(listed)
    assert digests[tag] == digests["latest"]
    (image,) = engine.inspect(f"{project.image}:{tag}")
    assert image["RepoDigests"] == [f"{project.image}@{digests[tag]}"]


@pytest.mark.databases("none")
def test_a_wrong_password_is_told(project: Project) -> None:
    done = project.run("make", "login", check=False, environment={"REGISTRY_PASSWORD": "wrong"})
    assert done.returncode != 0
    assert "unauthorized" in done.stdout.lower()
    assert PASSWORD not in done.stdout


@pytest.mark.databases("none")
def test_nothing_is_pushed_without_a_login(project: Project, engine: Engine, tag: str) -> None:
    host = project.image.partition("/")[0]
    engine.docker("logout", host)
    try:
        done = project.run("docker", "push", f"{project.image}:{tag}", check=False)
    finally:
        project.make("login")
    assert done.returncode != 0
    assert "no basic auth credentials" in done.stdout
