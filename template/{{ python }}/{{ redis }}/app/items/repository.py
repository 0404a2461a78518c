"""Items in the database."""

from datetime import UTC, datetime

from app.database import Database
from app.items.schemas import Item


class Items:
    """The items: each is a string of JSON, and a sorted set holds their ids."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ids = f"{database.prefix}:items"
        self.last_id = f"{database.prefix}:items:last-id"

    def key(self, item_id: object) -> str:
        """Name the key of one item."""
        return f"{self.ids}:{item_id}"

    async def create(self, name: str) -> Item:
        """Store a new item and return it with its id."""
        async with self.database.commands() as redis:
            item = Item(id=await redis.incr(self.last_id), name=name, created_at=datetime.now(UTC))
            async with redis.pipeline(transaction=True) as transaction:
                transaction.set(self.key(item.id), item.model_dump_json())
                transaction.zadd(self.ids, {str(item.id): item.id})
                await transaction.execute()
            return item

    async def page(self, after: int, limit: int) -> list[Item]:
        """Return the first items with a greater id."""
        async with self.database.commands() as redis:
            ids = await redis.zrange(self.ids, f"({after}", "+inf", byscore=True, offset=0, num=limit)
            found = await redis.mget([self.key(item_id) for item_id in ids]) if ids else []
            # One that was deleted between the two commands is gone.
            return [Item.model_validate_json(text) for text in found if text]

    async def get(self, item_id: int) -> Item | None:
        """Return the item with this id, if any."""
        async with self.database.commands() as redis:
            text = await redis.get(self.key(item_id))
            return Item.model_validate_json(text) if text else None

    async def delete(self, item_id: int) -> bool:
        """Delete the item with this id and tell whether there was one."""
        async with self.database.commands() as redis, redis.pipeline(transaction=True) as transaction:
            transaction.delete(self.key(item_id))
            transaction.zrem(self.ids, item_id)
            deleted, _ = await transaction.execute()
            return bool(deleted)
