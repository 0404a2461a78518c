"""Metrics for Prometheus, on a port of their own."""

import logging
import socket
from collections.abc import Iterable
from threading import Thread
from wsgiref.simple_server import WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import Histogram, Info, disable_created_metrics, start_http_server

disable_created_metrics()  # type: ignore[no-untyped-call]

REQUEST_DURATION = Histogram(
    "http_request_duration_seconds",
    "Duration of HTTP requests.",
    ["method", "route", "status"],
)
SERVICE = Info("service", "Version of the service.")

logger = logging.getLogger(__name__)


def serve_metrics(port: int) -> tuple[WSGIServer, Thread]:
    """Serve the metrics on all interfaces, in a thread, so that they can be read while the event loop is busy."""
    server, thread = start_http_server(port, addr="::" if socket.has_dualstack_ipv6() else "0.0.0.0")  # noqa: S104
    server.set_app(log_errors(server.get_app()))  # type: ignore[arg-type]
    return server, thread


def log_errors(app: WSGIApplication) -> WSGIApplication:
    """Log what the server would print to standard error."""

    def logged(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except Exception:
            logger.exception("The metrics could not be collected.")
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
            return [b"Internal Server Error\n"]

    return logged
