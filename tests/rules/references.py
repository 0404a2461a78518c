"""The reference projects: good ones, which the faults beside each rule break."""

from __future__ import annotations

from tests.harness import Answers

_NAMES: Answers = {"project_name": "Shop", "service_name": "shop", "port": 8080}

REFERENCES: dict[str, Answers] = {
    "ingress": {
        **_NAMES, "database": "postgres", "exposure": "ingress", "image_repository": "docker.io/acme/shop",
        "customize": True, "cluster_issuer": "",
    },
    "gateway": {**_NAMES, "database": "redis", "exposure": "gateway", "image_repository": "docker.io/acme/shop"},
    "kops": {
        **_NAMES, "database": "postgres", "exposure": "nodeport", "image_repository": "docker.io/acme/shop",
        "customize": True, "database_hosting": "external", "secrets": "external-secrets", "monitoring": True,
        "log_agent": True, "cluster": "kops", "node_selector": "pool=web", "autoscaling": False,
    },
    "gitlab": {
        **_NAMES, "ci_provider": "gitlab", "database": "mysql", "exposure": "loadbalancer",
        "image_repository": "ghcr.io/acme/shop",
    },
    "small": {
        **_NAMES, "ci_provider": "gitlab", "database": "none", "exposure": "ingress", "replicas": 1,
        "image_repository": "registry.gitlab.com/acme/shop", "customize": True, "tls": False,
    },
    "github": {
        **_NAMES, "database": "none", "exposure": "loadbalancer", "replicas": 1, "ci_provider": "github",
        "image_repository": "ghcr.io/acme/shop",
    },
    "typescript": {**_NAMES, "language": "typescript", "database": "mysql", "image_repository": "docker.io/acme/shop"},
    "go": {
        **_NAMES, "language": "go", "database": "postgres", "exposure": "ingress",
        "image_repository": "docker.io/acme/shop",
    },
}  # fmt: skip
