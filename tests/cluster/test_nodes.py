"""The maintenance of a node, with the PodDisruptionBudget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster.conftest import Maker
from tests.cluster.control_plane import ControlPlane

NODE = "node-a1"


@pytest.mark.parametrize("replicas", [3, 1])
def test_a_drained_node_gives_away_one_pod_at_a_time(make_project: Maker, cluster: ControlPlane, replicas: int) -> None:
    project = make_project(database="none", replicas=replicas)
    project.make("namespace", ENVIRONMENT="staging")
    with only_node(cluster):
        project.make("deploy", ENVIRONMENT="staging", TAG="1" * 40)
    assert {pod["spec"]["nodeName"] for pod in project.pods("staging")} == {NODE}

    selector = f"--pod-selector=app.kubernetes.io/name={project.service}"
    with project.watched("staging") as ready, uncordoned(cluster):
        cluster.kubectl("drain", NODE, "--ignore-daemonsets", "--delete-emptydir-data", selector)
    assert min(ready) == replicas - 1
    assert NODE not in {pod["spec"]["nodeName"] for pod in project.pods("staging")}


@contextmanager
def only_node(cluster: ControlPlane) -> Iterator[None]:
    """Let pods go to one node only."""
    others = [node["metadata"]["name"] for node in cluster.items("/api/v1/nodes") if node["metadata"]["name"] != NODE]
    cluster.kubectl("cordon", *others)
    try:
        yield
    finally:
        cluster.kubectl("uncordon", *others)


@contextmanager
def uncordoned(cluster: ControlPlane) -> Iterator[None]:
    """Let pods go to the node again afterwards."""
    try:
        yield
    finally:
        cluster.kubectl("uncordon", NODE)
