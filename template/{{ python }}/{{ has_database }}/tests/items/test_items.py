from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

pytestmark = pytest.mark.usefixtures("empty")

JSON = {"Content-Type": "application/json"}


async def create(client: AsyncClient, name: str = "An item") -> dict[str, Any]:
    response = await client.post("/items", json={"name": name})
    assert response.status_code == 201
    item: dict[str, Any] = response.json()
    return item


async def test_a_created_item_can_be_fetched(client: AsyncClient) -> None:
    created = await client.post("/items", json={"name": "Zoë's 🎈"})
    assert created.status_code == 201
    item = created.json()
    assert created.headers["Location"] == f"/items/{item['id']}"
    assert item["name"] == "Zoë's 🎈"
    assert item["created_at"].endswith("Z")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(item["created_at"])) < timedelta(minutes=1)

    fetched = await client.get(created.headers["Location"])
    assert fetched.status_code == 200
    assert fetched.json() == item


async def test_a_deleted_item_is_not_found(client: AsyncClient) -> None:
    item = await create(client)
    response = await client.delete(f"/items/{item['id']}")
    assert response.status_code == 204
    assert response.content == b""
    assert (await client.get(f"/items/{item['id']}")).status_code == 404
    assert (await client.delete(f"/items/{item['id']}")).status_code == 404


async def test_ids_are_not_reused(client: AsyncClient) -> None:
    first = await create(client)
    await client.delete(f"/items/{first['id']}")
    assert (await create(client))["id"] > first["id"]


async def test_items_are_listed_in_pages(client: AsyncClient) -> None:
    items = [await create(client, f"Item {number}") for number in range(5)]
    ids = [item["id"] for item in items]

    first = (await client.get("/items", params={"limit": 3})).json()
    assert first == {"items": items[:3], "next": ids[2]}
    second = (await client.get("/items", params={"limit": 3, "after": first["next"]})).json()
    assert second == {"items": items[3:], "next": None}


async def test_a_full_last_page_has_no_next(client: AsyncClient) -> None:
    item = await create(client)
    assert (await client.get("/items", params={"limit": 1})).json() == {"items": [item], "next": None}


async def test_a_page_has_20_items_by_default(client: AsyncClient) -> None:
    for number in range(21):
        await create(client, f"Item {number}")
    assert len((await client.get("/items")).json()["items"]) == 20


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("limit=0", "query.limit"),
        ("limit=101", "query.limit"),
        ("limit=ten", "query.limit"),
        ("limit=5.0", "query.limit"),
        ("limit=%205", "query.limit"),
        ("after=first", "query.after"),
        ("after=1_0", "query.after"),
        ("after=0", "query.after"),
        (f"after={2**63}", "query.after"),
    ],
)
async def test_an_invalid_query_is_refused(client: AsyncClient, query: str, location: str) -> None:
    response = await client.get(f"/items?{query}")
    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == [location]


@pytest.mark.parametrize("item_id", ["0", "-1", "+1", " 1", "1_0", "01", "1.0", "first", str(2**63 - 1), str(2**63)])
async def test_an_invalid_id_is_not_found(client: AsyncClient, item_id: str) -> None:
    assert (await client.get(f"/items/{item_id}")).status_code == 404
    assert (await client.delete(f"/items/{item_id}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({}, "body.name"),
        ({"name": ""}, "body.name"),
        ({"name": "x" * 201}, "body.name"),
        ({"name": "a\0b"}, "body.name"),
        ({"name": 1}, "body.name"),
        ({"name": None}, "body.name"),
        ({"name": "x", "size": 1}, "body.size"),
        ([], "body"),
    ],
)
async def test_an_invalid_item_is_refused(client: AsyncClient, body: object, location: str) -> None:
    response = await client.post("/items", json=body)
    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["title"] == "Unprocessable Content"
    assert [error["location"] for error in problem["errors"]] == [location]


async def test_a_name_has_up_to_200_characters(client: AsyncClient) -> None:
    assert (await create(client, "🎈" * 200))["name"] == "🎈" * 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 60_000,
        b"1" * 60_000,
        b'\xef\xbb\xbf{"name": "x"}',
        '{"name": "x"}'.encode("utf-16-le"),
    ],
    ids=["empty", "cut", "binary", "deep", "long", "byte order mark", "UTF-16"],
)
async def test_a_body_that_is_not_json_is_refused(client: AsyncClient, body: bytes) -> None:
    response = await client.post("/items", content=body, headers=JSON)
    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == ["body"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/problem+json", ""])
async def test_other_media_types_are_refused(client: AsyncClient, content_type: str) -> None:
    response = await client.post("/items", content=b'{"name": "x"}', headers={"Content-Type": content_type})
    assert response.status_code == 415
    assert response.headers["Content-Type"] == "application/problem+json"


async def test_a_body_has_at_most_64_kib(client: AsyncClient) -> None:
    body = b'{"name": "x"}'.ljust(64 * 1024)
    assert (await client.post("/items", content=body, headers=JSON)).status_code == 201
    response = await client.post("/items", content=body + b" ", headers=JSON)
    assert response.status_code == 413
    assert response.headers["Content-Type"] == "application/problem+json"


async def test_a_body_of_unknown_length_has_the_same_limit(client: AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(65):
            yield b" " * 1024

    assert (await client.post("/items", content=chunks(), headers=JSON)).status_code == 413


async def test_all_methods_of_a_path_are_allowed(client: AsyncClient) -> None:
    assert (await client.put("/items")).headers["Allow"] == "GET, HEAD, POST"
    assert (await client.put("/items/1")).headers["Allow"] == "DELETE, GET, HEAD"
