import pytest
from sqlalchemy import delete

from app.dependencies import State
from app.items.models import ItemRow


@pytest.fixture
async def empty(prepared_database: None, state: State) -> None:  # noqa: ARG001
    """Start without items."""
    async with state.database.transaction() as session:
        await session.execute(delete(ItemRow))
