import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Service, read_all

pytestmark = pytest.mark.usefixtures("prepared_database")

BODY = b'{"name": "An item"}'
HEAD = b"POST /items HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path / "log") as service:
        yield service


def send_half(service: Service) -> socket.socket:
    """Send a request without the end of its body."""
    connection = service.connect()
    connection.sendall(HEAD + BODY[:8])
    return connection


def test_running_request_finishes_after_the_signal(service: Service) -> None:
    with send_half(service) as connection:
        time.sleep(0.5)
        service.terminate()
        # Longer than idle connections stay open.
        time.sleep(3)
        connection.sendall(BODY[8:])
        response = read_all(connection)
    assert response.startswith(b"HTTP/1.1 201")
    assert b"connection: close" in response
    assert service.wait() == 0


def test_request_of_a_client_that_left_is_logged_with_499(service: Service) -> None:
    send_half(service).close()
    service.client.get("/")
    deadline = time.monotonic() + 5
    while not (lines := [line for line in service.lines() if line.get("route") == "/items"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [line["status"] for line in lines] == [499]
