"""What a user answers stands unchanged in every file: edge cases are text, and numbers are numbers, to its readers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import yaml
from markdown_it import MarkdownIt

from tests.harness import ANSWERS_FILE, Answers, At, Projects, load
from tests.harness.projects import CONTENT
from tests.options import TEXTS

POD = "spec.template.spec"
APP = f"{POD}.containers.0"
CLAIM = "spec.volumeClaimTemplates.0.spec"
OVERLAYS = "kubernetes/overlays"
Said = Callable[[Answers], Any]


def when(condition: str, name: str) -> Said:
    """The answer if another is true, or else nothing."""
    return lambda answers: answers[name] if answers[condition] else None


def unless(condition: str, said: Said) -> Said:
    """Something, if an answer is not true."""
    return lambda answers: None if answers[condition] else said(answers)


def formatted(text: str) -> Said:
    """A text with answers in it."""
    return lambda answers: text.format(**answers)


def part(name: str, separator: str, index: int) -> Said:
    """A part of an answer."""
    return lambda answers: answers[name].split(separator)[index]


def _node_selector(answers: Answers) -> object:
    return dict([answers["node_selector"].split("=")]) if answers["node_selector"] else None


TLS_ONLY = {
    "ingress.kubernetes.io/force-ssl-redirect": "true",
    "kubernetes.io/ingress.allow-http": "false",
    "traefik.ingress.kubernetes.io/router.entrypoints": "websecure",
    "traefik.ingress.kubernetes.io/router.tls": "true",
}


def _annotations_of_ingress(answers: Answers) -> object:
    issuer = {"cert-manager.io/cluster-issuer": answers["cluster_issuer"]} if answers["cluster_issuer"] else {}
    return issuer | TLS_ONLY


def _identity(answers: Answers, environment: str) -> dict[str, object]:
    """The patch of the ServiceAccount."""
    key, _, value = answers["cloud_identity"].partition("=")
    annotations = {key: value.replace("ENVIRONMENT", environment)}
    return {"/metadata/annotations": annotations} if key else {}


def _service_type(answers: Answers) -> object:
    return {"nodeport": "NodePort", "loadbalancer": "LoadBalancer"}.get(answers["exposure"], "ClusterIP")


# By pointer into each file: the answer that is there, or what is made of answers; None is for nothing.
SAID: dict[str, dict[str, str | Said]] = {
    "docker-compose.yml": {"name": formatted("{service_name}-dev")},
    "prod.yml": {"name": "service_name"},
    "kubernetes/base/deployment.yaml": {
        "metadata.name": "service_name",
        f"{APP}.image": formatted("{image_repository}:set-by-make-deploy"),
        f"{APP}.ports.[name=http].containerPort": "port",
        f"{APP}.ports.[name=metrics].containerPort": "metrics_port",
        "spec.replicas": unless("autoscaling", lambda answers: answers["replicas"]),
        f"{POD}.nodeSelector": _node_selector,
    },
    "kubernetes/base/horizontalpodautoscaler.yaml": {
        "spec.minReplicas": "replicas",
        "spec.maxReplicas": "max_replicas",
        "spec.metrics.0.resource.target.averageUtilization": "cpu_target",
    },
    "kubernetes/base/httproute.yaml": {
        "spec.parentRefs.0.namespace": part("gateway", "/", 0),
        "spec.parentRefs.0.name": part("gateway", "/", 1),
        "spec.hostnames": lambda answers: [answers["ingress_host"]],
        "spec.rules.0.backendRefs.0.port": "service_port",
    },
    "kubernetes/base/ingress.yaml": {
        "spec.rules.0.host": "ingress_host",
        "spec.ingressClassName": lambda answers: answers["ingress_class"] or None,
        "metadata.annotations": lambda answers: _annotations_of_ingress(answers) if answers["tls"] else None,
        "spec.tls.0.hosts.0": when("tls", "ingress_host"),
    },
    "kubernetes/base/service.yaml": {"spec.type": _service_type, "spec.ports.0.port": "service_port"},
    "kubernetes/cluster/storageclass.yaml": {"metadata.name": formatted("gp3-encrypted")},
    "kubernetes/database/backup-persistentvolumeclaim.yaml": {
        "spec.resources.requests.storage": "storage_size",
        "spec.storageClassName": lambda answers: answers["storage_class"] or None,
    },
    "kubernetes/database/statefulset.yaml": {
        f"{CLAIM}.resources.requests.storage": "storage_size",
        f"{CLAIM}.storageClassName": lambda answers: answers["storage_class"] or None,
        f"{POD}.nodeSelector": _node_selector,
    },
    "kubernetes/namespace/viewers-rolebinding.yaml": {"subjects.0.name": formatted("{service_name}-viewers")},
    "kubernetes/secrets/registry-externalsecret.yaml": {
        "spec.secretStoreRef.name": "secret_store",
        "spec.target.name": formatted("{service_name}-registry"),
    },
    f"{OVERLAYS}/staging/kustomization.yaml": {"namespace": formatted("{namespace}-staging")},
    f"{OVERLAYS}/production/kustomization.yaml": {"namespace": formatted("{namespace}-production")},
    f"{OVERLAYS}/local/kustomization.yaml": {
        "namespace": formatted("{namespace}-local"),
        "replicas.0.count": unless("autoscaling", lambda _: 1),
    },
    "kubernetes/cluster/logs/config.yaml": {"exporters.otlp_http.endpoint": formatted("http://{log_collector}")},
    "kubernetes/cluster/logs/networkpolicy.yaml": {
        "spec.egress.1.ports.0.port": lambda answers: int(answers["log_collector"].split(":")[1])
    },
    "kubernetes/local/gateway.yaml": {
        "metadata.namespace": part("gateway", "/", 0),
        "metadata.name": part("gateway", "/", 1),
    },
    "kubernetes/kops.yaml": {"metadata.name": "cluster_domain", "spec.subnets.2.zone": formatted("{aws_region}c")},
}


def each(projects: Projects, path: str) -> list[tuple[Answers, bytes]]:
    """Every distinct content of a file, with answers that lead to it."""
    reads, table = projects.column(path)
    exposure = projects.space.rows(reads, *{"exposure"}.difference(reads))  # of which many read only a computed value
    table = table.filter(pl.col(CONTENT).is_not_null()).join(exposure, on=reads, nulls_equal=True)
    rows = table.unique(CONTENT, keep="first", maintain_order=True).iter_rows(named=True)
    return [(projects.space.context(row), projects.contents[row[CONTENT]]) for row in rows]


@pytest.mark.parametrize("path", SAID)
def test_names_and_numbers_read_back(projects: Projects, path: str) -> None:
    contents = each(projects, path)
    assert contents
    for answers, content in contents:
        for pointer, said in SAID[path].items():
            found, wanted = At(pointer)(content), answers[said] if isinstance(said, str) else said(answers)
            assert (found, type(found)) == (wanted, type(wanted)), f"{pointer} with {answers}"


def _annotations(**values: str) -> dict[str, object]:
    clouds = {
        "aws": "service.beta.kubernetes.io/aws-load-balancer-scheme",
        "aws_without_controller": "service.beta.kubernetes.io/aws-load-balancer-internal",
        "azure": "service.beta.kubernetes.io/azure-load-balancer-internal",
        "google": "networking.gke.io/load-balancer-type",
    }
    return {"/metadata/annotations": {clouds[cloud]: value for cloud, value in values.items()}}


# What overlays change of the base, by how the service is exposed.
PATCHED: dict[str, dict[str, Callable[[Answers], dict[str, Any]]]] = {
    "staging": {
        "ingress": lambda answers: dict.fromkeys(
            ["/spec/rules/0/host", *(["/spec/tls/0/hosts/0"] if answers["tls"] else [])],
            f"staging.{answers['ingress_host']}",
        ),
        "gateway": lambda answers: {"/spec/hostnames/0": f"staging.{answers['ingress_host']}"},
        "loadbalancer": lambda _: _annotations(
            aws="internal", aws_without_controller="true", azure="true", google="Internal"
        ),
    },
    "production": {
        "nodeport": lambda answers: {"/spec/ports/0/nodePort": answers["node_port"]},
        "loadbalancer": lambda _: _annotations(aws="internet-facing"),
    },
}


@pytest.mark.parametrize("environment", PATCHED)
def test_overlays_patch_the_exposure(projects: Projects, environment: str) -> None:
    for answers, content in each(projects, f"{OVERLAYS}/{environment}/kustomization.yaml"):
        kinds: dict[bool, dict[str, Any]] = {True: {}, False: {}}
        for patch in load(content).get("patches", []):
            for operation in load(patch["patch"].encode()):
                kinds[patch["target"]["kind"] == "ServiceAccount"][operation["path"]] = operation["value"]
        patched = PATCHED[environment].get(answers["exposure"])
        assert kinds == {True: _identity(answers, environment), False: patched(answers) if patched else {}}, answers


def test_the_python_project_reads_back(projects: Projects) -> None:
    for answers, content in each(projects, "pyproject.toml"):
        project = tomllib.loads(content.decode())["project"]
        assert (project["name"], project["description"]) == (answers["service_name"], answers["description"])


def test_the_label_of_the_image_reads_back(projects: Projects) -> None:
    for answers, content in each(projects, "Dockerfile"):
        labels = re.findall(r'^LABEL .*title="([^"]*)"', content.decode(), re.MULTILINE)
        assert labels == [answers["service_name"]]


def test_buckets_have_valid_names(projects: Projects) -> None:
    names = {
        name
        for _, content in each(projects, "kubernetes/kops.yaml")
        for name in re.findall(r"s3://([^/\s]+)", content.decode())
    }
    assert max(map(len, names)) == 63, "no cluster has the longest name"
    assert [name for name in names if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", name)] == []


def _plain_text(markdown: str) -> list[str]:
    """The text of each heading and paragraph that is nothing but text, as a reader sees it."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    inline = [token.children or [] for token in tokens if token.type == "inline"]
    texts = [children for children in inline if all(child.type in ("text", "text_special") for child in children)]
    return ["".join(child.content for child in children) for children in texts]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_is_read_back_without_other_changes(projects: Projects, text: str) -> None:
    title = text[:60].strip()
    files = projects.render({"project_name": title, "service_name": "shop", "description": text})
    assert _plain_text(files["README.md"].content.decode())[:2] == [title, text]
    assert tomllib.loads(files["pyproject.toml"].content.decode())["project"]["description"] == text
    stored = yaml.safe_load(files[ANSWERS_FILE].content)
    assert (stored["project_name"], stored["description"]) == (title, text)

    plain = projects.render({"project_name": "TITLE", "service_name": "shop", "description": "PLAIN"})
    for path, file in files.items():
        before, after = plain[path].content.split(b"\n"), file.content.split(b"\n")
        assert len(before) == len(after), path
        pairs = zip(before, after, strict=True)
        assert not [old for old, new in pairs if old != new and b"TITLE" not in old and b"PLAIN" not in old], path
