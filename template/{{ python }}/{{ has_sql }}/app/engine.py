"""Connections to the database."""

from typing import Any

from sqlalchemy import URL, Dialect, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.dialect import DRIVER, connect_args, is_read_only
from app.settings import Settings, read_password

MAX_AGE = 30 * 60


def create_engine(settings: Settings, *, pool_size: int) -> AsyncEngine:
    """Create a pool, which opens connections when they are needed."""
    engine = create_async_engine(
        URL.create(
            DRIVER,
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
        connect_args=connect_args(settings),
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
        if is_read_only(failure.original_exception):
            failure.is_disconnect = True

    return engine
