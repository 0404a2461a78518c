"""Graceful shutdown: no request is lost, and the program ends in time."""

import asyncio
import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import pytest

from tests.e2e.apps.client import assert_problem
from tests.e2e.apps.conftest import Start
from tests.e2e.apps.markers import with_database, with_mysql, with_postgres, without_database
from tests.e2e.apps.project import Service
from tests.e2e.apps.servers import Server
from tests.e2e.commands import TIMEOUT, wait_for

WITHOUT_DRAINING = 18
"""Seconds: less than the 20 that running requests have, more than a busy machine takes."""

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = b'{"name": "half"}'
POST = (
    b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: " + str(len(BODY)).encode() + b"\r\n\r\n" + BODY
)


class HalfSent:
    """A running request: half of its body has been sent."""

    def __init__(self, service: Service) -> None:
        self.connection = socket.create_connection(("127.0.0.1", service.port), timeout=30)
        self.connection.sendall(POST[:-8])

    def finish(self) -> int:
        """Send the rest and return the status of the response, after which the connection closes."""
        with self.connection:
            self.connection.sendall(POST[-8:])
            response = b"".join(iter(lambda: self.connection.recv(4096), b""))
        head, _, body = response.partition(b"\r\n\r\n")
        assert b"connection: close" in head.lower()
        json.loads(body)
        return int(head.split()[1])


def refuses(service: Service) -> bool:
    """Return whether new connections are refused; one can be reset while the listening socket closes."""
    try:
        with suppress(ConnectionResetError):
            socket.create_connection(("127.0.0.1", service.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@dataclass
class Clients:
    """Clients that keep their connections and send requests until the server closes them."""

    service: Service
    request: bytes
    pause: float
    started: int = 0
    closed: int = 0
    lost: int = 0
    statuses: set[int] = field(default_factory=set)
    bodies: list[bytes] = field(default_factory=list)

    def run(self, number: int) -> None:
        """Send, stop the service under way, and go on until every connection has ended."""
        asyncio.run(asyncio.wait_for(self._run(number), TIMEOUT))

    async def _run(self, number: int) -> None:
        clients = [asyncio.create_task(self._client()) for _ in range(number)]
        while self.started < number:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        self.service.terminate()
        await asyncio.gather(*clients)

    async def _client(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.service.port)
        first = True
        try:
            while True:
                writer.write(self.request)
                await writer.drain()
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split()[0])
                self.bodies.append(await reader.readexactly(length))
                self.statuses.add(int(head.split()[1]))
                self.started += first
                first = False
                if b"connection: close" in head:
                    self.closed += 1
                    return
                await asyncio.sleep(self.pause)
        except (OSError, asyncio.IncompleteReadError):
            self.lost += 1
        finally:
            writer.close()


@without_database
@pytest.mark.parametrize("pause", [0, 0.02, 0.5])
def test_no_request_on_a_kept_alive_connection_is_lost(start: Start, pause: float) -> None:
    service = start()
    clients = Clients(service, GET, pause)
    clients.run(64)
    assert service.wait() == 0
    assert (clients.lost, clients.closed, clients.statuses) == (0, 64, {200})


@with_database
def test_no_item_is_lost(start: Start) -> None:
    service = start()
    service.wait_until_ready()
    clients = Clients(service, POST, 0.01)
    clients.run(16)
    assert service.wait() == 0
    assert (clients.lost, clients.closed, clients.statuses) == (0, 16, {201})
    assert not [line for line in service.logs() if line["level"] in {"warning", "error"}]
    stored = start().client
    for body in clients.bodies[-50:]:
        assert stored.get(f"/items/{json.loads(body)['id']}").json() == json.loads(body)


@without_database
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_connections_do_not_delay_the_end(start: Start, number: signal.Signals) -> None:
    service = start()
    service.client.get("/")
    with socket.create_connection(("127.0.0.1", service.port)), socket.create_connection(("127.0.0.1", service.port)):
        service.process.send_signal(number)
        assert service.wait(timeout=WITHOUT_DRAINING) == 0


@without_database
def test_connections_of_the_last_moment_do_not_delay_the_end(start: Start) -> None:
    service = start()
    connections: list[socket.socket] = []
    service.terminate()
    with suppress(OSError):
        while True:
            connections.append(socket.create_connection(("127.0.0.1", service.port), timeout=5))
    assert service.wait(timeout=WITHOUT_DRAINING) == 0
    for connection in connections:
        connection.close()


@with_postgres
def test_open_connections_are_served_and_readiness_is_503(start: Start) -> None:
    service = start()
    service.wait_until_ready()
    running = HalfSent(service)
    with ThreadPoolExecutor(17) as pool:
        root = pool.submit(last_response, service, "/")
        # A probe that began before the service stops can still be a success: most of them pause at that moment.
        probes = [pool.submit(last_response, service, "/readyz") for _ in range(16)]
        time.sleep(1)
        service.terminate()
    assert root.result().status_code == 200
    failed = [probe.result() for probe in probes if probe.result().status_code != 200]
    assert failed
    for response in failed:
        assert_problem(response, 503)
    wait_for(lambda: refuses(service))
    assert service.metrics()
    assert running.finish() == 201
    assert service.wait() == 0


def last_response(service: Service, path: str) -> httpx.Response:
    """Send requests on one connection, and return the response that closes it."""
    with httpx.Client(base_url=service.client.base_url, timeout=30, trust_env=False) as client:
        while (response := client.get(path)).headers.get("Connection", "").lower() != "close":
            time.sleep(0.5)
        return response


@with_database
def test_running_requests_finish(start: Start) -> None:
    service = start()
    service.wait_until_ready()
    requests = [HalfSent(service) for _ in range(20)]
    time.sleep(0.5)
    service.terminate()
    wait_for(lambda: refuses(service))
    # Longer than idle connections stay open.
    time.sleep(4)
    assert service.metrics()
    assert [request.finish() for request in requests] == [201] * len(requests)
    assert service.wait(timeout=WITHOUT_DRAINING) == 0


@with_database
def test_database_closes_after_the_last_request(start: Start, server: Server) -> None:
    service = start()
    service.wait_until_ready()
    with ThreadPoolExecutor(8) as pool:
        with server.hanging():
            requests = [pool.submit(httpx.get, f"{service.client.base_url}/items", timeout=60) for _ in range(8)]
            time.sleep(1)
            service.terminate()
            wait_for(lambda: refuses(service))
        assert [request.result().status_code for request in requests] == [200] * len(requests)
    assert service.wait() == 0


@with_mysql
def test_request_that_does_not_end_has_20_seconds(start: Start) -> None:
    service = start()
    service.wait_until_ready()
    request = HalfSent(service)
    time.sleep(0.5)
    began = time.monotonic()
    service.terminate()
    assert service.wait(timeout=TIMEOUT) == 0
    assert time.monotonic() - began > 18
    request.connection.close()


@with_database
def test_second_signal_ends_the_program_at_once(start: Start) -> None:
    service = start()
    request = HalfSent(service)
    time.sleep(0.5)
    service.terminate()
    wait_for(lambda: refuses(service))
    assert service.process.poll() is None
    service.terminate()
    assert service.wait(timeout=WITHOUT_DRAINING) == 1
    request.connection.close()
