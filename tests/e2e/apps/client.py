"""Raw requests, unmodified by a client library, and assertions for every response."""

import socket
from collections.abc import Iterable
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any

import httpx

from tests.e2e.apps.project import Service

KIBIBYTE = 1024
LARGEST_ID = 2**63 - 1
JSON = {"Content-Type": "application/json"}
RENAMED = {
    413: {"Content Too Large", "Payload Too Large", "Request Entity Too Large"},
    422: {"Unprocessable Content", "Unprocessable Entity"},
}
"""Status phrases that RFC 9110 changed; libraries have either."""


def send(
    service: Service,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
    *,
    port: int | None = None,
) -> httpx.Response:
    """Send a request and return its response."""
    with closing(HTTPConnection("127.0.0.1", port or service.port, timeout=60)) as connection:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        # A server that refuses a body does not read it.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.endheaders(body)
        response = connection.getresponse()
        return httpx.Response(response.status, headers=response.getheaders(), content=response.read())


def send_raw(service: Service, data: bytes) -> bytes:
    """Send bytes and return what the server sends until it closes the connection or has nothing more to say."""
    received = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection, suppress(OSError):
        connection.sendall(data)
        while part := connection.recv(65536):
            received += part
            connection.settimeout(0.5)
    return received


def media_type(response: httpx.Response) -> str:
    """Return the type of a body without its parameters."""
    return str(response.headers.get("Content-Type", "")).partition(";")[0].strip()


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """Check that a response is a problem document of RFC 9457."""
    assert response.status_code == status, response.text
    assert media_type(response) == "application/problem+json"
    assert response.headers["X-Request-ID"]
    problem: dict[str, Any] = response.json()
    assert problem["type"] == "about:blank"
    assert problem["title"] in RENAMED.get(status, {HTTPStatus(status).phrase})
    assert problem["status"] == status
    assert problem["detail"]
    assert isinstance(problem["detail"], str)
    assert ("errors" in problem) == (status == 422)
    if status == 503:
        assert int(response.headers["Retry-After"]) > 0
    return problem


def locations(response: httpx.Response) -> list[str]:
    """Return the locations of the errors of a 422."""
    errors = assert_problem(response, 422)["errors"]
    assert 1 <= len(errors) <= 10
    assert all(error.keys() == {"location", "detail"} and error["detail"] for error in errors)
    return sorted(error["location"] for error in errors)


def create(client: httpx.Client, name: str = "An item") -> dict[str, Any]:
    """Create an item."""
    response = client.post("/items", json={"name": name})
    assert response.status_code == 201, response.text
    item: dict[str, Any] = response.json()
    return item
