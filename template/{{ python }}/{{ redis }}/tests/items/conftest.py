import pytest
from fastapi import FastAPI

from app.settings import Settings


@pytest.fixture
async def empty(app: FastAPI, settings: Settings) -> None:
    """Begin with no items, if the database is one that tests may empty."""
    name = settings.database_name
    if not name.endswith("test"):
        pytest.exit(f"The tests empty their database: {name} does not end in test.", returncode=2)
    async with app.state.database.commands() as redis:
        async for key in redis.scan_iter(f"{name}:*"):
            await redis.delete(key)
