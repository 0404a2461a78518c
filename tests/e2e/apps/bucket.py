"""A real S3 server: https://github.com/versity/versitygw, built from the Go module that is pinned here."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.e2e.apps.servers import find, free_port
from tests.e2e.commands import wait_for
from tests.e2e.kubernetes import programs


class S3:
    """A server with folders as buckets and a separate account, on all addresses of this machine."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.program = programs.find(["versitygw"])["versitygw"]
        self.restic = find("restic", "restic")
        self.host, self.port = host, port or free_port()
        self.access, self.secret = "access-key", secrets.token_urlsafe()
        self.folder = Path(tempfile.mkdtemp(prefix="s3-"))
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start the server and wait until it listens."""
        self.process = subprocess.Popen(
            [self.program, "--quiet", f"--port={self.host}:{self.port}", "posix", self.folder],
            env={"ROOT_ACCESS_KEY": self.access, "ROOT_SECRET_KEY": self.secret},
            stdout=subprocess.DEVNULL,
        )

        def listens() -> bool:
            with suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
                return True
            return False

        wait_for(listens)

    def stop(self) -> None:
        """Stop the server and keep its buckets."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def make_bucket(self, name: str, key: str) -> dict[str, str]:
        """Create a bucket, and return restic's variables for it."""
        (self.folder / name).mkdir()
        return {
            "RESTIC_REPOSITORY": f"s3:http://{self.host}:{self.port}/{name}/shop",
            "RESTIC_PASSWORD": key,
            "AWS_ACCESS_KEY_ID": self.access,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    def ask(self, variables: dict[str, str], *command: str, folder: Path | None = None) -> str:
        """Run restic with these variables only."""
        done = subprocess.run(
            [self.restic, "--quiet", "--no-cache", *command],
            cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        return done.stdout
