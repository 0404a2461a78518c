"""PostgreSQL: its driver, types and errors."""

import re
from datetime import UTC, datetime
from typing import Any

from psycopg.errors import ReadOnlySqlTransaction
from sqlalchemy import DateTime, Dialect, TypeDecorator

from app import NAME
from app.settings import Settings

DRIVER = "postgresql+psycopg"
TLS = {
    "verify": {"sslmode": "verify-full", "sslrootcert": "system"},
    "require": {"sslmode": "require"},
    "disable": {"sslmode": "disable"},
}
# libpq has no code for a refused connection.
PERMANENT = re.compile(
    r"authentication failed|does not exist|pg_hba\.conf|certificate|does not support SSL|SSL was required"
)


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC, whatever the time zone of the session."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value and value.astimezone(UTC)


def connect_args(settings: Settings) -> dict[str, Any]:
    """Return the arguments of the driver."""
    return {
        "application_name": NAME,
        "connect_timeout": 5,
        # A transaction pooler does not keep prepared statements.
        "prepare_threshold": None,
        # Milliseconds until a connection with lost packets is closed.
        "tcp_user_timeout": 5000,
        **TLS[settings.database_tls],
    }


def is_read_only(error: BaseException) -> bool:
    """Return whether the server accepts no writes, such as the old primary after a failover."""
    return isinstance(error, ReadOnlySqlTransaction)


def is_permanent(error: Exception) -> bool:
    """Return whether the server refuses every connection for a permanent reason."""
    return bool(PERMANENT.search(str(error)))
