"""Items in the database."""

from datetime import UTC, datetime

from sqlalchemy import delete, select

from app.database import Database
from app.items.models import ItemRow
from app.items.schemas import Item


class Items:
    """The items; each method is a transaction."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def create(self, name: str) -> Item:
        """Store an item and return it."""
        async with self.database.transaction() as session:
            row = ItemRow(name=name, created_at=datetime.now(UTC))
            session.add(row)
            await session.flush()
            return Item.model_validate(row)

    async def page(self, after: int, limit: int) -> list[Item]:
        """Return the first items after an ID."""
        async with self.database.transaction() as session:
            query = select(ItemRow).where(ItemRow.id > after).order_by(ItemRow.id).limit(limit)
            return [Item.model_validate(row) for row in await session.scalars(query)]

    async def get(self, item_id: int) -> Item | None:
        """Return an item, if it exists."""
        async with self.database.transaction() as session:
            row = await session.get(ItemRow, item_id)
            return Item.model_validate(row) if row else None

    async def delete(self, item_id: int) -> bool:
        """Delete an item and return whether it existed."""
        async with self.database.transaction() as session:
            connection = await session.connection()
            result = await connection.execute(delete(ItemRow).where(ItemRow.id == item_id))
            return result.rowcount == 1
