"""Logs: one JSON object per line, one line for each request."""

import os
import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from tests.e2e.apps.client import JSON, send_raw
from tests.e2e.apps.conftest import Start
from tests.e2e.apps.markers import with_database, with_postgres, without_database
from tests.e2e.apps.project import Project, Service
from tests.e2e.apps.servers import Server, free_port
from tests.e2e.apps.test_metrics import COUNT, sample
from tests.e2e.commands import wait_for


def lines_of(service: Service, request_id: str) -> list[dict[str, Any]]:
    """Return what was logged within a request, once there is something."""
    return wait_for(lambda: [line for line in service.logs() if line.get("request_id") == request_id])


def test_every_request_is_one_line(service: Service) -> None:
    expected = {
        "/livez": ("/livez", 200, "debug"),
        "/readyz": ("/readyz", 200, "debug"),
        "/": ("/", 200, "info"),
        "/nowhere": ("unmatched", 404, "info"),
    }
    for path, (route, status, level) in expected.items():
        request_id = uuid4().hex
        service.client.get(path, headers={"X-Request-ID": request_id}, params={"q": "secret"})
        [line] = lines_of(service, request_id)
        assert (line["method"], line["route"], line["path"]) == ("GET", route, path)
        assert (line["status"], line["level"]) == (status, level)
        assert 0 < line["duration"] < 10
        assert line["message"]
        assert abs(datetime.now(UTC) - datetime.fromisoformat(line["time"])) < timedelta(minutes=1)


def test_every_line_has_time_level_and_message(service: Service) -> None:
    lines = wait_for(service.logs)
    for line in lines:
        assert datetime.fromisoformat(line["time"]).tzinfo is not None
        assert line["level"] in {"debug", "info", "warning", "error"}
        assert isinstance(line["message"], str)


@without_database
def test_probes_are_not_logged_by_default(start: Start) -> None:
    service = start()
    service.client.get("/livez")
    service.client.get("/")
    paths = wait_for(lambda: [line["path"] for line in service.logs() if "path" in line])
    assert paths == ["/"]


@without_database
def test_request_to_upgrade_is_one_line(start: Start) -> None:
    """A server that supports no WebSocket responds as to any request, without warnings of its libraries."""
    service = start()
    request_id = uuid4().hex
    head = ["GET / HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket", f"X-Request-ID: {request_id}"]
    head += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    assert send_raw(service, "\r\n".join([*head, "", ""]).encode()).startswith(b"HTTP/1.1 200 ")
    lines_of(service, request_id)
    assert [line for line in service.logs() if line["level"] == "warning" or line.get("request_id") == request_id] == (
        lines_of(service, request_id)
    )


@without_database
def test_invalid_request_is_not_logged_with_the_id_of_the_previous_one(start: Start) -> None:
    service = start(LOG_LEVEL="debug")
    request_id = uuid4().hex
    valid = f"GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: {request_id}\r\n\r\n"
    assert b" 400 " in send_raw(service, valid.encode() + b"\x00 / HTTP/1.1\r\n\r\n")
    service.client.get("/livez")
    wait_for(lambda: [line for line in service.logs() if line.get("path") == "/livez"])
    assert [line["status"] for line in lines_of(service, request_id)] == [200]


@without_database
def test_logs_at_a_terminal_are_text(project: Project) -> None:
    ours, theirs = os.openpty()
    environment = {"PORT": str(free_port()), "METRICS_PORT": str(free_port())}
    with project.start(environment=environment, output=theirs) as program:
        os.close(theirs)
        first = os.read(ours, 4096).decode()
        program.kill()
        program.communicate()
    os.close(ours)
    assert first.strip()
    assert not first.startswith("{")


@with_database
def test_client_that_disconnects_is_logged_and_measured_as_499(start: Start, server: Server) -> None:
    service = start()
    service.wait_until_ready()
    request_id = uuid4().hex
    with server.hanging():
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(f"GET /items HTTP/1.1\r\nHost: x\r\nX-Request-ID: {request_id}\r\n\r\n".encode())
            time.sleep(1)
        time.sleep(0.5)
    lines = [line for line in lines_of(service, request_id) if "status" in line]
    assert [(line["status"], line["level"], line["route"]) for line in lines] == [(499, "info", "/items")]
    assert lines[0]["duration"] > 0.5
    wait_for(lambda: sample(service.metrics(), COUNT, "GET", "/items", 499) == 1)


@with_postgres
def test_client_that_disconnects_within_the_body_is_logged_as_499(start: Start) -> None:
    service = start()
    request_id = uuid4().hex
    head = [*(f"{name}: {value}" for name, value in JSON.items()), "Content-Length: 100", f"X-Request-ID: {request_id}"]
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall("\r\n".join(["POST /items HTTP/1.1", "Host: x", *head, "", '{"name"']).encode())
        time.sleep(0.5)
    lines = [line for line in lines_of(service, request_id) if "status" in line]
    assert [(line["status"], line["route"]) for line in lines] == [(499, "/items")]


@with_postgres
def test_exhausted_file_descriptors_are_logged_once_a_second(start: Start) -> None:
    service = start()
    service.wait_until_ready()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: httpx.get(f"{service.client.base_url}/items", trust_env=False), range(40)))
    service.client.close()
    before = len(service.logs())
    pid = service.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 10, hard))
    connections = [socket.create_connection(("127.0.0.1", service.port), timeout=60) for _ in range(60)]
    time.sleep(5)
    lines = service.logs()[before:]
    for connection in connections:
        connection.close()
    assert [line for line in lines if line["level"] in {"warning", "error"}], lines
    assert len(lines) <= 20, lines[:20]
    wait_for(lambda: responds(service))


def responds(service: Service) -> bool:
    """Return whether a new connection gets a response."""
    try:
        return httpx.get(f"{service.client.base_url}/livez", trust_env=False, timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
