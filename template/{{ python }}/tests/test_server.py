import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app import server
from app.dependencies import State
from tests.service import Service, read_all
from tests.test_metrics import count

GET = b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"
HALF_BODY = b"POST /length HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path / "log", LOG_LEVEL="debug", SERVICE_VERSION="1.2.3") as service:
        yield service


def test_readiness_and_metrics_are_served(service: Service) -> None:
    assert service.client.get("/readyz").status_code == 200
    metrics = httpx.get(f"http://127.0.0.1:{service.metrics_port}/metrics", trust_env=False).text
    assert 'service_info{version="1.2.3"} 1.0' in metrics
    assert 'http_request_duration_seconds_count{method="GET",route="/readyz",status="200"} 1.0' in metrics


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_service(service: Service, number: signal.Signals) -> None:
    service.process.send_signal(number)
    assert service.wait() == 0


def test_kept_alive_connection_is_served_after_the_signal(service: Service) -> None:
    connection = HTTPConnection("127.0.0.1", service.port)
    header = None
    for number in range(1000):
        connection.request("GET", "/livez")
        response = connection.getresponse()
        assert response.read() == b'{"status":"ok"}'
        if header := response.getheader("Connection"):
            break
        if number == 0:
            service.process.send_signal(signal.SIGTERM)
    assert header == "close"
    assert service.wait() == 0


def test_idle_connection_is_closed_two_seconds_after_the_signal(service: Service) -> None:
    with service.connect() as connection:
        service.terminate()
        start = time.monotonic()
        assert read_all(connection) == b""
        assert 1 < time.monotonic() - start < 10
    assert service.wait() == 0


def test_second_signal_exits_1(service: Service) -> None:
    with service.connect():
        service.terminate()
        service.process.send_signal(signal.SIGTERM)
        assert service.wait() == 1


class TestArrival:
    @pytest.fixture
    async def port(self, monkeypatch: pytest.MonkeyPatch, app: FastAPI, state: State) -> AsyncIterator[int]:
        monkeypatch.setattr(server, "ARRIVAL_TIMEOUT", 0.5)
        monkeypatch.setattr(server, "IDLE_TIMEOUT", 0)

        @app.post("/length")
        async def length(body: dict[str, str]) -> int:
            return len(body)

        running = server.Server(app, 0, state)
        task = asyncio.create_task(running.serve())
        while not running.started:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        yield next(
            listener.getsockname()[1] for listener in running.servers[0].sockets if listener.family == socket.AF_INET
        )
        running.should_exit = True
        await task

    @pytest.mark.parametrize(
        "sent",
        [
            b"",
            b"GET / HTTP/1.1\r\nHost:",
            HALF_BODY,
            GET + b"GET",
        ],
        ids=["nothing", "half a header", "half a body", "a request and a half"],
    )
    async def test_late_request_gets_408(self, port: int, sent: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        response = await asyncio.wait_for(reader.read(), timeout=5)
        assert b"HTTP/1.1 408" in response
        writer.close()

    async def test_late_body_is_measured_with_408(self, port: int) -> None:
        before = count("POST", "/length", 408)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HALF_BODY)
        await asyncio.wait_for(reader.read(), timeout=5)
        async with asyncio.timeout(5):
            while count("POST", "/length", 408) == before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        writer.close()

    async def test_large_body_is_refused_before_it_is_sent(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HALF_BODY.replace(b"9\r\n\r\n{", b"65537\r\nExpect: 100-continue\r\n\r\n"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()

    async def test_slowly_arriving_request_has_the_same_deadline(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        await reader.readuntil(b"}")
        start = time.monotonic()
        response = asyncio.create_task(reader.read())
        writer.write(b"GET / HTTP/1.1\r\n")
        while not response.done():
            writer.write(b"A: b\r\n")
            await asyncio.wait([response], timeout=0.1)
        # A header that arrives after the response resets the connection.
        with contextlib.suppress(ConnectionResetError):
            assert (await response).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - start < 5
        writer.close()

    async def test_idle_connection_stays_open(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(GET)
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(1)
        writer.close()
