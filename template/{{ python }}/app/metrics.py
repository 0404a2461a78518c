"""Metrics for Prometheus, on a port of their own."""

import socket
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import Histogram, disable_created_metrics, start_http_server

disable_created_metrics()  # type: ignore[no-untyped-call]

REQUEST_DURATION = Histogram(
    "http_request_duration_seconds",
    "How long requests took.",
    ["method", "route", "status"],
)


def serve_metrics(port: int) -> tuple[WSGIServer, Thread]:
    """Serve the metrics on all interfaces, in a thread, so that a busy event loop can still be measured."""
    return start_http_server(port, addr="::" if socket.has_dualstack_ipv6() else "0.0.0.0")  # noqa: S104
