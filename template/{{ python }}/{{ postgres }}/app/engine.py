"""Connections to PostgreSQL."""

import re
from datetime import UTC, datetime
from typing import Any

from psycopg.errors import ReadOnlySqlTransaction
from sqlalchemy import URL, DateTime, Dialect, TypeDecorator, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app import NAME
from app.settings import Settings, read_password

MAX_AGE = 30 * 60
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


def create_engine(settings: Settings, *, pool_size: int) -> AsyncEngine:
    """Create a pool, which opens connections when they are needed."""
    engine = create_async_engine(
        URL.create(
            "postgresql+psycopg",
            username=settings.database_user,
            host=settings.database_host,
            port=settings.database_port,
            database=settings.database_name,
        ),
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_recycle=MAX_AGE,
        hide_parameters=True,
        connect_args={
            "application_name": NAME,
            "connect_timeout": 5,
            # A transaction pooler does not keep prepared statements.
            "prepare_threshold": None,
            # Milliseconds until a connection whose packets vanish is given up.
            "tcp_user_timeout": 5000,
            **TLS[settings.database_tls],
        },
    )

    # For each connection, because the password can be rotated.
    @event.listens_for(engine.sync_engine, "do_connect")
    def set_password(dialect: Dialect, _record: object, _args: object, parameters: dict[str, Any]) -> None:
        try:
            parameters["password"] = read_password(settings.database_password_file)
        except OSError as error:
            raise dialect.loaded_dbapi.OperationalError(*error.args) from error

    # A disconnect replaces every connection of the pool.
    @event.listens_for(engine.sync_engine, "handle_error")
    def leave_read_only_server(failure: ExceptionContext) -> None:
        if isinstance(failure.original_exception, ReadOnlySqlTransaction):
            failure.is_disconnect = True

    return engine


def is_permanent(error: Exception) -> bool:
    """Return whether the server refuses every connection for a permanent reason."""
    return bool(PERMANENT.search(str(error)))
