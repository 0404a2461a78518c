import pytest
from sqlalchemy import delete

from app.dependencies import State
from app.orders.models import OrderRow


@pytest.fixture
async def empty(prepared_database: None, state: State) -> None:  # noqa: ARG001
    """Start without orders."""
    async with state.database.transaction() as session:
        await session.execute(delete(OrderRow))
