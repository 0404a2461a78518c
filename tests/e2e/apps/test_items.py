"""The example API: how a client uses it."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.e2e.apps.client import LARGEST_ID, assert_problem, create, media_type
from tests.e2e.apps.conftest import Start
from tests.e2e.apps.markers import with_database, with_redis, with_sql, without_database
from tests.e2e.apps.project import Project, Service
from tests.e2e.apps.servers import Server


@with_database
def test_created_item_can_be_fetched(client: httpx.Client) -> None:
    for name in ("x", "  Zoë's\n🎈 ", "🎈" * 200, '"; DROP TABLE items; --', "\ufeff", "</script>&\u2028\x7f\x01"):
        created = client.post("/items", json={"name": name})
        assert created.status_code == 201
        assert media_type(created) == "application/json"
        item = created.json()
        assert item.keys() == {"id", "name", "created_at"}
        assert isinstance(item["id"], int)
        assert item["id"] >= 1
        assert item["name"] == name
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", item["created_at"])
        assert abs(datetime.now(UTC) - datetime.fromisoformat(item["created_at"])) < timedelta(minutes=1)
        assert created.headers["Location"] == f"/items/{item['id']}"

        fetched = client.get(f"/items/{item['id']}")
        assert fetched.status_code == 200
        assert fetched.json() == item


@with_database
def test_deleted_item_is_404(client: httpx.Client) -> None:
    path = f"/items/{create(client)['id']}"
    deleted = client.delete(path)
    assert deleted.status_code == 204
    assert deleted.content == b""
    for method in ("GET", "DELETE"):
        assert_problem(client.request(method, path), 404)


@with_database
def test_items_are_listed_in_pages(client: httpx.Client) -> None:
    items = [create(client, f"Item {number}") for number in range(101)]
    after = items[0]["id"] - 1 or None

    def page(**query: int | None) -> tuple[list[Any], int | None]:
        response = client.get("/items", params={key: value for key, value in query.items() if value is not None})
        assert response.status_code == 200
        body = response.json()
        assert body.keys() == {"items", "next"}
        return body["items"], body["next"]

    assert page(after=after) == (items[:20], items[19]["id"])
    assert page(after=after, limit=100) == (items[:100], items[99]["id"])
    assert page(after=items[99]["id"]) == (items[100:], None)
    assert page(after=items[80]["id"]) == (items[81:], None)
    assert page(after=items[100]["id"]) == ([], None)
    assert page(after=LARGEST_ID) == ([], None)
    everything, next_id = page(limit=100)
    while next_id is not None:
        more, next_id = page(limit=100, after=next_id)
        everything += more
    ids = [item["id"] for item in everything]
    assert ids == sorted(set(ids))
    assert everything[-101:] == items


@with_sql
def test_ids_are_exact(start: Start, project: Project, server: Server) -> None:
    server.create_database("large")
    assert project.run("migrate", environment=server.environment("large"))[0] == 0
    client = start(DATABASE_NAME="large").client
    # JavaScript's numbers are exact up to 2^53.
    for number in (2**53 + 1, 2**53 + 3, LARGEST_ID - 1):
        server.query("large", server.restart_ids.format(number))
        assert create(client)["id"] == number
        assert client.get(f"/items/{number}").json()["id"] == number
        assert_problem(client.get(f"/items/{number - 1}"), 404)
    page = client.get("/items?limit=1").json()
    assert page["next"] == 2**53 + 1
    assert client.get(f"/items?limit=1&after={page['next']}").json()["items"][0]["id"] == 2**53 + 3
    assert client.delete(f"/items/{LARGEST_ID - 1}").status_code == 204
    assert [item["id"] for item in client.get("/items").json()["items"]] == [2**53 + 1, 2**53 + 3]


@with_database
def test_many_clients_at_once(service: Service) -> None:
    def work(number: int) -> None:
        with httpx.Client(base_url=service.client.base_url, timeout=30, trust_env=False) as client:
            item = create(client, f"Item {number}")
            assert client.get(f"/items/{item['id']}").json() == item
            assert client.delete(f"/items/{item['id']}").status_code == 204

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(200)))


@without_database
def test_without_a_database_the_routes_are_unknown_paths(client: httpx.Client) -> None:
    assert_problem(client.get("/items"), 404)
    assert_problem(client.get("/items/1"), 404)
    assert_problem(client.post("/items", json={"name": "x"}), 404)


@with_redis
def test_every_key_begins_with_the_name_of_the_database(
    start: Start, server: Server, environment: dict[str, str]
) -> None:
    service = start(DATABASE_NAME="other")
    item = create(service.client)
    assert service.client.get("/items").json()["items"] == [item]
    keys = server.execute("KEYS *").split()
    assert {key.partition(":")[0] for key in keys} <= {environment["DATABASE_NAME"], "other"}
