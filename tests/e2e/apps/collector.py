"""An OpenTelemetry collector that keeps the spans which it receives by OTLP over HTTP, as protobuf or JSON."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.serving import serving

KINDS = {"1": "internal", "2": "server", "3": "client"}


@dataclass(frozen=True)
class Span:
    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    resource: dict[str, str]


@dataclass
class Collector:
    """What was received."""

    port: int = 0
    paths: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)

    def trace(self, trace_id: str) -> list[Span]:
        """Return the spans of a trace."""
        return [span for span in list(self.spans) if span.trace_id == trace_id]

    def settings(self) -> dict[str, str]:
        """Return the settings of a service that exports to this collector."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}", "OTEL_BSP_SCHEDULE_DELAY": "200"}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Start a collector."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = b"".join(self.parts())
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            collector.paths.add(self.path)
            collector.spans += spans(body, self.headers["Content-Type"])
            self.send_response(200)
            self.send_header("Content-Type", self.headers["Content-Type"])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def parts(self) -> Iterator[bytes]:
            if "Content-Length" in self.headers:
                yield self.rfile.read(int(self.headers["Content-Length"]))
                return
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()

        def log_message(self, *_: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        collector.port = server.server_address[1]
        yield collector


def spans(body: bytes, content_type: str) -> Iterator[Span]:
    """Read the spans of an export."""
    if content_type == "application/json":
        request = json.loads(body)
    else:
        request = to_json(ExportTraceServiceRequest.FromString(body))
    for part in request.get("resourceSpans", []):
        resource = {
            attribute["key"]: attribute["value"].get("stringValue", "") for attribute in part["resource"]["attributes"]
        }
        for scope in part.get("scopeSpans", []):
            for span in scope["spans"]:
                yield Span(
                    span["traceId"],
                    span["spanId"],
                    span.get("parentSpanId", ""),
                    span["name"],
                    KINDS.get(str(span["kind"]), str(span["kind"])),
                    resource,
                )


def to_json(request: ExportTraceServiceRequest) -> dict[str, Any]:
    """Convert an export to OTLP's JSON, whose identifiers are hexadecimal where protobuf's JSON has Base64."""
    converted: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    originals = (span for part in request.resource_spans for scope in part.scope_spans for span in scope.spans)
    copies = (
        span for part in converted.get("resourceSpans", []) for scope in part["scopeSpans"] for span in scope["spans"]
    )
    for original, span in zip(originals, copies, strict=True):
        span["traceId"] = original.trace_id.hex()
        span["spanId"] = original.span_id.hex()
        span["parentSpanId"] = original.parent_span_id.hex()
    return converted
