"""What a namespace refuses: pods beyond its quota, pods that are not restricted, and a deployer who reaches too far."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.e2e.kubernetes.conftest import Maker
from tests.e2e.kubernetes.control_plane import ControlPlane, Object
from tests.e2e.kubernetes.project import Project
from tests.toolchains import tool

CONFLICT = httpx.codes.CONFLICT

RESTRICTED = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}


@pytest.fixture(scope="module")
def project(make_project: Maker) -> Project:
    """A service in staging."""
    project = make_project(database="postgres", replicas=2)
    project.prepare("staging")
    project.make("deploy", ENVIRONMENT="staging", TAG="1" * 40)
    return project


def create(cluster: ControlPlane, namespace: str, number: int, security: Object) -> httpx.Response:
    """Create a pod without resources."""
    container: Object = {"name": "sleep", "image": "example.com/sleep:1"}
    if security:
        container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod = {"metadata": {"name": f"extra-{number}"}, "spec": {"securityContext": security, "containers": [container]}}
    # Another pod can change the use of the quota meanwhile: clients try again after a conflict.
    while (answer := cluster.client.post(f"/api/v1/namespaces/{namespace}/pods", json=pod)).status_code == CONFLICT:
        pass
    return answer


def test_a_pod_beyond_the_quota_is_refused(project: Project, cluster: ControlPlane) -> None:
    namespace = project.namespace("staging")
    quota = cluster.get(f"/api/v1/namespaces/{namespace}/resourcequotas/quota")
    most = int(quota["spec"]["hard"]["pods"])
    answers: list[httpx.Response] = []
    try:
        while not answers or answers[-1].status_code == httpx.codes.CREATED:
            assert len(answers) < most
            answers.append(create(cluster, namespace, len(answers), RESTRICTED))
    finally:
        for number in range(len(answers) - 1):
            cluster.client.delete(f"/api/v1/namespaces/{namespace}/pods/extra-{number}")
    assert answers[-1].status_code == httpx.codes.FORBIDDEN
    assert "exceeded quota: quota" in answers[-1].json()["message"]
    assert len(answers) > 1, "Not even one more pod is admitted."


def test_a_pod_that_is_not_restricted_is_refused(project: Project, cluster: ControlPlane) -> None:
    answer = create(cluster, project.namespace("staging"), 0, {})
    assert answer.status_code == httpx.codes.FORBIDDEN
    assert 'violates PodSecurity "restricted' in answer.json()["message"]


def test_containers_without_resources_get_defaults(project: Project, cluster: ControlPlane) -> None:
    namespace = project.namespace("staging")
    answer = create(cluster, namespace, 0, RESTRICTED)
    cluster.client.delete(f"/api/v1/namespaces/{namespace}/pods/extra-0")
    assert answer.status_code == httpx.codes.CREATED, answer.text
    resources = answer.json()["spec"]["containers"][0]["resources"]
    assert resources["requests"].keys() == {"cpu", "memory"}
    assert resources["limits"].keys() == {"memory"}


@pytest.fixture(scope="module")
def deployer(project: Project) -> Project:
    """The same project in the hands of the account that deploys."""
    return project.as_deployer("staging")


def test_the_deployer_deploys_and_rolls_back(deployer: Project) -> None:
    deployer.make("deploy", ENVIRONMENT="staging", TAG="2" * 40)
    deployer.make("status", ENVIRONMENT="staging")
    deployer.make("rollback", ENVIRONMENT="staging")


@pytest.mark.parametrize(
    "wish",
    [
        "get secret {service}-database",
        "list secrets",
        "delete secret {service}-database",
        "update resourcequota quota",
        "patch resourcequota quota",
        "delete resourcequota quota",
        "patch limitrange defaults",
        "delete limitrange defaults",
        "update networkpolicy default-deny",
        "patch networkpolicy default-deny",
        "delete networkpolicy default-deny",
        "deletecollection networkpolicies",
        "create roles",
        "patch role deployer",
        "create rolebindings",
        "create serviceaccounts/token",
        "delete persistentvolumeclaim {service}-backup",
        "deletecollection persistentvolumeclaims",
        "create pods/exec",
        "patch namespace {service}-staging",
        "list pods --namespace=default",
        "create deployments --namespace=default",
        "list nodes",
    ],
)
def test_deployer_lacks_other_permissions(deployer: Project, wish: str) -> None:
    words = wish.format(service=deployer.service).split()
    verb, resource, *rest = words
    name = [word for word in rest if not word.startswith("--")]
    where = [word for word in rest if word.startswith("--")] or [f"--namespace={deployer.namespace('staging')}"]
    resource, _, subresource = resource.partition("/")
    target = "/".join([resource, *name])
    flags = [f"--subresource={subresource}"] if subresource else []
    done = deployer.cluster.kubectl(
        "auth", "can-i", verb, target, *flags, *where, kubeconfig=deployer.kubeconfig, check=False
    )
    assert (done.returncode, done.stdout.strip().split()[0]) == (1, "no"), done.stdout + done.stderr


def expiry(project: Project) -> datetime:
    """The expiry in the kubeconfig's token."""
    kubeconfig = json.loads((project.path / "kubeconfig-staging").read_text())
    payload = kubeconfig["users"][0]["user"]["token"].split(".")[1]
    return datetime.fromtimestamp(json.loads(urlsafe_b64decode(payload + "=="))["exp"], UTC)


def test_expiry_of_a_kubeconfig_is_printed(project: Project) -> None:
    done = project.make("kubeconfig", ENVIRONMENT="staging")
    end = expiry(project)
    assert f"Its token expires at {end:%FT%TZ}." in done.stdout
    assert timedelta(days=89) < end - datetime.now(UTC) <= timedelta(days=90)
    assert (project.path / "kubeconfig-staging").stat().st_mode & 0o777 == 0o600


def test_shortened_token_is_reported(project: Project) -> None:
    project.stub("kubectl", f'#!/bin/bash\nexec {tool("kubectl")} "${{@/2160h/24h}}"\n')
    done = project.make("kubeconfig", ENVIRONMENT="staging")
    project.stub("kubectl", f'#!/bin/sh\nexec {tool("kubectl")} "$@"\n')
    assert expiry(project) - datetime.now(UTC) < timedelta(hours=25)
    assert f"Its token expires at {expiry(project):%FT%TZ}." in done.stdout


@pytest.mark.parametrize(
    ("part", "user"),
    [
        (" config view ", ""),
        (" create token ", ""),
        (" auth can-i ", ""),
        (" create rolebinding ", "ci"),
        (" apply ", "ci"),
    ],
)
def test_a_kubeconfig_that_fails_leaves_the_good_one(project: Project, part: str, user: str) -> None:
    project.make("kubeconfig", ENVIRONMENT="staging")
    good = (project.path / "kubeconfig-staging").read_text()
    project.stub("kubectl", f'#!/bin/sh\ncase " $* " in *"{part}"*) exit 1 ;; esac\nexec {tool("kubectl")} "$@"\n')
    done = project.make("kubeconfig", ENVIRONMENT="staging", OIDC_USER=user, check=False)
    project.stub("kubectl", f'#!/bin/sh\nexec {tool("kubectl")} "$@"\n')
    assert done.returncode != 0
    assert "Wrote" not in done.stdout
    assert (project.path / "kubeconfig-staging").read_text() == good
    assert not (project.path / "kubeconfig-staging.new").exists()
