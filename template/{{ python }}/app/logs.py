"""Logs: one JSON object a line on standard output."""

import logging
import sys
from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

logger = logging.getLogger(__name__)
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class Formatter(JsonFormatter):
    """JSON with the level as LOG_LEVEL spells it and the id of the request at hand."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "message"],
            timestamp="time",
            rename_fields={"levelname": "level", "exc_info": "exception"},
            # Uvicorn adds a second, coloured copy of its messages.
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Put the fields that every line has first."""
        level = log_data.pop("level").lower()
        head = {
            "time": log_data.pop("time").isoformat().replace("+00:00", "Z"),
            "level": "error" if level == "critical" else level,
            "message": log_data.pop("message"),
        }
        if current := request_id.get():
            head["request_id"] = current
        return head | log_data


def configure_logging(level: str) -> None:
    """Send everything that is logged, warned of or not caught to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda *error: logger.critical("The program failed.", exc_info=error)
