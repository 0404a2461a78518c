"""The node of the tests itself, with an image of our own: what other tests take for granted of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.e2e.apps.servers import find, free_port
from tests.e2e.commands import wait_for
from tests.e2e.docker.node import NAME, Node, write_image
from tests.e2e.docker.project import HASHED_PASSWORD, PASSWORD, USER, wait_for_answer
from tests.e2e.kubernetes import programs
from tests.e2e.kubernetes.control_plane import Object

IMAGE = "k8s-starter.test/pod:1"
GROUP = 1234


@pytest.fixture(scope="module", autouse=True)
def _image(node: Node, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give the node a small image."""
    node.import_image(write_image(tmp_path_factory.mktemp("image") / "pod.tar", IMAGE, node.programs["pod"]))


@pytest.fixture(scope="module")
def web(node: Node) -> str:
    """The namespace of a Deployment behind a Service, both named web."""
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod_spec("serve")}
    in_namespace = namespace(node, "web")
    node.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", **in_namespace},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", **in_namespace},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": "http"}]},
        },
    )
    node.kubectl("rollout", "status", "deployment/web", "--namespace=web", "--timeout=200s")
    return "web"


def test_node_has_the_tested_version(node: Node) -> None:
    (found,) = node.items("/api/v1/nodes")
    information = found["status"]["nodeInfo"]
    assert found["metadata"]["name"] == NAME
    assert information["kubeletVersion"] == f"v{programs.kubernetes_version()}"
    assert information["containerRuntimeVersion"].startswith("containerd://")


def test_service_resolves_to_each_pod(node: Node, web: str) -> None:
    names = {pod["metadata"]["name"] for pod in node.items(f"/api/v1/namespaces/{web}/pods")}
    address = node.get(f"/api/v1/namespaces/{web}/services/web")["spec"]["clusterIP"]
    for host in (address, "web", "web.web.svc.cluster.local"):
        answers: set[str] = set()

        def every_pod_answers(host: str = host, answers: set[str] = answers) -> bool:
            answers.add(ask(node, web, "deployment/web", f"http://{host}/"))
            return answers >= names

        wait_for(every_pod_answers, answers.__repr__)


def test_logs_and_forwarded_ports_come_from_the_pod(node: Node, web: str) -> None:
    pod = node.items(f"/api/v1/namespaces/{web}/pods")[0]["metadata"]["name"]
    assert node.kubectl("logs", pod, f"--namespace={web}").stdout == f"This is {pod}\n"
    command = ["kubectl", "port-forward", f"--namespace={web}", f"pod/{pod}", ":8080"]
    with subprocess.Popen(command, env=node.environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            port = process.stdout.readline().split()[2].rpartition(":")[2]
            assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text == pod
        finally:
            process.terminate()


def test_network_policies_are_enforced(node: Node, web: str) -> None:
    client = pod(node, "client")
    node.apply(client)
    name, address = client["metadata"]["name"], f"http://web.{web}.svc.cluster.local/"
    node.kubectl("wait", "--for=condition=Ready", f"pod/{name}", f"--namespace={name}", "--timeout=200s")
    wait_for(lambda: bool(ask(node, name, name, address)))

    to_dns = [{"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}, "namespaceSelector": {}}]
    policy: Object = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "dns-only", "namespace": name},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": to_dns}]},
    }
    node.apply(policy)
    wait_for(lambda: not ask(node, name, name, address))

    node.apply({**policy, "spec": policy["spec"] | {"egress": [{"to": [*to_dns, {"namespaceSelector": {}}]}]}})
    wait_for(lambda: bool(ask(node, name, name, address)))


def test_the_group_of_a_pod_owns_its_volume(node: Node) -> None:
    user = pod(node, "volume")
    metadata = {"name": "data", "namespace": user["metadata"]["namespace"]}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    node.prepare_for([claim])
    user["spec"]["securityContext"] = {"fsGroup": GROUP}
    user["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    user["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    node.apply(claim, user)
    node.kubectl("wait", "--for=condition=Ready", "pod/volume", "--namespace=volume", "--timeout=200s")
    (volume,) = [
        volume
        for volume in node.items("/api/v1/persistentvolumes")
        if volume["spec"]["claimRef"]["namespace"] == metadata["namespace"]
    ]
    assert Path(volume["spec"]["local"]["path"]).stat().st_gid == GROUP


def test_a_private_image_is_pulled_with_a_secret_and_only_so(node: Node, registry: str) -> None:
    image = f"{registry}/acme/pod:1"
    ctr = ["ctr", "--namespace=k8s.io", "images"]
    node.run(*ctr, "tag", IMAGE, image)
    hosts = f"--hosts-dir={node.folder}/registries"
    node.run(*ctr, "push", hosts, f"--user={USER}:{PASSWORD}", image)
    node.run(*ctr, "remove", image)

    stranger = pod(node, "private")
    stranger["spec"]["containers"][0]["image"] = image
    node.apply(stranger)
    path = "/api/v1/namespaces/private/pods"
    wait_for(lambda: "no basic auth credentials" in str(node.get(f"{path}/private")), lambda: str(node.get(path)))

    login = [f"--docker-server={registry}", f"--docker-username={USER}", f"--docker-password={PASSWORD}"]
    node.kubectl("create", "secret", "docker-registry", "login", "--namespace=private", *login)
    customer = {**stranger, "metadata": {"name": "customer", "namespace": "private"}}
    customer["spec"] = {**stranger["spec"], "imagePullSecrets": [{"name": "login"}]}
    node.apply(customer)
    node.kubectl("wait", "--for=condition=Ready", "pod/customer", "--namespace=private", "--timeout=200s")
    assert ask(node, "private", "customer", "http://127.0.0.1:8080/") == "customer"


@pytest.fixture
def registry(node: Node, tmp_path: Path) -> Iterator[str]:
    """A registry on loopback that requires a login, with the same name on the node."""
    (tmp_path / "users").write_text(f"{USER}:{HASHED_PASSWORD}\n")
    port = free_port()
    configuration = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": f"{tmp_path}/registry"}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "auth": {"htpasswd": {"realm": "test", "path": f"{tmp_path}/users"}},
    }
    path = tmp_path / "registry.yml"
    path.write_text(yaml.safe_dump(configuration))
    command = [find("docker-registry", "docker-registry"), "serve", str(path)]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_for_answer(f"http://127.0.0.1:{port}/v2/")
            node.use_registry(f"127.0.0.1:{port}", port)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def pod_spec(*arguments: str) -> Object:
    """A pod of our image with a readiness probe."""
    container = {
        "name": "pod",
        "image": IMAGE,
        "args": arguments,
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    }
    return {"containers": [container], "automountServiceAccountToken": False}


def pod(node: Node, name: str) -> Object:
    """A pod in a separate namespace."""
    metadata = {"name": name, **namespace(node, name)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec("serve")}


def namespace(node: Node, name: str) -> dict[str, str]:
    """Make a namespace, whose service account a pod needs."""
    node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    node.kubectl("wait", "--for=create", "serviceaccount/default", f"--namespace={name}", "--timeout=200s")
    return {"namespace": name}


def ask(node: Node, namespace: str, pod: str, address: str) -> str:
    """The response that a pod gets from an address, or nothing."""
    return node.kubectl("exec", f"--namespace={namespace}", pod, "--", "/pod", address, check=False).stdout
