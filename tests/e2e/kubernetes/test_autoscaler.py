"""The HorizontalPodAutoscaler, with and without metrics."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.e2e.commands import wait_for
from tests.e2e.kubernetes.conftest import Maker
from tests.e2e.kubernetes.control_plane import START_TIMEOUT, ControlPlane, Object
from tests.e2e.kubernetes.project import Project

METRICS: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "pods.metrics.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, stands in for a metrics server"},
    },
    "spec": {
        "group": "metrics.k8s.io",
        "scope": "Namespaced",
        "names": {"kind": "PodMetrics", "plural": "pods"},
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


@pytest.fixture
def project(make_project: Maker) -> Project:
    """A service that runs two to six pods in staging."""
    project = make_project(database="none", replicas=2)
    project.make("namespace", ENVIRONMENT="staging")
    project.make("deploy", ENVIRONMENT="staging", TAG="1" * 40)
    return project


def scale(project: Project, replicas: int) -> None:
    """Set the number of pods by hand."""
    where = (f"--namespace={project.namespace('staging')}", f"deployment/{project.service}")
    project.cluster.kubectl("scale", *where, f"--replicas={replicas}")


def autoscaler(project: Project) -> str:
    """Where the API has it."""
    return f"/apis/autoscaling/v2/namespaces/{project.namespace('staging')}/horizontalpodautoscalers/{project.service}"


def limits(project: Project) -> tuple[int, int]:
    """The fewest and most pods that it keeps."""
    spec = project.cluster.get(autoscaler(project))["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def test_number_of_pods_returns_to_its_limits(project: Project) -> None:
    fewest, most = limits(project)
    assert fewest == 2
    assert fewest < most
    scale(project, fewest - 1)
    wait_for(lambda: project.deployment("staging")["spec"]["replicas"] == fewest)
    scale(project, most + 5)
    wait_for(lambda: project.deployment("staging")["spec"]["replicas"] == most)


def test_autoscaler_scales_up_and_down(project: Project, cluster: ControlPlane) -> None:
    cluster.apply(METRICS)
    definition = ("crd", METRICS["metadata"]["name"])
    try:
        cluster.kubectl("wait", "--for=condition=Established", *definition, f"--timeout={START_TIMEOUT}s")
        fewest, most = limits(project)
        # It waits for minutes before it believes a measurement.
        cluster.patch(autoscaler(project), {"spec": {"behavior": None}})
        wait_for(lambda: use(project, "1") == most)
        wait_for(lambda: use(project, "1m") == fewest)
    finally:
        cluster.kubectl("delete", *definition)


def use(project: Project, cpu: str) -> int:
    """Set the CPU usage of each pod, and return the expected number of pods."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    measured = [
        {
            "apiVersion": "metrics.k8s.io/v1beta1",
            "kind": "PodMetrics",
            "metadata": {key: pod["metadata"][key] for key in ("name", "namespace", "labels")},
            "timestamp": now,
            "window": "1s",
            "containers": [
                {"name": container["name"], "usage": {"cpu": cpu, "memory": "1Mi"}}
                for container in pod["spec"]["containers"]
            ],
        }
        for pod in project.pods("staging")
    ]
    if measured:
        project.cluster.apply(*measured)
    replicas: int = project.deployment("staging")["spec"]["replicas"]
    return replicas
