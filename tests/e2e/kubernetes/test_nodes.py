"""The maintenance of a node, with the PodDisruptionBudget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.kubernetes import control_plane
from tests.e2e.kubernetes.conftest import Maker
from tests.e2e.kubernetes.control_plane import START_TIMEOUT, ControlPlane

NODE = "node-to-repair"


@pytest.fixture
def node(cluster: ControlPlane) -> Iterator[str]:
    """A node on which nothing runs."""
    cluster.apply(control_plane.node(NODE, "a"))
    cluster.kubectl("wait", "--for=condition=Ready", "node", NODE, f"--timeout={START_TIMEOUT}s")
    yield NODE
    cluster.kubectl("delete", "node", NODE)


@pytest.mark.parametrize("replicas", [3, 1])
def test_drain_evicts_one_pod_at_a_time(make_project: Maker, cluster: ControlPlane, node: str, replicas: int) -> None:
    project = make_project(database="none", replicas=replicas)
    project.make("namespace", ENVIRONMENT="staging")
    with nowhere_else(cluster, node):
        project.make("deploy", ENVIRONMENT="staging", TAG="1" * 40)
    assert {pod["spec"]["nodeName"] for pod in project.pods("staging")} == {node}

    with project.watched("staging") as ready:
        project.make("drain", NODE=node)
    assert min(ready) == replicas - 1
    assert node not in {pod["spec"]["nodeName"] for pod in project.pods("staging")}


@contextmanager
def nowhere_else(cluster: ControlPlane, node: str) -> Iterator[None]:
    """Let new pods go to this node alone."""
    names = {other["metadata"]["name"] for other in cluster.items("/api/v1/nodes")} - {node}
    cluster.kubectl("cordon", *names)
    try:
        yield
    finally:
        cluster.kubectl("uncordon", *names)
