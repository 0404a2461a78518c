"""Values of texts and numbers that stand for all others, and edge cases: for the option space of the tests."""

from __future__ import annotations

from tests.harness.space import Space, Value
from tests.harness.template import Template

# A text or number takes its default alone, unless its value decides what is rendered: then a row here has values that
# stand for all others. The default is always among them. An edge case does for a text whose value decides little.
REPRESENTATIVES: dict[str, list[Value]] = {
    "project_name": ["Shop"],
    "service_name": ["shop"],
    "image_repository": [
        "docker.io/acme/shop",
        "ghcr.io/acme/shop",
        "registry.gitlab.com/acme/shop",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop",
    ],
    "replicas": [2, 1],
    "cluster_issuer": ["letsencrypt", ""],
    "ingress_class": ["", "traefik"],
    "node_selector": ["", "pool=web"],
    "storage_class": ["", "fast"],
}

TEXTS: list[str] = [
    """It's "quoted": yes # no comment, 100% \\n""",
    "{{ x }} {% raw %} {# c #} ${HOME} $HOME $(id) `id` << y >>",
    "<b>&amp;</b> *bold* _it_ [x](y) | cell | ~~no~~ ![i](j)",
    "# heading",
    "- item",
    "1. item",
    "[x]: y",
    "\"\"\" + '''",
    "yes",
    "null",
    "1e3",
    "0o17",
    "2026-11-22",
    "&anchor *alias !tag %directive @at",
    "héllo 🎉 日本語",
    "שלום עולם",
    "\\",
    "C ##",
]

# Legal answers that formats read in unexpected ways. A text question without a row takes what it accepts of `TEXTS`.
EDGE_CASES: dict[str, list[Value]] = {
    "project_name": [*TEXTS, "x" * 60],
    "description": [*TEXTS, "x" * 200],
    "service_name": ["x", "x" * 40, "database"],
    "namespace": ["x" * 40, "kube"],
    "ingress_host": ["1.2.3.x", ".".join(["x" * 59] * 4) + ".yes"],
    "image_repository": [
        "localhost:5000/a__b/c.d-e",
        "123.dkr.ecr.eu-west-1.example.com/shop",
        "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com/a/b",
        "registry.example.com/" + "x" * 179,
    ],
    "gateway": ["null/yes", "x" * 63 + "/" + "y" * 63],
    "ingress_namespace": ["", "null", "1e3", "x" * 63],
    "cluster_issuer": ["1.5", "yes"],
    "ingress_class": ["null", "x" * 253],
    "node_selector": ["example.com/pool=true", "gpu=", "1=1e3"],
    "cluster_domain": ["1.2.3.x", "x" * 16 + "." + "y" * 31 + ".yes"],
    "aws_region": ["us-gov-west-1", "ap-southeast-2"],
    "database_host": ["1.2.3.x", ".".join(["x" * 59] * 4) + ".yes"],
    "cloud_identity": [
        "eks.amazonaws.com/role-arn=arn:aws:iam::123456789012:role/shop-ENVIRONMENT",
        "iam.gke.io/gcp-service-account=shop@acme.iam.gserviceaccount.com",
        "azure.workload.identity/client-id=00000000-0000-0000-0000-000000000000",
        "example.com/x=/@:._+=,-",
    ],
    "storage_class": ["true", "0x1f", "x" * 253],
    "storage_size": ["1Gi", "9999Ti"],
    "secret_store": ["null", "1e3", "x.y"],
    "log_collector": ["c:1", "otel.example.com:65535"],
    "port": [1024, 65535, 5432],
    "service_port": [1, 443, 65535],
    "metrics_port": [1025, 65534],
    "node_port": [30000, 32767],
    "max_replicas": [100, 300],
    "cpu_target": [10, 100],
    "replicas": [3, 100],
}


def space_of(template: Template) -> Space:
    """The option space of a version of this template."""
    return Space(template, REPRESENTATIVES, EDGE_CASES, TEXTS)
