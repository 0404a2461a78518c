"""Items in the database."""

from datetime import UTC, datetime
from typing import cast

from app.database import Database
from app.items.schemas import Item


class Items:
    """The items: a sorted set of JSON documents whose scores are the IDs. One command stores a whole item."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.key = f"{database.prefix}:items"

    async def create(self, name: str) -> Item:
        """Store an item and return it."""
        async with self.database.commands() as redis:
            item = Item(id=await redis.incr(f"{self.key}:last-id"), name=name, created_at=datetime.now(UTC))
            await redis.zadd(self.key, {item.model_dump_json(): item.id})
            return item

    async def page(self, after: int, limit: int) -> list[Item]:
        """Return the first items after an ID."""
        return await self._range(f"({after}", "+inf", limit)

    async def get(self, item_id: int) -> Item | None:
        """Return an item, if it exists."""
        items = await self._range(item_id, item_id, 1)
        return items[0] if items else None

    async def delete(self, item_id: int) -> bool:
        """Delete an item and return whether it existed."""
        async with self.database.commands() as redis:
            return await redis.zremrangebyscore(self.key, item_id, item_id) == 1

    async def _range(self, first: int | str, last: int | str, limit: int) -> list[Item]:
        async with self.database.commands() as redis:
            found = await redis.zrange(self.key, first, last, byscore=True, offset=0, num=limit)
            # The client's types assume scores, which are not requested.
            return [Item.model_validate_json(text) for text in cast("list[str]", found)]
