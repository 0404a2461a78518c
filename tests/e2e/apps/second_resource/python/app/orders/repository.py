"""Orders in the database."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import delete, select

from app.database import Database
from app.orders.models import OrderRow
from app.orders.schemas import NewOrder, Order, Sort, Status


class Orders:
    """The orders; each method is a transaction."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def create(self, new: NewOrder) -> Order:
        """Store an order and return it."""
        async with self.database.transaction() as session:
            row = OrderRow(**new.model_dump(), created_at=datetime.now(UTC))
            session.add(row)
            await session.flush()
            return Order.model_validate(row)

    async def list(
        self, customer: str | None, statuses: Sequence[Status] | None, gift: bool | None, sort: Sort, limit: int
    ) -> list[Order]:
        """Return the first orders that match every filter."""
        query = select(OrderRow).limit(limit)
        if customer is not None:
            query = query.where(OrderRow.customer == customer)
        if statuses:
            query = query.where(OrderRow.status.in_(statuses))
        if gift is not None:
            query = query.where(OrderRow.gift == gift)
        query = query.order_by(OrderRow.created_at.desc() if sort is Sort.NEWEST else OrderRow.created_at)
        async with self.database.transaction() as session:
            return [Order.model_validate(row) for row in await session.scalars(query)]

    async def get(self, order_id: UUID) -> Order | None:
        """Return an order, if it exists."""
        async with self.database.transaction() as session:
            row = await session.get(OrderRow, order_id)
            return Order.model_validate(row) if row else None

    async def delete(self, order_id: UUID) -> bool:
        """Delete an order and return whether it existed."""
        async with self.database.transaction() as session:
            connection = await session.connection()
            result = await connection.execute(delete(OrderRow).where(OrderRow.id == order_id))
            return result.rowcount == 1
