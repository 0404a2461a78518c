import pytest

from app.dependencies import State


@pytest.fixture
async def empty(prepared_database: None, state: State) -> None:  # noqa: ARG001
    """Start without items."""
    database = state.database
    async with database.commands() as redis:
        async for key in redis.scan_iter(f"{database.prefix}:*"):
            await redis.delete(key)
