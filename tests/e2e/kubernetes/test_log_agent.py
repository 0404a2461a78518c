"""The log agent's configuration, run by the collector: the logs of its namespaces arrive, and no others."""

from __future__ import annotations

import gzip
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.commands import TIMEOUT
from tests.e2e.kubernetes import programs
from tests.e2e.serving import serving
from tests.harness import Answers, Projects

PATH = "kubernetes/cluster/logs/config.yaml"
ANSWERS: Answers = {"project_name": "Shop", "customize": True, "log_agent": True}
LOGS = """\
2026-11-24T10:00:00.000000001Z stdout F {"level": "error", "message": "It broke.", "status": 500}
2026-11-24T10:00:01.000000001Z stderr P a long line
2026-11-24T10:00:01.000000002Z stderr F  in two parts
2026-11-24T10:00:02.000000001Z stdout F {"no JSON
"""


class Receiver(ThreadingHTTPServer):
    """Takes what the agent sends."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[bytes] = []
        self.came = threading.Event()


class Handler(BaseHTTPRequestHandler):
    """Keeps the body of each request."""

    def do_POST(self) -> None:
        """Answer as a collector does."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Receiver)
        assert self.path == "/v1/logs"
        self.server.bodies.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.end_headers()
        self.server.came.set()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def configuration(projects: Projects, folder: Path, port: int) -> Path:
    """The rendered configuration with the folders and the port of this test, each of which it must name."""
    text = projects.render(ANSWERS)[PATH].content.decode()
    changes = {
        "/var/log/pods": str(folder / "pods"),
        "/var/lib/log-agent": str(folder / "state"),
        "http://opentelemetry-collector.monitoring:4318": f"http://127.0.0.1:{port}",
        ":13133": ":0",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "state").mkdir()
    (folder / "config.yaml").write_text(text)
    return folder / "config.yaml"


def log_file(folder: Path, namespace: str) -> Path:
    """The log of a container, where the kubelet puts it."""
    path = folder / f"pods/{namespace}_shop-6d5f_0a1b2c3d-0000-4000-8000-000000000000/api/0.log"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("environment", ["local", "staging", "production"])
def test_the_logs_arrive(projects: Projects, tmp_path: Path, environment: str) -> None:
    log_file(tmp_path, f"shop-{environment}").write_text(LOGS)
    log_file(tmp_path, "payroll-production").write_text(LOGS.replace("It broke.", "Private."))
    with serving(Receiver()) as server:
        config = configuration(projects, tmp_path, server.server_port)
        with (tmp_path / "log").open("w") as log:
            agent = subprocess.Popen(
                [programs.find(["collector"])["collector"], f"--config={config}"],
                env={**os.environ, "NODE": "node-1", "POD_IP": "127.0.0.1"},
                stdout=log,
                stderr=log,
            )
        try:
            assert server.came.wait(TIMEOUT), (tmp_path / "log").read_text()
        finally:
            agent.terminate()
            agent.wait()
    printed = (tmp_path / "log").read_text()
    assert agent.returncode == 0, printed
    assert "\twarn\t" not in printed, printed
    assert "\terror\t" not in printed, printed
    sent = b"".join(server.bodies)
    for told in (
        f"shop-{environment}",
        "shop-6d5f",
        "api",
        "node-1",
        "It broke.",
        "a long line in two parts",
        '{"no JSON',
    ):
        assert told.encode() in sent, told
    assert b"Private." not in sent
