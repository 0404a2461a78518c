"""The rendered network policies, enforced by the firewall of a real node: what each exposure admits, and egress."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.commands import wait_for
from tests.e2e.docker.node import Node, execute, write_image
from tests.e2e.kubernetes.control_plane import Object
from tests.harness import Answers, Projects

IMAGE = "k8s-starter.test/network:1"
PRIVATE = "10.198.18.1"
"""An address of this machine that nodes of a cluster could have."""

EXPOSURES: dict[str, Answers] = {
    "clusterip": {"exposure": "clusterip"},
    "nodeport": {"exposure": "nodeport"},
    "loadbalancer": {"exposure": "loadbalancer"},
    "ingress": {"exposure": "ingress"},
    "gateway": {"exposure": "gateway", "gateway": "infra/gateway"},
    "host": {"exposure": "ingress", "ingress_namespace": ""},
}
CALLERS = {
    "clusterip": {"traefik", "infra", "monitoring", "observability", "payments"},
    "nodeport": {"traefik", "infra", "monitoring", "observability", "payments"},
    "loadbalancer": {"traefik", "infra", "monitoring", "observability", "payments"},
    "ingress": {"traefik"},
    "gateway": {"infra"},
    "host": {"traefik", "infra", "monitoring", "observability", "payments"},
}
"""The namespaces whose pods reach the service."""


@pytest.fixture(scope="module")
def clients(node: Node, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Namespaces with a pod that is a server and a client; one has the label for scraping metrics."""
    folder = tmp_path_factory.mktemp("image")
    node.import_image(write_image(folder / "pod.tar", IMAGE, node.programs["pod"]))
    names = CALLERS["clusterip"]
    for name in names:
        labels = {"metrics": "enabled"} if name == "observability" else {}
        make(node, name, name, labels=labels, pod_labels={"app.kubernetes.io/name": name})
    for name in names:
        ready(node, name, name)
    return names


@pytest.fixture(scope="module")
def machine(node: Node) -> Iterator[str]:
    """A server of this machine, which the node reaches at a public and at a private address, and its port."""
    execute("ip", "address", "add", f"{PRIVATE}/32", "dev", node.link)
    command = [sys.executable, "-u", "-m", "http.server", "0", "--directory", str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout
            (port,) = re.findall(r" port (\d+)", server.stdout.readline())
            yield port
        finally:
            server.terminate()


def make(
    node: Node,
    namespace: str,
    name: str,
    *,
    labels: Object | None = None,
    pod_labels: Object | None = None,
    port: str = "http",
) -> None:
    """Run a pod whose port has a name, in a namespace that is made if need be."""
    metadata = {"name": namespace, "labels": labels or {}}
    node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    node.kubectl("wait", "--for=create", "serviceaccount/default", f"--namespace={namespace}", "--timeout=200s")
    container = {"name": "pod", "image": IMAGE, "args": ["serve"], "ports": [{"containerPort": 8080, "name": port}]}
    spec = {"containers": [container], "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0}
    metadata = {"name": name, "namespace": namespace, "labels": pod_labels or {}}
    node.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def ready(node: Node, namespace: str, name: str) -> None:
    """Wait for a pod."""
    node.kubectl("wait", "--for=condition=Ready", f"pod/{name}", f"--namespace={namespace}", "--timeout=200s")


def address(node: Node, namespace: str, name: str) -> str:
    """The address of a pod."""
    found: str = node.get(f"/api/v1/namespaces/{namespace}/pods/{name}")["status"]["podIP"]
    return found


def reaches(node: Node, namespace: str, name: str, url: str) -> bool:
    """Whether a pod gets an answer."""
    done = node.kubectl("exec", f"--namespace={namespace}", name, "--", "/pod", url, check=False)
    return done.returncode == 0


def policies(node: Node, projects: Projects, folder: Path, answers: Answers) -> list[Object]:
    """The network policies of production."""
    for path, file in projects.render({"project_name": "Shop", "service_name": "shop", **answers}).items():
        if path.startswith("kubernetes/") and not path.endswith("/"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(file.content)
    overlay = folder / "kubernetes/overlays/production"
    built = [node.kubectl("kustomize", str(path)).stdout for path in (overlay, overlay / "namespace")]
    return [one for text in built for one in yaml.safe_load_all(text) if one["kind"] == "NetworkPolicy"]


PODS = {
    "shop": ("app.kubernetes.io/name", "shop", "http"),
    "metrics": ("app.kubernetes.io/name", "shop", "metrics"),
    "unknown": ("app.kubernetes.io/name", "shop", "unknown"),
    "solver": ("acme.cert-manager.io/http01-solver", "true", "http"),
    "other": ("app.kubernetes.io/name", "other", "http"),
}
"""A label of each pod, and the name of its port: all of them serve on the same one, which policies name."""


def deploy(node: Node, namespace: str, found: list[Object]) -> dict[str, str]:
    """Run pods of the service, of cert-manager's solver and an unrelated one behind these policies: their addresses."""
    for name, (key, value, port) in PODS.items():
        make(node, namespace, name, pod_labels={key: value}, port=port)
    for one in found:
        for rule in one["spec"].get("ingress", []):
            for port in rule["ports"]:
                port["port"] = 8080 if port["port"] == 8089 else port["port"]  # on which the solver listens
    node.apply(*({**one, "metadata": {**one["metadata"], "namespace": namespace}} for one in found))
    for name in PODS:
        ready(node, namespace, name)
    return {name: f"http://{address(node, namespace, name)}:8080/" for name in PODS}


@pytest.mark.parametrize("exposure", EXPOSURES)
def test_exposure_limits_the_clients_of_the_service(
    node: Node, clients: set[str], projects: Projects, tmp_path: Path, exposure: str
) -> None:
    space = f"net-{exposure}"
    urls = deploy(node, space, policies(node, projects, tmp_path, EXPOSURES[exposure] | {"database": "none"}))
    wait_for(lambda: not reaches(node, "payments", "payments", urls["other"]))  # the policies are there
    has_issuer = EXPOSURES[exposure]["exposure"] == "ingress"
    wanted = {
        "shop": CALLERS[exposure],
        "metrics": {"monitoring", "observability"},
        "unknown": set(),
        "solver": CALLERS[exposure] if has_issuer else set(),
        "other": set(),
    }

    def callers() -> dict[str, set[str]]:
        return {pod: {name for name in clients if reaches(node, name, name, urls[pod])} for pod in PODS}

    wait_for(lambda: callers() == wanted, lambda: str(callers()))  # the firewall takes one policy after another
    assert not reaches(node, space, "other", urls["shop"])
    node.kubectl("delete", "namespace", space, "--wait=false")


@pytest.mark.parametrize("egress", ["internet", "restricted"])
def test_egress_limits_the_connections_of_the_service(
    node: Node, clients: set[str], machine: str, projects: Projects, tmp_path: Path, egress: str
) -> None:
    assert "payments" in clients
    space = f"egress-{egress}"
    answers: Answers = {"database": "none", "customize": True, "egress": egress}
    deploy(node, space, policies(node, projects, tmp_path, answers))
    public, private = f"http://{node.host}:{machine}/", f"http://{PRIVATE}:{machine}/"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "payments", "namespace": "payments"},
        "spec": {"selector": {"app.kubernetes.io/name": "payments"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    node.apply(service)
    by_name = "http://payments.payments.svc.cluster.local/"
    wait_for(lambda: not reaches(node, space, "shop", private))
    assert reaches(node, "payments", "payments", private)
    wait_for(lambda: reaches(node, space, "shop", public) == (egress == "internet"))
    assert not reaches(node, space, "shop", by_name)
    assert not reaches(node, space, "other", public)

    # As in kubernetes/README.md.
    readme = (tmp_path / "kubernetes/README.md").read_text().replace("payments-production", "payments")
    entries = yaml.safe_load("".join(re.findall(r"```yaml\n(    - to:.*?)```", readme, re.DOTALL)))
    (policy,) = [one for one in policies(node, projects, tmp_path, answers) if one["metadata"]["name"] == "shop-egress"]
    policy["metadata"]["namespace"] = space
    policy["spec"]["egress"] += entries
    node.apply(policy)
    wait_for(lambda: reaches(node, space, "shop", by_name))
    assert not reaches(node, space, "shop", private)
    node.kubectl("delete", "namespace", space, "--wait=false")
