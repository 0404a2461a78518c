"""A request has 30 seconds to arrive; an idle connection stays open."""

import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from tests.e2e.apps.client import JSON
from tests.e2e.apps.conftest import Start
from tests.e2e.apps.markers import with_redis
from tests.e2e.apps.test_metrics import COUNT, sample
from tests.e2e.commands import wait_for

DEADLINE = 30
EARLY, LATE = 5, 30
"""Seconds of tolerance: servers look for late requests from time to time, and this machine may be busy."""
IDLE = 80
"""Longer than any default of a server."""

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_HEADER = b"GET / HTTP/1.1\r\nHost: x\r\nX-Field: "
POST = b"".join(
    [
        b"POST /items HTTP/1.1\r\nHost: x\r\n",
        *(f"{name}: {value}\r\n".encode() for name, value in JSON.items()),
        b"Content-Length: 16\r\n\r\n",
    ]
)
BODY = b'{"name": "slow"}'


class Connection:
    """A client that takes its time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE + 2 * LATE)
        self.began = time.monotonic()

    def send(self, data: bytes) -> None:
        """Send bytes; time counts from the first ones after a response."""
        self.socket.sendall(data)

    def response(self) -> bytes:
        """Read a response, whose body can come after its headers."""
        received = b""
        while not (length := re.search(rb"(?i)content-length: (\d+)(?s:.*?)\r\n\r\n", received)) or (
            len(received) < length.end() + int(length[1])
        ):
            if not (part := self.socket.recv(65536)):
                break
            received += part
        return received

    def get(self) -> None:
        """Make a whole request."""
        self.send(GET)
        assert self.response().startswith(b"HTTP/1.1 200 ")
        self.began = time.monotonic()

    def closes(self, drip: bytes = b"") -> tuple[float, bytes]:
        """Return after how many seconds the server closes the connection, and what it sends before."""
        received = b""
        with self.socket, suppress(ConnectionResetError, BrokenPipeError):
            if drip:
                self.socket.settimeout(1)
            while time.monotonic() - self.began < DEADLINE + 2 * LATE:
                try:
                    if not (part := self.socket.recv(65536)):
                        break
                    received += part
                except TimeoutError:
                    if not drip:
                        break
                    self.socket.sendall(drip)
        return time.monotonic() - self.began, received


def silent(port: int) -> tuple[float, bytes]:
    return Connection(port).closes()


def half_header(port: int) -> tuple[float, bytes]:
    connection = Connection(port)
    connection.send(HALF_HEADER)
    return connection.closes()


def dripping_header(port: int) -> tuple[float, bytes]:
    connection = Connection(port)
    connection.send(HALF_HEADER)
    return connection.closes(drip=b"x")


def half_body(port: int) -> tuple[float, bytes]:
    connection = Connection(port)
    connection.send(POST + BODY[:8])
    return connection.closes()


def dripping_body(port: int) -> tuple[float, bytes]:
    connection = Connection(port)
    connection.send(POST.replace(b"16", b"9999") + BODY[:8])
    return connection.closes(drip=b" ")


def second_request(port: int) -> tuple[float, bytes]:
    connection = Connection(port)
    connection.get()
    # The time of an idle connection does not count.
    time.sleep(DEADLINE / 2)
    connection.began = time.monotonic()
    connection.send(HALF_HEADER)
    return connection.closes()


def slow_but_in_time(port: int) -> None:
    connection = Connection(port)
    with connection.socket:
        for part in (POST[:30], POST[30:], BODY[:8], BODY[8:]):
            connection.send(part)
            time.sleep(3)
        assert connection.response().startswith(b"HTTP/1.1 201 ")
        connection.get()


def idle(port: int) -> None:
    connection = Connection(port)
    with connection.socket:
        connection.get()
        time.sleep(IDLE)
        connection.get()


LATE_REQUESTS: list[Callable[[int], tuple[float, bytes]]] = [
    silent,
    half_header,
    dripping_header,
    half_body,
    dripping_body,
    second_request,
]


@with_redis
def test_requests_arrive_in_time_or_their_connection_closes(start: Start) -> None:
    service = start()
    service.wait_until_ready()
    with ThreadPoolExecutor(len(LATE_REQUESTS) + 2) as pool:
        late = {request.__name__: pool.submit(request, service.port) for request in LATE_REQUESTS}
        others = [pool.submit(slow_but_in_time, service.port), pool.submit(idle, service.port)]
        results = {name: future.result() for name, future in late.items()}
        for other in others:
            other.result()
    wrong = {
        name: seconds for name, (seconds, _) in results.items() if not DEADLINE - EARLY < seconds < DEADLINE + LATE
    }
    assert wrong == {}
    responses = {name: response for name, (_, response) in results.items() if response}
    assert {name for name, response in responses.items() if response.split()[1] != b"408"} == set(), responses
    assert not [line for line in service.logs() if line.get("status") == 500]
    late_bodies = [half_body, dripping_body]
    wait_for(lambda: len([line for line in service.logs() if line.get("status") == 408]) == len(late_bodies))
    assert sample(service.metrics(), COUNT, "POST", "/items", 408) == len(late_bodies)
