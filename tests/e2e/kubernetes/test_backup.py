"""`make backup` and `make restore` start the jobs of the CronJobs, and a restore stops the service meanwhile."""

from __future__ import annotations

import secrets
import time
from base64 import b64decode

import pytest

from tests.e2e.kubernetes.conftest import Maker
from tests.e2e.kubernetes.project import Project
from tests.toolchains import tool

# Simulated nodes keep no logs.
KUBECTL = f"""\
#!/bin/sh
case " $* " in *" logs "*) exit 0 ;; esac
exec {tool("kubectl")} "$@"
"""

BUCKET = ("backup-bucket", "ENVIRONMENT=staging")
REPOSITORY = "s3:https://s3.example.com/bucket/shop-staging"


def _failing(pattern: str, instead: str = "exit 1") -> str:
    return f'#!/bin/sh\ncase " $* " in *"{pattern}"*) {instead} ;; esac\n'


FAILING = {
    "scale": _failing("--replicas=0 "),
    "wait": _failing(" wait "),
    "create": _failing(" create --filename"),
    "get job": _failing(" get job/"),
    "failed": _failing(" get job/", "echo FailureTarget Failed; exit 0"),
    "scale up": _failing("--replicas=2 "),
}


@pytest.fixture(scope="module")
def project(make_project: Maker) -> Project:
    """A service in staging."""
    project = make_project(database="postgres", replicas=2)
    project.prepare("staging")
    project.make("deploy", ENVIRONMENT="staging", TAG="1" * 40)
    project.stub("kubectl", KUBECTL)
    return project


def jobs(project: Project) -> dict[str, dict[str, str]]:
    """The environment of each job, which its containers have in common."""
    path = f"/apis/batch/v1/namespaces/{project.namespace('staging')}/jobs"
    found = {}
    for job in project.cluster.get(path)["items"]:
        spec = job["spec"]["template"]["spec"]
        first, *others = (
            {item["name"]: item.get("value", "") for item in container.get("env", [])}
            for container in (*spec.get("initContainers", []), *spec["containers"])
        )
        assert all(other == first for other in others)
        found[job["metadata"]["name"]] = first
    return found


def test_a_backup_is_a_job_that_completes(project: Project) -> None:
    project.make("backup", ENVIRONMENT="staging")
    assert [name for name in jobs(project) if name.startswith(f"{project.service}-backup-")]


def test_a_restore_wants_to_be_confirmed(project: Project) -> None:
    done = project.make("restore", ENVIRONMENT="staging", check=False)
    assert done.returncode == 2
    assert f"CONFIRM={project.namespace('staging')}" in done.stdout
    assert not [name for name in jobs(project) if "-restore-" in name]


def test_a_bucket_needs_a_repository_and_a_key(project: Project) -> None:
    for variables in ({}, {"RESTIC_REPOSITORY": REPOSITORY}, {"RESTIC_REPOSITORY": REPOSITORY, "RESTIC_PASSWORD": "x"}):
        done = project.run("make", *BUCKET, environment=variables, check=False)
        assert done.returncode == 2
        assert "RESTIC_PASSWORD" in done.stdout


def test_a_bucket_is_a_secret_with_the_variables_of_restic(project: Project) -> None:
    variables = {"RESTIC_REPOSITORY": REPOSITORY, "RESTIC_PASSWORD": "a = b'c\"$HOME d", "AWS_ACCESS_KEY_ID": "id"}
    variables["RESTIC_PASSWORD"] += secrets.token_hex()
    for key in ("first", "second"):
        variables["AWS_SECRET_ACCESS_KEY"] = key
        done = project.run("make", *BUCKET, environment=variables | {"AWS_SESSION_TOKEN": "of a person"})
        assert variables["RESTIC_PASSWORD"] not in done.stdout
        path = f"/api/v1/namespaces/{project.namespace('staging')}/secrets/{project.service}-backup"
        data = project.cluster.get(path)["data"]
        assert {name: b64decode(value).decode() for name, value in data.items()} == variables


@pytest.mark.parametrize("step", ["scale", "wait", "create", "get job", "failed", "scale up"])
def test_a_failed_restore_leaves_the_service_stopped_and_says_what_to_do(project: Project, step: str) -> None:
    namespace = project.namespace("staging")
    command = ("make", "restore", "ENVIRONMENT=staging", f"CONFIRM={namespace}")
    project.stub("kubectl", FAILING[step] + KUBECTL.removeprefix("#!/bin/sh\n"))
    done = project.run(*command, check=False)
    project.stub("kubectl", KUBECTL)
    assert done.returncode != 0
    replicas = project.deployment("staging")["spec"]["replicas"]
    if step == "scale":
        assert replicas == 2
        return
    assert replicas == 0
    (advice,) = [line for line in done.stdout.splitlines() if "start it with: " in line]
    assert ("The data is restored" in advice) == (step == "scale up")
    # Another restore, which succeeds, starts as many as ran before the first. The time is part of a Job's name.
    time.sleep(1)
    project.run(*command)
    assert project.deployment("staging")["spec"]["replicas"] == 2
    project.cluster.kubectl(f"--namespace={namespace}", "rollout", "status", f"deployment/{project.service}")


def test_a_restore_stops_the_service_and_starts_it_again(project: Project) -> None:
    with project.watched("staging") as ready:
        project.make(
            "restore", ENVIRONMENT="staging", CONFIRM=project.namespace("staging"), BACKUP="20261124T021700Z.dump"
        )
        project.cluster.kubectl(
            f"--namespace={project.namespace('staging')}", "rollout", "status", f"deployment/{project.service}"
        )
    assert min(ready) == 0
    assert ready[-1] == 2
    assert "20261124T021700Z.dump" in [variables.get("BACKUP") for variables in jobs(project).values()]
