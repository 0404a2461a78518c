"""The database: commands for requests, and a ping for readiness."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.settings import Settings

TIMEOUT = 5
PING_TIMEOUT = 1

TLS: dict[str, dict[str, Any]] = {
    "verify": {"connection_class": SSLConnection},
    "require": {"connection_class": SSLConnection, "ssl_cert_reqs": "none", "ssl_check_hostname": False},
    "disable": {"connection_class": Connection},
}

logger = logging.getLogger(__name__)


class DatabaseUnavailableError(Exception):
    """The database does not answer."""


class Database:
    """The connections of one process."""

    def __init__(self, settings: Settings) -> None:
        self.prefix = settings.database_name
        self._redis = connect(settings, max_connections=10)
        # A busy pool is no reason to be sent no requests, so the ping has a connection of its own.
        self._ping_redis = connect(settings, max_connections=1)

    @asynccontextmanager
    async def commands(self) -> AsyncIterator[Redis]:
        """Lend a client, and give up on a database that does not answer."""
        try:
            async with asyncio.timeout(TIMEOUT):
                yield self._redis
        except (TimeoutError, RedisConnectionError, RedisTimeoutError) as error:
            raise DatabaseUnavailableError from error

    async def ping(self) -> bool:
        """Tell whether the database answers within a second."""
        try:
            async with asyncio.timeout(PING_TIMEOUT):
                await self._ping_redis.ping()
        except (OSError, TimeoutError, RedisError) as error:
            logger.warning("The database does not answer: %r", error)
            return False
        return True

    async def close(self) -> None:
        """Close every connection."""
        await self._ping_redis.aclose()
        await self._redis.aclose()


def connect(settings: Settings, *, max_connections: int) -> Redis:
    """Set up a pool of connections; none is opened before it is needed."""
    pool = BlockingConnectionPool(
        max_connections=max_connections,
        timeout=TIMEOUT,
        host=settings.database_host,
        port=settings.database_port,
        password=settings.database_password.get_secret_value(),
        decode_responses=True,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        # Once more, because the pool lends connections that the server has closed. Each command may run twice.
        retry=Retry(NoBackoff(), retries=1),
        **TLS[settings.database_tls],
    )
    return Redis.from_pool(pool)
