"""Files that speak of one thing agree about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.harness import At, agreement, change


def matching(pattern: str) -> Callable[[bytes], Any]:
    def find(content: bytes) -> Any:
        found = re.search(pattern, content.decode(), re.MULTILINE)
        return found[1] if found else None

    find.where = pattern  # type: ignore[attr-defined]
    return find


port = agreement(
    "port",
    {
        "Dockerfile": matching(r"^EXPOSE (\d+)"),
        "common.yml": At("services.app.environment.PORT"),
        "kubernetes/base/config.env": matching(r"^PORT=(\d+)"),
        "kubernetes/base/deployment.yaml": At("spec.template.spec.containers.0.ports.[name=http].containerPort"),
        "README.md": matching(r"http://[a-z$().A-Z]*localhost:(\d+)"),
        "Makefile": matching(r"http://[a-z$().A-Z]*localhost:(\d+)"),
    },
)

port.rejects(
    "another port in the Deployment", "kubernetes/base/deployment.yaml",
    change("spec.template.spec.containers.0.ports.[name=http].containerPort", 8081),
)  # fmt: skip
