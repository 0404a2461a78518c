"""What every request has: an ID, a body limit, a response, a metric and a log line."""

import logging
import re
import time
from http import HTTPStatus
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.dependencies import State
from app.logs import request_id
from app.metrics import REQUEST_DURATION
from app.problems import problem
from app.validation import BODY_LIMIT, too_large

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}
PROBES = {"/livez", "/readyz"}

logger = logging.getLogger(__name__)


class RequestMiddleware:
    """Identify, limit, measure and log each request."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        headers = Headers(scope=scope)
        given = headers.get("X-Request-ID", "")
        identifier = given if REQUEST_ID.fullmatch(given) else str(uuid4())
        token = request_id.set(identifier)
        # As GET; the server omits the body of the response.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        body_size = 0
        status = None
        start = time.perf_counter()

        async def limited_receive() -> Message:
            nonlocal body_size
            # Before a client that expects it gets 100 Continue.
            if int(headers.get("Content-Length", 0)) > BODY_LIMIT:
                raise too_large()
            message = await receive()
            body_size += len(message.get("body", b""))
            if body_size > BODY_LIMIT:
                raise too_large()
            return message

        async def marked_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                response_headers = MutableHeaders(scope=message)
                response_headers["X-Request-ID"] = identifier
                if self.state.stopping:
                    response_headers["Connection"] = "close"
            await send(message)

        try:
            await self.app(inner, limited_receive, marked_send)
        except Exception:
            logger.exception("The request failed.")
            if status is not None:
                raise
            response = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error.")
            await response(scope, receive, marked_send)
        finally:
            # The server notes why a connection ended before the response.
            status = scope.get("state", {}).get("aborted") or status or HTTPStatus.INTERNAL_SERVER_ERROR
            record(scope["method"], inner, status, time.perf_counter() - start)
            request_id.reset(token)


def record(method: str, scope: Scope, status: int, duration: float) -> None:
    """Measure and log one request."""
    route = getattr(scope.get("route"), "path", "unmatched")
    # Clients can invent methods, and every new label value would stay in memory.
    REQUEST_DURATION.labels(method if method in METHODS else "other", route, status).observe(duration)

    level = logging.INFO
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        level = logging.ERROR
    elif route in PROBES:
        level = logging.DEBUG
    fields = {"method": method, "route": route, "path": scope["path"], "status": status, "duration": round(duration, 6)}
    logger.log(level, "%s %s", method, scope["path"], extra=fields)
