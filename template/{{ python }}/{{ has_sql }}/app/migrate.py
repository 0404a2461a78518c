"""Migrations."""

import asyncio
import logging
import time

from alembic import command
from alembic.config import Config

from app.database import Database
from app.settings import Settings

WAIT = 60

logger = logging.getLogger(__name__)


def migrate(settings: Settings) -> int:
    """Apply what is missing of migrations/ as soon as the database answers."""
    if not asyncio.run(wait_for_database(settings)):
        logger.error("The database did not answer in %d seconds.", WAIT)
        return 1
    try:
        command.upgrade(Config(toml_file="pyproject.toml"), "head")
    except Exception:
        logger.exception("The migration failed.")
        return 1
    return 0


async def wait_for_database(settings: Settings) -> bool:
    """Tell whether the database answers before it is too late."""
    database = Database(settings)
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        if await database.ping():
            await database.close()
            return True
        await asyncio.sleep(1)
    return False
