"""`make backup` and `make restore` start the jobs of the CronJobs, and a restore stops the service meanwhile."""

from __future__ import annotations

import secrets
import time
from base64 import b64decode

import pytest
import yaml

from tests.e2e.commands import wait_for
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
        if job["metadata"]["name"].startswith(f"{project.service}-verify-"):
            continue
        spec = job["spec"]["template"]["spec"]
        first, *others = (
            {item["name"]: item.get("value", "") for item in container.get("env", []) if "valueFrom" not in item}
            for container in (*spec.get("initContainers", []), *spec["containers"])
        )
        assert all(other == first for other in others)
        found[job["metadata"]["name"]] = first
    return found


def test_a_backup_is_a_job_that_completes(project: Project) -> None:
    project.make("backup", ENVIRONMENT="staging")
    assert [name for name in jobs(project) if name.startswith(f"{project.service}-backup-")]


def test_a_backup_is_verified_by_a_pod_without_the_password_of_the_database(project: Project) -> None:
    project.make("verify-backup", ENVIRONMENT="staging")
    path = f"/apis/batch/v1/namespaces/{project.namespace('staging')}/cronjobs/{project.service}-verify"
    spec = project.cluster.get(path)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    secrets = [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]
    assert secrets == [f"{project.service}-backup"]
    (container,) = spec["containers"]
    assert {"name": "DATABASE_HOST", "value": "127.0.0.1"} in container["env"]


def test_restore_requires_confirmation(project: Project) -> None:
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
    # Another key cannot read the backups that exist.
    other = variables | {"RESTIC_PASSWORD": secrets.token_hex()}
    done = project.run("make", *BUCKET, environment=other, check=False)
    assert (done.returncode, "Nothing has changed." in done.stdout) == (2, True)
    assert project.cluster.get(path)["data"] == data
    project.run("make", *BUCKET, environment=other | {"RESTIC_REPOSITORY": f"{REPOSITORY}-2"})


@pytest.mark.parametrize("step", ["scale", "wait", "create", "get job", "failed", "scale up"])
def test_failed_restore_leaves_the_service_stopped_with_instructions(project: Project, step: str) -> None:
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
    (advice,) = [line for line in done.stdout.splitlines() if "start the service with: " in line]
    assert ("The data is restored" in advice) == (step == "scale up")
    assert ("The restore has not begun" in advice) == (step in {"wait", "create"})
    assert is_suspended(project)
    # Another restore, which succeeds, starts as many as ran before the first. The time is part of a Job's name.
    time.sleep(1)
    project.run(*command)
    assert project.deployment("staging")["spec"]["replicas"] == 2
    assert not is_suspended(project)
    project.cluster.kubectl(f"--namespace={namespace}", "rollout", "status", f"deployment/{project.service}")


def is_suspended(project: Project) -> bool:
    """Return whether no backup begins at night."""
    path = f"/apis/batch/v1/namespaces/{project.namespace('staging')}/cronjobs/{project.service}-backup"
    suspended: bool = project.cluster.get(path)["spec"]["suspend"]
    return suspended


def test_one_error_of_the_api_server_is_no_failed_restore(project: Project) -> None:
    once = _failing(" get job/", f"! mkdir {project.path}/failed 2> /dev/null || exit 1")
    project.stub("kubectl", once + KUBECTL.removeprefix("#!/bin/sh\n"))
    project.make("restore", ENVIRONMENT="staging", CONFIRM=project.namespace("staging"))
    project.stub("kubectl", KUBECTL)
    assert (project.path / "failed").is_dir()


POD = """
securityContext: {runAsNonRoot: true, runAsUser: 999, seccompProfile: {type: RuntimeDefault}}
restartPolicy: Never
schedulingGates: [{name: example.com/never}]
containers:
  - name: app
    image: app
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""


def test_a_restore_is_refused_while_another_one_runs(project: Project) -> None:
    name = f"{project.service}-restore-1"
    namespace = project.namespace("staging")
    metadata = {"name": name, "namespace": namespace}
    spec = {"template": {"spec": yaml.safe_load(POD)}}
    project.cluster.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}"
    wait_for(lambda: project.cluster.get(path)["status"].get("active"))
    done = project.make("restore", ENVIRONMENT="staging", CONFIRM=namespace, check=False)
    project.cluster.kubectl(f"--namespace={namespace}", "delete", "job", name)
    assert (done.returncode, "is running. Nothing has changed." in done.stdout) == (2, True)
    assert project.deployment("staging")["spec"]["replicas"] == 2


def test_evicted_pod_delays_no_restore(project: Project) -> None:
    """Its ReplicaSet never deletes it."""
    namespace = project.namespace("staging")
    labels = {"app.kubernetes.io/name": project.service}
    metadata = {"name": "evicted", "namespace": namespace, "labels": labels}
    project.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": yaml.safe_load(POD)})
    kubectl = project.cluster.kubectl
    failed = '{"status": {"phase": "Failed", "reason": "Evicted"}}'
    kubectl(f"--namespace={namespace}", "patch", "pod", "evicted", "--subresource=status", f"--patch={failed}")
    project.make("restore", ENVIRONMENT="staging", CONFIRM=namespace)
    assert project.deployment("staging")["spec"]["replicas"] == 2
    kubectl(f"--namespace={namespace}", "delete", "pod", "evicted")


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
