"""The cluster that kOps creates and updates."""

from __future__ import annotations

from collections.abc import Iterator

from tests.harness import At, Fact, Problem, change, rejects, replace, rule
from tests.rules.extract import Matching

KOPS = "kubernetes/kops.yaml"


@rejects("a cluster of a fixed size", KOPS, change("spec.clusterAutoscaler.enabled", False))
@rejects(
    "an update of the control plane alone", "kubernetes.mk", replace("reconcile cluster", "rolling-update cluster")
)
@rule(
    scales=Fact(KOPS, At("spec.clusterAutoscaler.enabled")),
    update=Fact("kubernetes.mk", Matching(r"(\(KOPS\) reconcile cluster) --yes")),
)
def the_cluster_scales_and_is_reconciled(scales: bool | None, update: str | None) -> Iterator[Problem]:
    """The cluster adds nodes for pending pods, and an update replaces nodes in the order that Kubernetes requires."""
    if scales is not None:
        if not scales:
            yield Problem(KOPS, "has no cluster autoscaler", "spec")
        if not update:
            yield Problem("kubernetes.mk", "does not update by `kops reconcile cluster`", "cluster-update")
