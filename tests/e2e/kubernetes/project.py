"""A rendered project, and what its users type to bring it to a cluster."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path

from tests.e2e import workspace
from tests.e2e.kubernetes.control_plane import ControlPlane, Object
from tests.harness import Answers, File, load_all

DIGEST = f"sha256:{'0' * 64}"  # of images that no registry has
ENVIRONMENTS = ("local", "staging", "production")


class Project(workspace.Project):
    """A rendered project whose users have a cluster."""

    def __init__(self, cluster: ControlPlane, files: Mapping[str, File], path: Path, answers: Answers) -> None:
        super().__init__(files, path, answers)
        self.cluster = cluster
        self.kubeconfig = cluster.kubeconfig

    def environment(self) -> dict[str, str]:
        """What kubectl needs."""
        return self.cluster.environment(self.kubeconfig) | {"DIGEST": DIGEST}

    def namespace(self, environment: str) -> str:
        """The namespace of an environment."""
        return f"{self.answers.get('namespace', self.service)}-{environment}"

    def as_deployer(self, environment: str) -> Project:
        """The same project in the hands of the account that deploys."""
        self.make("kubeconfig", ENVIRONMENT=environment)
        other = copy(self)
        other.kubeconfig = self.path / f"kubeconfig-{environment}"
        return other

    def prepare(self, environment: str) -> None:
        """Do what an administrator does before the first deploy."""
        self.provision(environment)
        self.make("namespace", ENVIRONMENT=environment)
        brought = (
            self.answers.get("secrets") == "external-secrets" or self.answers.get("database_hosting") == "external"
        )
        if self.answers.get("database") != "none" and not brought:
            self.make("secret", ENVIRONMENT=environment)

    def provision(self, environment: str) -> None:
        """Do what a provisioner does when there are claims."""
        objects = self.cluster.kubectl("kustomize", str(self.path / "kubernetes/overlays" / environment)).stdout
        self.cluster.prepare_for(load_all(objects.encode()))

    def deployment(self, environment: str) -> Object:
        """The live Deployment."""
        path = f"/apis/apps/v1/namespaces/{self.namespace(environment)}/deployments/{self.service}"
        found: Object = self.cluster.get(path)
        return found

    def pods(self, environment: str) -> list[Object]:
        """The pods of the service."""
        items: list[Object] = self._list(environment)["items"]
        return items

    def tags(self, environment: str) -> set[str]:
        """The versions that run."""
        containers = [pod["spec"]["containers"][0] for pod in self.pods(environment)]
        return {container["image"].partition("@")[0].rpartition(":")[2] for container in containers}

    @contextmanager
    def watched(self, environment: str) -> Iterator[list[int]]:
        """Tell afterwards how many pods were ready at each step of what happened meanwhile."""
        counts: list[int] = []
        before = self._list(environment)
        yield counts
        end = self._mark(environment)
        ready = {pod["metadata"]["name"]: is_ready(pod) for pod in before["items"]}
        counts.append(sum(ready.values()))
        path, selector = self._pods_of(environment)
        for kind, pod in self.cluster.events(path, selector, before["metadata"]["resourceVersion"]):
            ready[pod["metadata"]["name"]] = kind != "DELETED" and is_ready(pod)
            counts.append(sum(ready.values()))
            if pod["metadata"]["resourceVersion"] == end:
                break

    def _mark(self, environment: str) -> str:
        """Change a pod, so that its new version stands at the end of what happened."""
        pod = next(pod for pod in self.pods(environment) if is_ready(pod))
        path = f"{self._pods_of(environment)[0]}/{pod['metadata']['name']}"
        change = self.cluster.patch(path, {"metadata": {"annotations": {"test/mark": secrets.token_hex()}}})
        version: str = change["metadata"]["resourceVersion"]
        return version

    def _list(self, environment: str) -> Object:
        path, selector = self._pods_of(environment)
        found: Object = self.cluster.get(path, selector)
        return found

    def _pods_of(self, environment: str) -> tuple[str, dict[str, str]]:
        selector = f"app.kubernetes.io/name={self.service}"
        return f"/api/v1/namespaces/{self.namespace(environment)}/pods", {"labelSelector": selector}


def is_ready(pod: Object) -> bool:
    """Whether a Service sends it requests."""
    conditions = {condition["type"]: condition["status"] for condition in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
