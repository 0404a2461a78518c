"""A backup in a bucket outlives its namespace: CronJob, network policies and restic run on a real node."""

from __future__ import annotations

import secrets

import pytest

from tests.e2e.apps.bucket import S3
from tests.e2e.docker.node import Node
from tests.e2e.docker.test_kubernetes import STAGING, Shop, deployed, forwarded
from tests.e2e.requirements import skip_unless_available

__all__ = ["deployed"]

pytestmark = pytest.mark.databases("postgres")

PORT = 443
"""The only one of a bucket that the backup's network policy admits."""


def test_a_backup_is_restored_into_another_namespace_of_the_same_name(node: Node, deployed: Shop, tag: str) -> None:
    namespace = deployed.namespace(STAGING)
    with skip_unless_available():
        server = S3(node.host, PORT)
    with server as bucket:
        variables = bucket.make_bucket("backups", secrets.token_urlsafe(32))
        with forwarded(deployed) as client:
            number = client.add("kept")
        deployed.run("make", "backup-bucket", f"ENVIRONMENT={STAGING}", environment=variables)
        told = deployed.make("backup", ENVIRONMENT=STAGING).stdout
        assert "to the bucket." in told
        node.kubectl("delete", "namespace", namespace, "--timeout=200s")
        deployed.prepare(STAGING)
        deployed.make("registry-secret", ENVIRONMENT=STAGING)
        deployed.make("deploy", ENVIRONMENT=STAGING, TAG=tag)
        with forwarded(deployed) as client:
            assert client.names() == {}
        deployed.run("make", "backup-bucket", f"ENVIRONMENT={STAGING}", environment=variables)
        deployed.make("restore", ENVIRONMENT=STAGING, CONFIRM=namespace)
        node.kubectl("rollout", "status", f"deployment/{deployed.service}", f"--namespace={namespace}")
        with forwarded(deployed) as client:
            assert client.names()[number] == "kept"
