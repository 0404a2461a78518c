"""A host of repositories on loopback: git over HTTP, and as much of GitHub's and GitLab's APIs as a proposal needs."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "a-token-that-may-push"  # noqa: S105
READ_TOKEN = "a-token-that-may-read-the-template"  # noqa: S105


class Host(ThreadingHTTPServer):
    """Serves acme/shop.git and acme/template.git of a folder to whoever has their token, and keeps what is proposed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.proposals: list[dict[str, Any]] = []
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
        """Git reads, or requests are listed."""
        if self.path.startswith("/acme/"):
            self._git(b"")
        elif self._is_allowed():
            self._list({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})

    def do_POST(self) -> None:
        """Git pushes, or a request is opened."""
        body = self._body()
        if self.path.startswith("/acme/"):
            self._git(body)
        elif self._is_allowed():
            if self.server.refuses:
                self._answer(422, b'{"message": "It is refused."}')
            else:
                self.server.proposals.append({**json.loads(body), "state": "open"})
                self._answer(201, b"{}")

    def do_PUT(self) -> None:
        """A request is closed, at GitLab."""
        self.do_PATCH()

    def do_PATCH(self) -> None:
        """A request is closed."""
        change = json.loads(self._body())
        if self._is_allowed():
            assert change in ({"state": "closed"}, {"state_event": "close"})
            self.server.proposals[int(self.path.rpartition("/")[2])]["state"] = "closed"
            self._answer(200, b"{}")

    def _is_allowed(self) -> bool:
        path = urlsplit(self.path).path
        given = self.headers["PRIVATE-TOKEN"]
        if path.startswith("/repos/acme/shop/pulls"):
            given = self.headers["Authorization"].removeprefix("Bearer ")
        elif not path.startswith(("/api/v4/projects/7/merge_requests", "/api/v4/projects/acme%2Fshop/merge_requests")):
            self._answer(404, b"")
            return False
        if given != TOKEN:
            self._answer(401, b'{"message": "Bad credentials"}')
        return given == TOKEN

    def _list(self, query: dict[str, str]) -> None:
        """As https://docs.github.com/rest/pulls/pulls and https://docs.gitlab.com/api/merge_requests do."""
        state = query["state"].removesuffix("ed") if query["state"] == "opened" else query["state"]
        wanted = query.get("source_branch") or query.get("head", "").removeprefix("acme:")
        found = []
        for number, proposal in enumerate(self.server.proposals):
            branch = proposal.get("source_branch") or proposal["head"]
            if proposal["state"] == state and wanted in ("", branch):
                found.append(
                    {
                        "number": number,
                        "iid": number,
                        "head": {"ref": branch},
                        "source_branch": branch,
                        "merged_at": None,
                        "body": proposal.get("body"),
                        "description": proposal.get("description"),
                    }
                )
        self._answer(200, json.dumps(found).encode())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _git(self, body: bytes) -> None:
        """By git's own CGI program: https://git-scm.com/docs/git-http-backend."""
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        allowed = {READ_TOKEN} if self.path.startswith("/acme/template.git/") else {TOKEN}
        if base64.b64decode(given).decode().partition(":")[2] not in allowed:
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
