"""What others create in the namespace of a service is admitted: cert-manager's solver, debug containers, sidecars."""

from __future__ import annotations

import httpx
import pytest

from tests.e2e.kubernetes.conftest import Maker
from tests.e2e.kubernetes.control_plane import ControlPlane, Object
from tests.e2e.kubernetes.project import Project

RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
SOLVER = {
    "acme.cert-manager.io/http-domain": "1234567890",
    "acme.cert-manager.io/http-token": "1234567891",
    "acme.cert-manager.io/http01-solver": "true",
}


@pytest.fixture(scope="module")
def project(make_project: Maker) -> Project:
    """A service behind an Ingress, at the size to which its autoscaler may bring it."""
    project = make_project(database="postgres", exposure="ingress", replicas=2)
    project.prepare("production")
    project.make("deploy", ENVIRONMENT="production", TAG="1" * 40)
    project.make("scale", ENVIRONMENT="production", REPLICAS="6")
    return project


def create(project: Project, path: str, item: Object) -> httpx.Response:
    """Ask for an object, which is deleted at once if it is admitted."""
    api, _, resource = path.rpartition("/")
    resources = f"{api}/namespaces/{project.namespace('production')}/{resource}"
    response = project.cluster.client.post(resources, json=item)
    if response.status_code == httpx.codes.CREATED:
        project.cluster.client.delete(f"{resources}/{response.json()['metadata']['name']}")
    return response


# As https://github.com/cert-manager/cert-manager/tree/v1.21.2/pkg/issuer/acme/http creates them.
@pytest.mark.parametrize(
    ("path", "spec"),
    [
        (
            "/api/v1/pods",
            {
                "automountServiceAccountToken": False,
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "restartPolicy": "OnFailure",
                "enableServiceLinks": False,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [
                    {
                        "name": "acmesolver",
                        "image": "quay.io/jetstack/cert-manager-acmesolver:v1.21.2",
                        "args": ["--listen-port=8089", "--domain=shop.example.com", "--token=t", "--key=k"],
                        "resources": {
                            "requests": {"cpu": "10m", "memory": "64Mi"},
                            "limits": {"cpu": "100m", "memory": "64Mi"},
                        },
                        "ports": [{"name": "http", "containerPort": 8089}],
                        "securityContext": RESTRICTED,
                    }
                ],
            },
        ),
        (
            "/api/v1/services",
            {
                "type": "NodePort",
                "ports": [{"name": "http", "port": 8089, "targetPort": 8089}],
                "selector": SOLVER,
            },
        ),
    ],
    ids=["pod", "service"],
)
def test_the_solver_of_cert_manager_is_admitted(project: Project, path: str, spec: Object) -> None:
    metadata = {"generateName": "cm-acme-http-solver-", "labels": SOLVER}
    response = create(project, path, {"metadata": metadata, "spec": spec})
    assert response.status_code == httpx.codes.CREATED, response.text


def test_a_second_node_port_is_refused(project: Project) -> None:
    port = {"name": "http", "port": 80}
    service = {"metadata": {"name": "two"}, "spec": {"type": "NodePort", "ports": [port, {"name": "b", "port": 81}]}}
    response = create(project, "/api/v1/services", service)
    assert (response.status_code, "services.nodeports" in response.text) == (httpx.codes.FORBIDDEN, True)


def test_a_debug_container_is_admitted(project: Project, cluster: ControlPlane) -> None:
    pod = project.pods("production")[0]["metadata"]["name"]
    done = cluster.kubectl(
        "debug", f"--namespace={project.namespace('production')}", pod, "--image=example.com/debug:1",
        "--profile=restricted", "--attach=false",
    )  # fmt: skip
    assert "violate" not in done.stderr


def test_the_sidecar_of_a_mesh_is_admitted(project: Project) -> None:
    # As added by a mutating webhook, without resources: the LimitRange sets them.
    container = {"image": "example.com/sleep:1", "securityContext": RESTRICTED}
    spec = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 2102, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [{"name": "proxy", "restartPolicy": "Always", **container}],
        "containers": [{"name": "job", **container}],
    }
    response = create(project, "/api/v1/pods", {"metadata": {"name": "meshed"}, "spec": spec})
    assert response.status_code == httpx.codes.CREATED, response.text
    assert response.json()["spec"]["initContainers"][0]["resources"]["limits"].keys() == {"memory"}
