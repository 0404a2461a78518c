"""What the API server of a cluster would refuse, as kubeconform sees it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.harness import Problem, add, change, remove
from tests.rules.kubernetes.environment import Issue, Tree, tree_rule


@tree_rule
def every_resource_matches_its_schema(tree: Tree) -> Iterator[Problem]:
    """Resources match the strict schema of their kind, of the oldest and of the newest version of Kubernetes."""
    for one in tree.built:
        namespace = one.resource.get("metadata", {}).get("namespace") or "cluster"
        for error in one.errors:
            message = f"{error.pointer}: {error.message}" if error.pointer else error.message
            yield tree.problem(namespace, Issue(one.resource, message, error.pointer))
