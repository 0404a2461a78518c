"""The database: commands for requests, and a ping for readiness."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import (
    BusyLoadingError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.settings import Settings, read_password

TIMEOUT = 5
PING_TIMEOUT = 1
MAX_AGE = 30 * 60

TLS: dict[str, dict[str, Any]] = {
    "verify": {"connection_class": SSLConnection},
    "require": {"connection_class": SSLConnection, "ssl_cert_reqs": "none", "ssl_check_hostname": False},
    "disable": {"connection_class": Connection},
}


class DatabaseUnavailableError(Exception):
    """The database is unavailable; the message is the cause."""


class PasswordFile(CredentialProvider):
    """Reads the password for each connection, because it can be rotated."""

    def __init__(self, settings: Settings) -> None:
        self.file = settings.database_password_file

    def get_credentials(self) -> tuple[str]:
        try:
            return (read_password(self.file),)
        except OSError as error:
            raise RedisConnectionError(*error.args) from error

    async def get_credentials_async(self) -> tuple[str]:
        return self.get_credentials()


class Pool(BlockingConnectionPool):
    """A pool that replaces old connections."""

    opened: ClassVar[WeakKeyDictionary[AbstractConnection, float]] = WeakKeyDictionary()

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        if time.monotonic() - self.opened.get(connection, -math.inf) > MAX_AGE:
            await connection.disconnect()
            self.opened[connection] = time.monotonic()
        await super().ensure_connection(connection)


class Database:
    """The connections of one process."""

    def __init__(self, settings: Settings) -> None:
        self.prefix = settings.database_name
        self.client = connect(settings, max_connections=settings.database_pool_size)
        # Of its own, because a busy pool must not fail readiness.
        self._ping_client = connect(settings, max_connections=1)

    @asynccontextmanager
    async def commands(self) -> AsyncIterator[Redis]:
        """Return a client, with a time limit for its commands."""
        try:
            async with asyncio.timeout(TIMEOUT):
                yield self.client
        except (BusyLoadingError, MasterDownError, ReadOnlyError) as error:
            # After a failover, connections still lead to the old primary.
            await self.client.connection_pool.disconnect(inuse_connections=False)
            raise unavailable(error) from error
        except (TimeoutError, OutOfMemoryError, RedisConnectionError, RedisTimeoutError) as error:
            raise unavailable(error) from error

    async def ping(self) -> None:
        """Fail unless the database responds within a second."""
        try:
            async with asyncio.timeout(PING_TIMEOUT):
                await self._ping_client.ping()
        except (OSError, RedisError) as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        await self._ping_client.aclose()
        await self.client.aclose()


def unavailable(error: Exception) -> DatabaseUnavailableError:
    """Name the cause, which the client's own errors hide."""
    cause = f" ({type(error.__context__).__name__})" if isinstance(error.__context__, OSError) else ""
    return DatabaseUnavailableError((str(error) or "timed out") + cause)


def connect(settings: Settings, *, max_connections: int) -> Redis:
    """Create a pool, which opens connections when they are needed."""
    pool = Pool(
        max_connections=max_connections,
        timeout=TIMEOUT,
        host=settings.database_host,
        port=settings.database_port,
        credential_provider=PasswordFile(settings),
        decode_responses=True,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        # Once more, because the pool lends connections that the server has closed. Each command may run twice.
        retry=Retry(NoBackoff(), retries=1),
        **TLS[settings.database_tls],
    )
    return Redis.from_pool(pool)
