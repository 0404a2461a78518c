"""How to connect to PostgreSQL."""

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app import NAME
from app.settings import Settings

TLS = {
    "verify": {"sslmode": "verify-full", "sslrootcert": "system"},
    "require": {"sslmode": "require"},
    "disable": {"sslmode": "disable"},
}


def create_engine(settings: Settings, *, pool_size: int, max_overflow: int) -> AsyncEngine:
    """Set up a pool of connections; none is opened before it is needed."""
    return create_async_engine(
        URL.create(
            "postgresql+psycopg",
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
        connect_args={
            "application_name": NAME,
            "connect_timeout": 5,
            "options": "-c timezone=UTC",
            # Milliseconds until a connection whose packets vanish is given up.
            "tcp_user_timeout": 5000,
            **TLS[settings.database_tls],
        },
    )
