"""The service as a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx


def free_ports() -> tuple[int, int]:
    """Return two different ports on which nothing listens."""
    local = ("127.0.0.1", 0)
    with socket.create_server(local) as service, socket.create_server(local) as metrics:
        return service.getsockname()[1], metrics.getsockname()[1]


class Service:
    """A running service. Its log goes to a file."""

    def __init__(self, log: Path, **environment: str) -> None:
        self.log = log
        self.environment = environment

    def __enter__(self) -> Self:
        while not self.start():
            # Another process has taken a port meanwhile.
            assert "already in use" in self.log.read_text(), self.log.read_text()
        return self

    def start(self) -> bool:
        """Start the process on free ports, and wait until it listens or has ended."""
        self.port, self.metrics_port = free_ports()
        ports = {"PORT": str(self.port), "METRICS_PORT": str(self.metrics_port)}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "serve"],
                env=os.environ | self.environment | ports,
                stdout=log,
                stderr=log,
            )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False)
        deadline = time.monotonic() + 60
        # Not a request: another process may answer on this port.
        while "running on" not in self.log.read_text():
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)
        return True

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def terminate(self) -> None:
        """Send SIGTERM and wait until the listening socket is closed."""
        self.process.send_signal(signal.SIGTERM)
        while True:
            try:
                self.connect().close()
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                pass
            time.sleep(0.05)

    def wait(self) -> int:
        return self.process.wait(timeout=60)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def read_all(connection: socket.socket) -> bytes:
    """Return what the server sends until it closes the connection."""
    return b"".join(iter(lambda: connection.recv(4096), b""))
