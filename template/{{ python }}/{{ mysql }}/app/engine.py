"""Connections to MySQL."""

import re
import ssl
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import URL, Dialect, TypeDecorator, event
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.settings import Settings, read_password

MAX_AGE = 30 * 60
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


def create_engine(settings: Settings, *, pool_size: int) -> AsyncEngine:
    """Create a pool, which opens connections when they are needed."""
    engine = create_async_engine(
        URL.create(
            "mysql+asyncmy",
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
        connect_args={"charset": "utf8mb4", "connect_timeout": 5, "ssl": tls_context(settings.database_tls)},
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
        if READ_ONLY.match(str(failure.original_exception)):
            failure.is_disconnect = True

    return engine


def tls_context(mode: Literal["verify", "require", "disable"]) -> ssl.SSLContext | None:
    """Return how to verify the server, or None for a connection without TLS."""
    if mode == "disable":
        return None
    context = ssl.create_default_context()
    if mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def is_permanent(error: Exception) -> bool:
    """Return whether the server refuses every connection for a permanent reason."""
    return bool(PERMANENT.search(str(error)))
