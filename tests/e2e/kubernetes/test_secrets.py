"""The secrets of the service itself: `make secret NAME=…` sets one, shows it nowhere, and keeps the others."""

from __future__ import annotations

import base64
import re
import subprocess

import pytest
import yaml

from tests.e2e.kubernetes.conftest import Maker
from tests.e2e.kubernetes.project import Project

VALUES = {"payment-key": "s3cret 'quoted' \"$x\" `id`", "tls.key": "-----BEGIN-----\nabc\n-----END-----"}


@pytest.fixture(scope="module")
def project(make_project: Maker) -> Project:
    """A service without a database, but with secrets."""
    project = make_project(database="none")
    project.make("namespace", ENVIRONMENT="staging")
    return project


def set_secret(project: Project, name: str, value: str) -> subprocess.CompletedProcess[str]:
    """Set a secret as a pipe does, and let `make` print every command that it runs."""
    return subprocess.run(
        ["make", "--trace", "secret", "ENVIRONMENT=staging", f"NAME={name}"],
        cwd=project.path,
        env=project.environment(),
        input=value,
        capture_output=True,
        text=True,
        check=False,
    )


def held(project: Project) -> dict[str, str]:
    """What the Secret holds."""
    path = f"/api/v1/namespaces/{project.namespace('staging')}/secrets/{project.service}-settings"
    return {key: base64.b64decode(value).decode() for key, value in project.cluster.get(path)["data"].items()}


def test_secrets_are_set_one_by_one_and_not_shown(project: Project) -> None:
    for name, value in VALUES.items():
        done = set_secret(project, name, value)
        assert done.returncode == 0, done.stderr
        assert not [line for line in value.splitlines() if line in done.stdout + done.stderr]
    assert held(project) == VALUES
    assert set_secret(project, "payment-key", "another").returncode == 0
    assert held(project) == VALUES | {"payment-key": "another"}


def test_file_is_stored_byte_by_byte(project: Project) -> None:
    content = bytes(range(256)) + b"\n\n"
    project.make("namespace", ENVIRONMENT="production")
    command = ["make", "secret", "ENVIRONMENT=production", "NAME=store.p12"]
    subprocess.run(command, cwd=project.path, env=project.environment(), input=content, check=True)
    path = f"/api/v1/namespaces/{project.namespace('production')}/secrets/{project.service}-settings"
    assert base64.b64decode(project.cluster.get(path)["data"]["store.p12"]) == content


def test_pull_secret_requires_the_credentials_and_no_address(project: Project) -> None:
    command = ("make", "registry-secret", "ENVIRONMENT=staging")
    for variables in ({}, {"DOCKER_HUB_USER_ID": "acme"}):
        done = project.run(*command, environment=variables, check=False)
        assert (done.returncode, "DOCKER_HUB_PWD" in done.stdout) == (2, True)
    project.run(*command, environment={"DOCKER_HUB_USER_ID": "acme", "DOCKER_HUB_PWD": "token"})


@pytest.mark.parametrize(("name", "value"), [("payment-key", ""), ("a/b", "x")])
def test_empty_value_or_invalid_name_changes_nothing(project: Project, name: str, value: str) -> None:
    assert set_secret(project, "payment-key", "kept").returncode == 0
    assert set_secret(project, name, value).returncode != 0
    assert held(project)["payment-key"] == "kept"


def test_a_name_is_needed_without_a_database(project: Project) -> None:
    done = subprocess.run(
        ["make", "secret", "ENVIRONMENT=staging"],
        cwd=project.path, env=project.environment() | {"NAME": "of-the-machine"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, "NAME is missing" in done.stderr) == (2, True)


def test_settings_are_mounted(project: Project) -> None:
    overlay = project.path / "kubernetes/overlays/staging"
    objects = yaml.safe_load_all(project.cluster.kubectl("kustomize", str(overlay)).stdout)
    (pod,) = [item["spec"]["template"]["spec"] for item in objects if item["kind"] == "Deployment"]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "settings"]
    assert (volume["secret"]["secretName"], volume["secret"]["optional"]) == (f"{project.service}-settings", True)
    (mount,) = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "settings"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/run/secrets/settings", True)


def test_store_provides_settings_as_documented(make_project: Maker) -> None:
    project = make_project(database="postgres", customize=True, secrets="external-secrets")
    project.make("namespace", ENVIRONMENT="staging")
    done = set_secret(project, "payment-key", "x")
    assert (done.returncode, "SecretStore" in done.stderr) == (2, True)
    readme = (project.path / "kubernetes/README.md").read_text()
    (example,) = re.findall(r"```yaml\n(apiVersion: external-secrets.*?)```", readme, re.DOTALL)
    folder = project.path / "kubernetes/secrets"
    (folder / "settings-externalsecret.yaml").write_text(example)
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    kustomization["resources"].append("settings-externalsecret.yaml")
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    overlay = str(project.path / "kubernetes/overlays/staging")
    project.cluster.kubectl("apply", "--server-side", "--dry-run=server", f"--kustomize={overlay}")
