import pytest
from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from sqlalchemy import delete

from app.items.models import ItemRow
from app.settings import Settings


@pytest.fixture(scope="session")
def schema() -> None:
    """Migrate the database, if it is one that tests may empty."""
    name = Settings().database_name
    if not name.endswith("test"):
        pytest.exit(f"The tests empty their database: {name} does not end in test.", returncode=2)
    command.upgrade(Config(toml_file="pyproject.toml"), "head")


@pytest.fixture
async def empty(schema: None, app: FastAPI) -> None:  # noqa: ARG001
    """Begin with no items."""
    async with app.state.database.transaction() as session:
        await session.execute(delete(ItemRow))
