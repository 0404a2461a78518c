"""`make backup` and `make restore` start the jobs of the CronJobs, and a restore stops the service meanwhile."""

from __future__ import annotations

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


@pytest.fixture(scope="module")
def project(make_project: Maker) -> Project:
    """A service in staging."""
    project = make_project(database="postgres", replicas=2)
    project.prepare("staging")
    project.make("deploy", ENVIRONMENT="staging", TAG="1" * 40)
    project.stub("kubectl", KUBECTL)
    return project


def jobs(project: Project) -> dict[str, dict[str, str]]:
    """The environment of the one container of each job."""
    path = f"/apis/batch/v1/namespaces/{project.namespace('staging')}/jobs"
    found = {}
    for job in project.cluster.get(path)["items"]:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        found[job["metadata"]["name"]] = {item["name"]: item["value"] for item in container.get("env", [])}
    return found


def test_a_backup_is_a_job_that_completes(project: Project) -> None:
    project.make("backup", ENVIRONMENT="staging")
    assert [name for name in jobs(project) if name.startswith(f"{project.service}-backup-")]


def test_a_restore_wants_to_be_confirmed(project: Project) -> None:
    done = project.make("restore", ENVIRONMENT="staging", check=False)
    assert done.returncode == 2
    assert f"CONFIRM={project.namespace('staging')}" in done.stdout
    assert not [name for name in jobs(project) if "-restore-" in name]


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
    (variables,) = [variables for name, variables in jobs(project).items() if "-restore-" in name]
    assert variables["BACKUP"] == "20261124T021700Z.dump"
