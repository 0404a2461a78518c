"""What a person typed stands unchanged in every format in which it lands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from tests.render import ANSWERS_FILE, Renderer
from tests.space import AWKWARD
from tests.validators import yaml_files

TEXTS = [str(text) for text in AWKWARD["description"]]


def plain_text(markdown: str) -> list[str]:
    """The text of each heading and paragraph, as a reader sees it, if it is nothing but text."""
    found = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown):
        if token.type == "inline":
            children = token.children or []
            only_text = all(child.type in ("text", "text_special") for child in children)
            found.append(
                "".join(child.content for child in children) if only_text else f"not only text: {token.content}"
            )
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_reads_back_from_readme_pyproject_and_answers(renderer: Renderer, text: str) -> None:
    title = text[:60].strip()
    project = renderer.project({"project_name": title, "service_name": "shop", "description": text})
    seen = plain_text(project["README.md"].content.decode())
    assert seen[:2] == [title, text]
    assert tomllib.loads(project["pyproject.toml"].content.decode())["project"]["description"] == text
    stored = yaml.safe_load(project[ANSWERS_FILE].content)
    assert (stored["project_name"], stored["description"]) == (title, text)


def test_a_text_changes_only_where_it_stands(renderer: Renderer) -> None:
    """The lines around it, and every other file, are those of a plain text."""
    plain = renderer.project({"project_name": "Shop", "service_name": "shop", "description": "PLAIN"})
    for text in TEXTS:
        project = renderer.project({"project_name": "Shop", "service_name": "shop", "description": text})
        for path, file in project.items():
            before, after = plain[path].content.split(b"\n"), file.content.split(b"\n")
            assert len(before) == len(after), path
            assert {line for line in before if line not in after} <= {line for line in before if b"PLAIN" in line}, path


POD = ("spec", "template", "spec")
OVERLAYS = "kubernetes/overlays"
Told = Callable[[Mapping[str, Any]], dict[tuple[str | int, ...], object]]


def _in_namespace(environment: str) -> Told:
    return lambda a: {("namespace",): f"{a['namespace']}-{environment}"}


# What each file tells of the answers, and where.
TOLD: dict[str, Told] = {
    "docker-compose.yml": lambda a: {("name",): f"{a['service_name']}-dev"},
    "prod.yml": lambda a: {("name",): a["service_name"]},
    "kubernetes/base/deployment.yaml": lambda a: {
        ("metadata", "name"): a["service_name"],
        (*POD, "containers", 0, "image"): f"{a['image_repository']}:set-by-make-deploy",
        (*POD, "containers", 0, "ports", 0, "containerPort"): a["port"],
        (*POD, "containers", 0, "ports", 1, "containerPort"): a["metrics_port"],
        **({} if a["autoscaling"] else {("spec", "replicas"): a["replicas"]}),
        **({(*POD, "nodeSelector"): selector(a)} if a["node_selector"] else {}),
    },
    "kubernetes/base/horizontalpodautoscaler.yaml": lambda a: {
        ("spec", "minReplicas"): a["replicas"],
        ("spec", "maxReplicas"): a["max_replicas"],
        ("spec", "metrics", 0, "resource", "target", "averageUtilization"): a["cpu_target"],
    },
    "kubernetes/base/httproute.yaml": lambda a: {
        ("spec", "parentRefs", 0, "namespace"): a["gateway"].split("/")[0],
        ("spec", "parentRefs", 0, "name"): a["gateway"].split("/")[1],
        ("spec", "hostnames"): [a["ingress_host"]],
        ("spec", "rules", 0, "backendRefs", 0, "port"): a["service_port"],
    },
    "kubernetes/base/ingress.yaml": lambda a: {
        ("spec", "rules", 0, "host"): a["ingress_host"],
        **({("spec", "ingressClassName"): a["ingress_class"]} if a["ingress_class"] else {}),
        **(
            {("metadata", "annotations"): {"cert-manager.io/cluster-issuer": a["cluster_issuer"]}}
            if a["tls"] and a["cluster_issuer"]
            else {}
        ),
        **({("spec", "tls", 0, "hosts"): [a["ingress_host"]]} if a["tls"] else {}),
    },
    "kubernetes/base/service.yaml": lambda a: {
        ("spec", "type"): {"nodeport": "NodePort", "loadbalancer": "LoadBalancer"}.get(a["exposure"], "ClusterIP"),
        ("spec", "ports", 0, "port"): a["service_port"],
    },
    "kubernetes/cluster/storageclass.yaml": lambda _: {("metadata", "name"): "gp3-encrypted"},
    "kubernetes/database/backup-persistentvolumeclaim.yaml": lambda a: {
        ("spec", "resources", "requests", "storage"): a["storage_size"],
        **({("spec", "storageClassName"): a["storage_class"]} if a["storage_class"] else {}),
    },
    "kubernetes/database/statefulset.yaml": lambda a: {
        ("spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage"): a["storage_size"],
        **(
            {("spec", "volumeClaimTemplates", 0, "spec", "storageClassName"): a["storage_class"]}
            if a["storage_class"]
            else {}
        ),
        **({(*POD, "nodeSelector"): selector(a)} if a["node_selector"] else {}),
    },
    "kubernetes/namespace/viewers-rolebinding.yaml": lambda a: {
        ("subjects", 0, "name"): f"{a['service_name']}-viewers"
    },
    "kubernetes/secrets/registry-externalsecret.yaml": lambda a: {
        ("spec", "secretStoreRef", "name"): a["secret_store"],
        ("spec", "target", "name"): f"{a['service_name']}-registry",
    },
    **{
        f"{OVERLAYS}/{environment}/kustomization.yaml": _in_namespace(environment)
        for environment in ("staging", "production")
    },
    f"{OVERLAYS}/local/kustomization.yaml": lambda a: {
        ("namespace",): f"{a['namespace']}-local",
        **({} if a["autoscaling"] else {("replicas", 0, "count"): 1}),
    },
    "kubernetes/cluster/logs/config.yaml": lambda a: {
        ("exporters", "otlp_http", "endpoint"): f"http://{a['log_collector']}"
    },
    "kubernetes/cluster/logs/networkpolicy.yaml": lambda a: {
        ("spec", "egress", 1, "ports", 0, "port"): int(a["log_collector"].split(":")[1])
    },
    "kubernetes/local/gateway.yaml": lambda a: {
        ("metadata", "namespace"): a["gateway"].split("/")[0],
        ("metadata", "name"): a["gateway"].split("/")[1],
    },
    "kubernetes/kops.yaml": lambda a: {
        ("metadata", "name"): a["cluster_domain"],
        ("spec", "subnets", 2, "zone"): f"{a['aws_region']}c",
    },
}


def selector(answers: Mapping[str, Any]) -> dict[str, str]:
    key, _, value = answers["node_selector"].partition("=")
    return {key: value}


@pytest.mark.parametrize("path", TOLD)
def test_names_and_numbers_read_back_from_every_file(renderer: Renderer, path: str) -> None:
    """Awkward but legal names are text, and numbers are numbers, to whoever reads the file."""
    rendered = renderer.each(path)
    assert rendered
    for one in rendered:
        for keys, value in TOLD[path](one.context).items():
            found = read(one.files, path, *keys)
            assert (found, type(found)) == (value, type(value)), one


def _annotations(**values: str) -> dict[str, object]:
    clouds = {"aws": "service.beta.kubernetes.io/aws-load-balancer-scheme"}
    clouds |= {"azure": "service.beta.kubernetes.io/azure-load-balancer-internal"}
    clouds |= {"google": "networking.gke.io/load-balancer-type"}
    return {"/metadata/annotations": {clouds[cloud]: value for cloud, value in values.items()}}


# What the overlays that leave the machine change of the base, by how the service is reached.
PATCHED: dict[str, dict[str, Callable[[Mapping[str, Any]], dict[str, object]]]] = {
    "staging": {
        "ingress": lambda a: {
            "/spec/rules/0/host": f"staging.{a['ingress_host']}",
            **({"/spec/tls/0/hosts/0": f"staging.{a['ingress_host']}"} if a["tls"] else {}),
        },
        "gateway": lambda a: {"/spec/hostnames/0": f"staging.{a['ingress_host']}"},
        "loadbalancer": lambda _: _annotations(aws="internal", azure="true", google="Internal"),
    },
    "production": {
        "nodeport": lambda a: {"/spec/ports/0/nodePort": a["node_port"]},
        "loadbalancer": lambda _: _annotations(aws="internet-facing"),
    },
}


@pytest.mark.parametrize("environment", PATCHED)
def test_an_overlay_changes_what_its_way_in_wants(renderer: Renderer, environment: str) -> None:
    path = f"{OVERLAYS}/{environment}/kustomization.yaml"
    for one in renderer.each(path):
        patches = yaml_files.load(one.files[path])[0].get("patches", [])
        operations = [operation for patch in patches for operation in yaml.safe_load(patch["patch"])]
        wanted = PATCHED[environment].get(one.context["exposure"])
        found = {operation["path"]: operation["value"] for operation in operations}
        assert found == (wanted(one.context) if wanted else {}), one


def test_the_project_reads_back_from_its_metadata(renderer: Renderer) -> None:
    for one in renderer.each("pyproject.toml"):
        project = tomllib.loads(one.files["pyproject.toml"].decode())["project"]
        assert (project["name"], project["description"]) == (one.context["service_name"], one.context["description"])


def read(files: Mapping[str, bytes], path: str, *keys: str | int) -> Any:
    value = yaml_files.load(files[path])[0]
    for key in keys:
        value = value[key]
    return value


def test_every_bucket_has_a_name_that_s3_takes(renderer: Renderer) -> None:
    buckets = {
        bucket
        for one in renderer.each("kubernetes/kops.yaml")
        for bucket in re.findall(rb"s3://([^/\s]+)", one.files["kubernetes/kops.yaml"])
    }
    assert {len(bucket) for bucket in buckets} >= {63}, "no cluster has the longest name"
    for bucket in buckets:
        assert re.fullmatch(rb"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket), bucket


def test_labels_of_the_image_hold_the_service_s_name(renderer: Renderer) -> None:
    for rendered in renderer.each("Dockerfile"):
        labels = re.findall(r'^LABEL .*title="([^"]*)"', rendered.files["Dockerfile"].decode(), re.MULTILINE)
        assert labels == [rendered.context["service_name"]]
