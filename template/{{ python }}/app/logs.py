"""Logs: one JSON object per line on standard output, or text at a terminal."""

import logging
import sys
from contextvars import ContextVar
from typing import Any

from opentelemetry import trace
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

logger = logging.getLogger(__name__)
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class Formatter(JsonFormatter):
    """JSON with the level as in LOG_LEVEL and the IDs of the current request."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "message"],
            timestamp="time",
            rename_fields={"levelname": "level", "exc_info": "exception"},
            # Uvicorn adds a second, coloured copy of its messages.
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        level = log_data.pop("level").lower()
        head = {
            "time": log_data.pop("time").isoformat().replace("+00:00", "Z"),
            "level": "error" if level == "critical" else level,
            "message": log_data.pop("message"),
        }
        if current := request_id.get():
            head["request_id"] = current
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            head["trace_id"] = trace.format_trace_id(span.trace_id)
            head["span_id"] = trace.format_span_id(span.span_id)
        return head | log_data


class TextFormatter(Formatter):
    """The same fields as readable text."""

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        time, level, message = (log_data.pop(name) for name in ("time", "level", "message"))
        exception = log_data.pop("exception", None)
        fields = "".join(f" {name}={value}" for name, value in log_data.items())
        return f"{time} {level.upper():7} {message}{fields}" + (f"\n{exception}" if exception else "")


class OncePerSecond(logging.Filter):
    """Drop repeats: without file descriptors, asyncio logs thousands of failed accepts a second."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        # The rest differs for each socket.
        message = str(record.msg).partition("\n")[0]
        if record.created - self.seen.get(message, 0) < 1:
            return False
        self.seen[message] = record.created
        return True


def configure_logging(level: str) -> None:
    """Send logs, warnings and uncaught exceptions to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(TextFormatter() if sys.stdout.isatty() else Formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("asyncio").addFilter(OncePerSecond())
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda *error: logger.critical("The program failed.", exc_info=error)
