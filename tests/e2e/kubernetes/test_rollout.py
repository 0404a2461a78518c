"""What users type: deploy, roll back, scale. Nodes are simulated, so no image has to exist."""

from __future__ import annotations

import pytest

from tests.e2e.commands import wait_for
from tests.e2e.kubernetes.conftest import Maker
from tests.e2e.kubernetes.control_plane import ControlPlane
from tests.e2e.kubernetes.project import Project
from tests.harness import Answers

FIRST, SECOND = "1" * 40, "2" * 40
UNMIGRATED, BROKEN = "broken-migration", "broken"  # stages.yaml
STUB = '#!/bin/sh\necho "${0##*/} $*" >> "${0%/*}/calls"\n'


@pytest.fixture
def project(make_project: Maker) -> Project:
    """A service with a database, three replicas, and its first version in staging."""
    project = make_project(database="postgres", replicas=3)
    project.edit("kubernetes/base/deployment.yaml", "progressDeadlineSeconds: 600", "progressDeadlineSeconds: 10")
    project.edit("kubernetes/base/migrate-job.yaml", "backoffLimit: 3", "backoffLimit: 0")
    project.prepare("staging")
    project.make("deploy", ENVIRONMENT="staging", TAG=FIRST)
    assert project.tags("staging") == {FIRST}
    return project


def test_a_deploy_replaces_every_pod_while_as_many_serve(project: Project) -> None:
    with project.watched("staging") as ready:
        project.make("deploy", ENVIRONMENT="staging", TAG=SECOND)
    wait_for(lambda: project.tags("staging") == {SECOND})
    assert len(ready) > 3
    assert min(ready) == 3


@pytest.mark.parametrize(("tag", "why"), [(UNMIGRATED, "Job Failed"), (BROKEN, "Progress deadline exceeded")])
def test_failed_deploy_is_rolled_back_without_fewer_ready_pods(project: Project, tag: str, why: str) -> None:
    with project.watched("staging") as ready:
        done = project.make("deploy", check=False, ENVIRONMENT="staging", TAG=tag)
    assert done.returncode != 0
    assert why in done.stdout
    assert f"The deploy of {tag} failed and was rolled back." in done.stdout
    assert min(ready) == 3
    wait_for(lambda: project.tags("staging") == {FIRST})


@pytest.mark.parametrize("pods", [100, 300])
def test_slow_pods_of_the_most_replicas_roll_in_time_and_within_the_quota(make_project: Maker, pods: int) -> None:
    """Their times and those of the release are a tenth. Only an autoscaler makes so many as 300."""
    autoscaled: Answers = {"autoscaling": True, "max_replicas": 300} if pods > 100 else {"autoscaling": False}
    project = make_project(database="none", customize=True, replicas=100, **autoscaled)
    project.edit("kubernetes/base/deployment.yaml", "progressDeadlineSeconds: 600", "progressDeadlineSeconds: 60")
    project.edit("kubernetes/base/deployment.yaml", "minReadySeconds: 5", "minReadySeconds: 1")
    project.edit("kubernetes.mk", "TIMEOUT := 4800s", "TIMEOUT := 480s")
    project.prepare("staging")
    project.make("deploy", ENVIRONMENT="staging", TAG="slow-1")
    service = (f"deployment/{project.service}", f"--namespace={project.namespace('staging')}")
    project.cluster.kubectl("scale", *service, f"--replicas={pods}")
    project.cluster.kubectl("rollout", "status", *service)
    with project.watched("staging") as ready:
        project.make("deploy", ENVIRONMENT="staging", TAG="slow-2")
    assert min(ready) == pods
    path = f"/api/v1/namespaces/{project.namespace('staging')}/events"
    # Admission of so many pods at once also conflicts with its own writes to the quota, and is tried again.
    messages = [event["message"] for event in project.cluster.items(path) if event["reason"] == "FailedCreate"]
    assert not [message for message in messages if "exceeded quota" in message]
    wait_for(lambda: project.tags("staging") == {"slow-2"})


def test_rollback_returns_to_the_version_before(project: Project) -> None:
    project.make("deploy", ENVIRONMENT="staging", TAG=SECOND)
    with project.watched("staging") as ready:
        project.make("rollback", ENVIRONMENT="staging")
    wait_for(lambda: project.tags("staging") == {FIRST})
    assert min(ready) == 3


def test_status_shows_what_runs(project: Project) -> None:
    shown = project.make("status", ENVIRONMENT="staging").stdout
    for pod in project.pods("staging"):
        assert pod["metadata"]["name"] in shown


def test_a_second_secret_does_not_replace_the_first(project: Project, cluster: ControlPlane) -> None:
    path = f"/api/v1/namespaces/{project.namespace('staging')}/secrets/{project.service}-database"
    before = cluster.get(path)["data"]
    project.make("secret", ENVIRONMENT="staging")
    assert cluster.get(path)["data"] == before


def test_scale_changes_the_number_of_pods(project: Project) -> None:
    project.make("scale", ENVIRONMENT="staging", REPLICAS="5")
    wait_for(lambda: len(project.pods("staging")) == 5)


def test_first_deploy_to_a_local_cluster_requires_no_other_target(make_project: Maker, cluster: ControlPlane) -> None:
    """Docker and kind are stubs here: no image is built."""
    project = make_project(database="postgres")
    project.provision("local")
    project.kubeconfig = cluster.kubeconfig_of(cluster.tokens["admin"], context="kind-laptop")
    for name in ("docker", "kind"):
        project.stub(name, STUB)
    project.make("deploy", ENVIRONMENT="local")
    (tag,) = project.tags("local")
    assert tag.startswith("local-")
    calls = (project.stubs / "calls").read_text().splitlines()
    assert calls[0].startswith("docker build ")
    assert calls[-1] == f"kind load docker-image --name=laptop docker.io/acme/{project.service}:{tag}"
