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

PRODUCTION = "production"
PORT = 443
"""The only one of a bucket that the backup's network policy admits."""


def test_a_backup_is_restored_into_another_namespace(node: Node, deployed: Shop, tag: str) -> None:
    with skip_unless_available():
        server = S3(node.host, PORT)
    with server as bucket:
        variables = bucket.make_bucket("backups", secrets.token_urlsafe(32))
        with forwarded(deployed) as client:
            number = client.add("kept")
        deployed.run("make", "backup-bucket", f"ENVIRONMENT={STAGING}", environment=variables)
        told = deployed.make("backup", ENVIRONMENT=STAGING).stdout
        assert "to the bucket." in told
        node.kubectl("delete", "namespace", deployed.namespace(STAGING), "--timeout=200s")
        namespace = deployed.namespace(PRODUCTION)
        deployed.prepare(PRODUCTION)
        try:
            deployed.make("registry-secret", ENVIRONMENT=PRODUCTION)
            deployed.make("deploy", ENVIRONMENT=PRODUCTION, TAG=tag)
            with forwarded(deployed, PRODUCTION) as client:
                assert client.names() == {}
            deployed.run("make", "backup-bucket", f"ENVIRONMENT={PRODUCTION}", environment=variables)
            deployed.make("backup", ENVIRONMENT=PRODUCTION)
            told = deployed.make("verify-backup", ENVIRONMENT=PRODUCTION).stdout
            assert ("from the bucket." in told, "The restored database has " in told) == (True, True), told
            deployed.make("restore", ENVIRONMENT=PRODUCTION, CONFIRM=namespace, FROM=deployed.namespace(STAGING))
            node.kubectl("rollout", "status", f"deployment/{deployed.service}", f"--namespace={namespace}")
            with forwarded(deployed, PRODUCTION) as client:
                assert client.names()[number] == "kept"
        finally:
            node.kubectl("delete", "namespace", namespace, "--wait=false")
