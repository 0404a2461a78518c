"""Migrations."""

import asyncio
import logging
import time

from alembic import command
from alembic.config import Config
from alembic.script.revision import ResolutionError
from alembic.util import CommandError

from app.database import Database, DatabaseUnavailableError
from app.dialect import is_permanent
from app.settings import Settings

WAIT = 60

logger = logging.getLogger(__name__)


def migrate(settings: Settings) -> int:
    """Apply new migrations as soon as the database is available."""
    try:
        asyncio.run(wait_for_database(settings))
        command.upgrade(Config(toml_file="pyproject.toml"), "head")
    except DatabaseUnavailableError as error:
        logger.error("The database is unavailable.", extra={"error": str(error)})  # noqa: TRY400
        return 1
    except Exception as error:
        if isinstance(error, CommandError) and isinstance(error.__cause__, ResolutionError):
            logger.warning("The schema is ahead of this version.", extra={"error": str(error)})
            return 0
        logger.exception("The migration failed.")
        return 1
    logger.info("The schema is up to date.")
    return 0


async def wait_for_database(settings: Settings) -> None:
    """Wait for the database, but not if it refuses every connection."""
    database = Database(settings)
    deadline = time.monotonic() + WAIT
    try:
        while True:
            try:
                await database.ping()
            except DatabaseUnavailableError as error:
                if is_permanent(error) or time.monotonic() > deadline:
                    raise
                logger.warning("Waiting for the database.", extra={"error": str(error)})
                await asyncio.sleep(1)
            else:
                return
    finally:
        await database.close()
