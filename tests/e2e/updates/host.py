"""A host of repositories on loopback: git over HTTP, and as much of GitHub's and GitLab's APIs as a proposal needs."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import os
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN = "a-token-that-may-push"  # noqa: S105


class Host(ThreadingHTTPServer):
    """Serves the bare repository acme/shop.git of a folder to whoever has the token, and keeps what is proposed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.proposals: list[dict[str, str]] = []
        self.refuses = False
        self.repository = folder / "acme/shop.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.repository], check=True)

    def branches(self) -> list[str]:
        """The branches of the repository."""
        command = ["git", "for-each-ref", "--format=%(refname:short)", "refs/heads"]
        return subprocess.run(command, cwd=self.repository, capture_output=True, text=True, check=True).stdout.split()


class _Handler(BaseHTTPRequestHandler):
    server: Host

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""

    def do_GET(self) -> None:
        """Git alone asks."""
        self._git(b"")

    def do_POST(self) -> None:
        """Git pushes, or a proposal comes."""
        body = self._body()
        if self.path.startswith("/acme/shop.git/"):
            self._git(body)
        elif self.path == "/repos/acme/shop/pulls":
            self._propose(self.headers["Authorization"] == f"Bearer {TOKEN}", json.loads(body))
        elif self.path == "/api/v4/projects/7/merge_requests":
            self._propose(self.headers["PRIVATE-TOKEN"] == TOKEN, self._form(body))
        else:
            self._answer(404, b"")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _form(self, body: bytes) -> dict[str, str]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
        return {part["Content-Disposition"].params["name"]: part.get_content() for part in form.iter_parts()}

    def _propose(self, allowed: bool, proposal: dict[str, str]) -> None:
        if not allowed or self.server.refuses:
            self._answer(422 if allowed else 401, b'{"message": "It is refused."}')
        else:
            self.server.proposals.append(proposal)
            self._answer(201, b"{}")

    def _git(self, body: bytes) -> None:
        """By git's own CGI program: https://git-scm.com/docs/git-http-backend."""
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        if base64.b64decode(given).decode().partition(":")[2] != TOKEN:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        environment = {
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "team",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env={**os.environ, **environment}, capture_output=True, check=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self._answer(int(headers.pop("Status", "200").split()[0]), content, headers)

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
