"""The script that CI runs pushes one image under the commit hash and `latest`."""

from __future__ import annotations

import httpx
import pytest

from tests.e2e.docker.engine import Engine
from tests.e2e.docker.project import PASSWORD, USER, Project

MANIFESTS = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def digest(project: Project, tag: str) -> str:
    """The registry's digest of a tag."""
    host, _, path = project.image.partition("/")
    with httpx.Client(base_url=f"http://{host}/v2/{path}", auth=(USER, PASSWORD), trust_env=False) as client:
        answer = client.head(f"/manifests/{tag}", headers={"Accept": MANIFESTS})
    assert answer.status_code == httpx.codes.OK, tag
    return answer.headers["Docker-Content-Digest"]


def test_both_tags_have_the_digest_of_the_built_image(project: Project, engine: Engine, tag: str) -> None:
    pushed = digest(project, tag)
    assert digest(project, "latest") == pushed
    (image,) = engine.inspect(f"{project.image}:{tag}")
    assert image["RepoDigests"] == [f"{project.image}@{pushed}"]
    assert project.make("digest").stdout.strip() == pushed
    assert (project.path / "reports/digest.env").read_text() == f"DIGEST={pushed}\n"


def test_a_tag_is_pushed_once(project: Project, tag: str) -> None:
    before = digest(project, tag)
    project.make("image", TAG=tag, BUILD_FLAGS="--label=test.build=2")
    printed = project.make("push", TAG=tag).stdout
    assert "already exists, not pushed again" in printed
    assert digest(project, tag) == digest(project, "latest") == before


def test_latest_does_not_move_back(project: Project, tag: str) -> None:
    newer = project.commit()
    project.ci("publish")
    newest = digest(project, "latest")
    project.git("checkout", "--quiet", tag)
    printed = project.make("push").stdout
    project.git("checkout", "--quiet", newer)
    assert "latest is the image of a newer commit, unchanged." in printed
    assert digest(project, "latest") == newest != digest(project, tag)


def test_a_dirty_tree_is_not_pushed(project: Project) -> None:
    (project.path / "README.md").write_text("changed")
    done = project.make("push", check=False)
    project.git("checkout", "--quiet", "README.md")
    assert done.returncode != 0
    assert "uncommitted changes" in done.stdout


@pytest.mark.usefixtures("tag")
def test_version_is_another_tag_of_the_pushed_image(project: Project) -> None:
    project.ci("release", **dict.fromkeys(("CIRCLE_TAG", "CI_COMMIT_TAG", "GITHUB_REF_NAME"), "v1.2.0"))
    assert digest(project, "v1.2.0") == digest(project, project.git("rev-parse", "HEAD"))


@pytest.mark.databases("none")
def test_wrong_password_is_reported(project: Project) -> None:
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
