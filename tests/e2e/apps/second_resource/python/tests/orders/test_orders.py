from typing import Any

import pytest
from httpx import AsyncClient

pytestmark = pytest.mark.usefixtures("empty")


async def create(client: AsyncClient, **fields: object) -> dict[str, Any]:
    response = await client.post("/orders", json={"customer": "Zoë", "email": "zoe@example.com", **fields})
    assert response.status_code == 201
    order: dict[str, Any] = response.json()
    return order


async def test_a_created_order_can_be_fetched_and_deleted(client: AsyncClient) -> None:
    order = await create(client)
    assert (order["status"], order["gift"]) == ("new", False)
    url = f"/orders/{order['id']}"
    assert (await client.get(url)).json() == order
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404
    assert (await client.delete(url)).status_code == 404


async def test_orders_are_filtered_and_sorted(client: AsyncClient) -> None:
    for status in ("new", "paid", "shipped"):
        await create(client, status=status)
    query = {"customer": "Zoë", "status": ["paid", "shipped"], "gift": "false", "sort": "newest"}
    orders = (await client.get("/orders", params=query)).json()["orders"]
    assert [order["status"] for order in orders] == ["shipped", "paid"]


@pytest.mark.parametrize("query", ["status=lost", "gift=maybe", "sort=up", "customer=%00"])
async def test_an_invalid_query_is_refused(client: AsyncClient, query: str) -> None:
    assert (await client.get(f"/orders?{query}")).status_code == 422
