"""The database: transactions for requests, and a ping for readiness."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase

from app.engine import create_engine
from app.settings import Settings

TIMEOUT = 5
PING_TIMEOUT = 1


class DatabaseUnavailableError(Exception):
    """The database is unavailable; the message is the cause."""


class Base(DeclarativeBase):
    """The base of all tables."""


class Database:
    """The connections of one process."""

    def __init__(self, settings: Settings) -> None:
        self.engine = create_engine(settings, pool_size=settings.database_pool_size)
        self._sessions = async_sessionmaker(self.engine)
        # Of its own, because a busy pool must not fail readiness.
        self._ping_engine = create_engine(settings, pool_size=1)
        self._ping: asyncio.Task[Exception | None] | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open a session that commits when the block ends and has a time limit."""
        try:
            async with asyncio.timeout(TIMEOUT), self._sessions.begin() as session:
                yield session
        except (TimeoutError, InterfaceError, OperationalError, PoolTimeoutError) as error:
            raise unavailable(error) from error
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise unavailable(error) from error

    async def ping(self) -> None:
        """Fail unless the database responds within a second.

        A driver can take long to give up on a server that hangs. Until then, later pings join the one in progress.
        """
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._select())
        done, _ = await asyncio.wait([self._ping], timeout=PING_TIMEOUT)
        error = self._ping.result() if done else TimeoutError("timed out")
        if error:
            raise unavailable(error) from error

    async def _select(self) -> Exception | None:
        try:
            async with asyncio.timeout(TIMEOUT), self._ping_engine.connect() as connection:
                await connection.execute(select(1))
        except (OSError, SQLAlchemyError) as error:
            return error
        return None

    async def close(self) -> None:
        await self._ping_engine.dispose()
        await self.engine.dispose()


def unavailable(error: Exception) -> DatabaseUnavailableError:
    """Name the cause: the driver's error, without what SQLAlchemy adds."""
    cause = (error.orig if isinstance(error, DBAPIError) else None) or error
    return DatabaseUnavailableError(str(cause) or "timed out")
