"""Traces: exported by OTLP over HTTP when there is an endpoint."""

import secrets
import socket
import time
from uuid import uuid4

import pytest

from tests.e2e.apps.collector import Collector, Span, collecting
from tests.e2e.apps.conftest import Start
from tests.e2e.apps.markers import with_database, with_redis, without_database
from tests.e2e.apps.project import Service
from tests.e2e.apps.servers import free_port
from tests.e2e.commands import wait_for

STOP = 15
"""Seconds: the flush has 2, and this machine may be busy."""


def request(service: Service, method: str, path: str, flags: str = "01", **options: object) -> tuple[str, str, str]:
    """Send a request within a trace of the client's, and return the IDs of trace, span and request."""
    trace_id, span_id, request_id = secrets.token_hex(16), secrets.token_hex(8), uuid4().hex
    headers = {"traceparent": f"00-{trace_id}-{span_id}-{flags}", "X-Request-ID": request_id}
    service.client.request(method, path, headers=headers, **options)  # type: ignore[arg-type]
    return trace_id, span_id, request_id


def spans_of(collector: Collector, trace_id: str, number: int = 1) -> list[Span]:
    """Return the spans of a trace, once there are enough."""
    return wait_for(lambda: spans if len(spans := collector.trace(trace_id)) >= number else [])


@with_database
def test_trace_continues_from_the_request_to_the_database(start: Start) -> None:
    with collecting() as collector:
        service = start(**collector.settings())
        service.wait_until_ready()
        for method, path, name in (
            ("GET", "/items?limit=1", "GET /items"),
            ("POST", "/items", "POST /items"),
            ("GET", "/items/9000000", "GET /items/{id}"),
        ):
            trace_id, parent_id, request_id = request(service, method, path, json={"name": "traced"})
            spans = spans_of(collector, trace_id, 2)
            by_id = {span.span_id: span for span in spans}
            [root] = [span for span in spans if span.kind == "server"]
            assert root.name.replace("{item_id}", "{id}") == name
            assert root.parent_id == parent_id
            clients = [span for span in spans if span.kind == "client"]
            assert clients, spans
            for span in clients:
                while span.parent_id in by_id:
                    span = by_id[span.parent_id]  # noqa: PLW2901
                assert span is root
            lines = wait_for(lambda: [line for line in service.logs() if line.get("request_id") == request_id])  # noqa: B023
            assert {line["trace_id"] for line in lines} == {trace_id}
            assert {line["span_id"] for line in lines} <= set(by_id)
        assert collector.paths == {"/v1/traces"}


@without_database
def test_resource_names_service_and_version(start: Start) -> None:
    with collecting() as collector:
        settings = collector.settings()
        named = {"OTEL_SERVICE_NAME": "other", "OTEL_RESOURCE_ATTRIBUTES": "service.version=2,team=payments"}
        for overrides, expected in (
            ({}, {"service.name": "shop", "service.version": "1.2.3"}),
            (named, {"service.name": "other", "service.version": "2", "team": "payments"}),
        ):
            service = start(SERVICE_VERSION="1.2.3", **settings, **overrides)
            trace_id, _, _ = request(service, "GET", "/")
            [span] = spans_of(collector, trace_id)
            assert span.name == "GET /"
            assert expected.items() <= span.resource.items()


@with_redis
def test_probes_and_metrics_are_not_traced(start: Start) -> None:
    with collecting() as collector:
        service = start(**collector.settings())
        service.wait_until_ready()
        probes = {request(service, "GET", path)[0] for path in ("/livez", "/readyz")}
        service.metrics()
        trace_id, _, _ = request(service, "GET", "/")
        spans_of(collector, trace_id)
        time.sleep(1)
        assert {span.trace_id for span in collector.spans}.isdisjoint(probes)
        # node-redis connects when the service starts, which is no command.
        commands = [span for span in collector.spans if span.name != "redis-connect"]
        assert {span.trace_id for span in commands} == {trace_id}


@without_database
def test_trace_begins_with_the_request_when_the_client_has_none(start: Start) -> None:
    with collecting() as collector:
        service = start(**collector.settings())
        service.client.get("/", headers={"traceparent": "nonsense"})
        [span] = wait_for(lambda: list(collector.spans))
        assert span.kind == "server"
        assert not span.parent_id.strip("0")
        [line] = wait_for(lambda: [line for line in service.logs() if line.get("path") == "/"])
        assert line["trace_id"] == span.trace_id


@without_database
def test_standard_variables_control_the_export(start: Start) -> None:
    with collecting() as collector:
        off = start(**collector.settings(), OTEL_TRACES_SAMPLER="always_off")
        unsampled = start(**collector.settings())
        traces = f"http://127.0.0.1:{collector.port}/custom/path"
        custom = start(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=traces, OTEL_BSP_SCHEDULE_DELAY="200")
        hidden = {request(off, "GET", "/")[0], request(unsampled, "GET", "/", flags="00")[0]}
        trace_id, _, _ = request(custom, "GET", "/")
        spans_of(collector, trace_id)
        assert collector.paths == {"/custom/path"}
        time.sleep(1)
        assert {span.trace_id for span in collector.spans}.isdisjoint(hidden)


@without_database
def test_spans_are_flushed_when_the_service_stops(start: Start) -> None:
    with collecting() as collector:
        settings = collector.settings() | {"OTEL_BSP_SCHEDULE_DELAY": "60000"}
        service = start(**settings)
        trace_id, _, _ = request(service, "GET", "/")
        service.client.close()
        service.terminate()
        assert service.wait() == 0
        assert collector.trace(trace_id)


@without_database
@pytest.mark.parametrize("trouble", ["refused", "hanging"])
def test_collector_that_is_unavailable_neither_blocks_nor_ends_the_service(start: Start, trouble: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        if trouble == "hanging":
            listener.listen()
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        service = start(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="500")
        began = time.monotonic()
        for _ in range(30):
            assert service.client.get("/").status_code == 200
            time.sleep(0.1)
        assert time.monotonic() - began < STOP
        assert service.process.poll() is None
        service.client.close()
        began = time.monotonic()
        service.terminate()
        assert service.wait() == 0
        assert time.monotonic() - began < STOP
        others = [line for line in service.logs() if line.get("path") != "/"]
        assert len(others) <= 15, others


@without_database
def test_nothing_is_traced_without_an_endpoint(start: Start) -> None:
    service = start(OTEL_SERVICE_NAME="shop")
    _, _, request_id = request(service, "GET", "/")
    [line] = wait_for(lambda: [line for line in service.logs() if line.get("request_id") == request_id])
    assert not {"trace_id", "span_id"} & line.keys()
