"""How to connect to MySQL."""

import ssl
from typing import Literal

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.settings import Settings


def create_engine(settings: Settings, *, pool_size: int, max_overflow: int) -> AsyncEngine:
    """Set up a pool of connections; none is opened before it is needed."""
    return create_async_engine(
        URL.create(
            "mysql+asyncmy",
            username=settings.database_user,
            password=settings.database_password.get_secret_value(),
            host=settings.database_host,
            port=settings.database_port,
            database=settings.database_name,
        ),
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"charset": "utf8mb4", "connect_timeout": 5, "ssl": tls_context(settings.database_tls)},
    )


def tls_context(mode: Literal["verify", "require", "disable"]) -> ssl.SSLContext | None:
    """Return how to check the server's certificate, or None to go without encryption."""
    if mode == "disable":
        return None
    context = ssl.create_default_context()
    if mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
