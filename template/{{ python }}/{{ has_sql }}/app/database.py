"""The database: transactions for requests, and a ping for readiness."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase

from app.engine import create_engine
from app.settings import Settings

TIMEOUT = 5
PING_TIMEOUT = 1

logger = logging.getLogger(__name__)


class DatabaseUnavailableError(Exception):
    """The database does not answer."""


class Base(DeclarativeBase):
    """What all tables share."""


class Database:
    """The connections of one process."""

    def __init__(self, settings: Settings) -> None:
        self._engine = create_engine(settings, pool_size=5, max_overflow=5)
        self._sessions = async_sessionmaker(self._engine)
        # A busy pool is no reason to be sent no requests, so the ping has a connection of its own.
        self._ping_engine = create_engine(settings, pool_size=1, max_overflow=0)
        self._ping: asyncio.Task[bool] | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open a session that commits when the block ends, and gives up on a database that does not answer."""
        try:
            async with asyncio.timeout(TIMEOUT), self._sessions.begin() as session:
                yield session
        except (TimeoutError, InterfaceError, OperationalError, PoolTimeoutError) as error:
            raise DatabaseUnavailableError from error

    async def ping(self) -> bool:
        """Tell whether the database answers within a second.

        A driver may take long to give up on a server that hangs. That is not waited for; until it has, the next ping
        joins the one under way.
        """
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._select())
        done, _ = await asyncio.wait([self._ping], timeout=PING_TIMEOUT)
        return bool(done) and self._ping.result()

    async def _select(self) -> bool:
        try:
            async with asyncio.timeout(TIMEOUT), self._ping_engine.connect() as connection:
                await connection.execute(select(1))
        except (OSError, TimeoutError, SQLAlchemyError) as error:
            logger.warning("The database does not answer: %r", error)
            return False
        return True

    async def close(self) -> None:
        """Close every connection."""
        await self._ping_engine.dispose()
        await self._engine.dispose()
