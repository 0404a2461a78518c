"""MySQL: its driver, types and errors."""

import re
import ssl
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Dialect, TypeDecorator
from sqlalchemy.dialects.mysql import DATETIME

from app.settings import Settings

DRIVER = "mysql+asyncmy"
# Codes of errors, at the start of their text.
READ_ONLY = re.compile(r"\((1290|1792|1836),")
PERMANENT = re.compile(r"\((1044|1045|1049|1698),|SSL|TLS")


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC, because columns have no time zone."""

    impl = DATETIME(fsp=6)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value and value.replace(tzinfo=UTC)


def connect_args(settings: Settings) -> dict[str, Any]:
    """Return the arguments of the driver."""
    return {"charset": "utf8mb4", "connect_timeout": 5, "ssl": tls_context(settings.database_tls)}


def tls_context(mode: Literal["verify", "require", "disable"]) -> ssl.SSLContext | None:
    """Return how to verify the server, or None for a connection without TLS."""
    if mode == "disable":
        return None
    context = ssl.create_default_context()
    if mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def is_read_only(error: BaseException) -> bool:
    """Return whether the server accepts no writes, such as the old primary after a failover."""
    return bool(READ_ONLY.match(str(error)))


def is_permanent(error: Exception) -> bool:
    """Return whether the server refuses every connection for a permanent reason."""
    return bool(PERMANENT.search(str(error)))
