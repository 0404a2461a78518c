"""The contract of a rendered service (docs/contract.md), asked of running programs; nothing here knows a language."""

import json
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import pytest

from tests.e2e.apps import openapi
from tests.e2e.apps.project import Project, Service
from tests.e2e.apps.servers import Server, free_port
from tests.e2e.commands import TIMEOUT, wait_for

SQL = ("postgres", "mysql")
STORES = (*SQL, "redis")
JSON = {"Content-Type": "application/json"}
KIBIBYTE = 1024
LARGEST_ID = 2**63 - 1
PROBLEMS = {
    404: ("Not Found", {"There is nothing at this path.", "There is no such item."}),
    405: ("Method Not Allowed", {"The path does not have this method."}),
    413: ("Content Too Large", {"The body must have at most 64 KiB."}),
    415: ("Unsupported Media Type", {"The body must be application/json."}),
    422: ("Unprocessable Content", {"The request is not valid."}),
    500: ("Internal Server Error", {"The service failed to answer."}),
    503: ("Service Unavailable", {"The database does not answer.", "The service is stopping."}),
}
"""Title and details of each status."""
WITHOUT_DRAINING = 18
"""Seconds: less than the 20 that a service waits for requests which do not end, more than a busy machine takes."""
OF_THE_CONNECTION = {"connection", "keep-alive"}

with_database = pytest.mark.databases(*STORES)
with_sql = pytest.mark.databases(*SQL)
with_redis = pytest.mark.databases("redis")
without_database = pytest.mark.databases("none")
without_sql = pytest.mark.databases("redis", "none")
one_variant = pytest.mark.databases("postgres")


@pytest.fixture(scope="session")
def environment(project: Project, server: Server | None) -> dict[str, str]:
    """The settings of a service, with a migrated database where there is one."""
    if server is None:
        return {}
    server.create_database("contract")
    environment = server.environment("contract")
    status, output, errors = project.run("migrate", environment=environment)
    assert status == 0, output + errors
    return environment


Start = Callable[..., Service]
T = TypeVar("T")


@pytest.fixture
def start(project: Project, environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start services that are gone after the test, and have told no password."""
    services: list[Service] = []

    def start(**settings: str) -> Service:
        service = Service(project, tmp_path / f"{len(services)}.log", **environment | settings)
        services.append(service)
        return service.__enter__()

    yield start
    for service in services:
        service.__exit__()
        if environment:
            password = Path(environment["DATABASE_PASSWORD_FILE"]).read_text(encoding="utf-8").strip()
            assert password[-20:] not in service.log.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def service(
    project: Project, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service that all tests share which leave it as it is."""
    log = tmp_path_factory.mktemp("service") / "log"
    with Service(project, log, SERVICE_VERSION="1.2.3-test", LOG_LEVEL="debug", **environment) as service:
        service.wait_until_ready()
        yield service


@pytest.fixture
def client(service: Service) -> httpx.Client:
    return service.client


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """Check an error's form, as RFC 9457 has it."""
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-ID"]
    problem: dict[str, Any] = response.json()
    title, details = PROBLEMS[status]
    assert (problem["type"], problem["title"], problem["status"]) == ("about:blank", title, status)
    assert problem["detail"] in details
    expected = {"type", "title", "status", "detail"} | ({"errors"} if status == 422 else set())
    assert problem.keys() == expected
    return problem


def locations(response: httpx.Response) -> list[str]:
    """Return where a 422 sees errors."""
    errors = assert_problem(response, 422)["errors"]
    assert all(error.keys() == {"location", "detail"} and error["detail"] for error in errors)
    return [error["location"] for error in errors]


def create(client: httpx.Client, name: str = "An item") -> dict[str, Any]:
    """Create an item."""
    response = client.post("/items", json={"name": name})
    assert response.status_code == 201, response.text
    item: dict[str, Any] = response.json()
    return item


# Every service


def test_the_root_tells_name_and_version(client: httpx.Client) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {"name": "shop", "version": "1.2.3-test"}


def test_probes_answer_ok(client: httpx.Client) -> None:
    for path in ("/livez", "/readyz"):
        response = client.get(path)
        assert response.status_code == 200
        assert response.json() == {"status": "ok"}


def exchange(service: Service, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Send a request whose path no client library tidies up."""
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())


UNKNOWN = [
    "/nowhere", "/livez/", "/items/1/2", "/%00", "/livez%2f", "//livez", "//", "/./livez", "/x/../livez",
    "/LIVEZ", "/livez;x", "/openapi.json/",
]  # fmt: skip


@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_path_is_not_found(service: Service, path: str) -> None:
    for method in ("GET", "POST"):
        problem = assert_problem(exchange(service, method, path), 404)
        assert problem["detail"] == "There is nothing at this path."


@pytest.mark.parametrize("path", ["/%zz", "/livez%", "/%c3%28"])
def test_a_path_that_nobody_can_decode_is_refused(service: Service, path: str) -> None:
    assert exchange(service, "GET", path).status_code in {400, 404}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_wrong_method_is_answered_with_the_right_ones(client: httpx.Client, method: str) -> None:
    for path in ("/", "/livez", "/readyz", "/openapi.json", "/livez?x=1"):
        response = client.request(method, path)
        assert_problem(response, 405)
        assert response.headers["Allow"] == "GET, HEAD"


def test_head_is_answered_like_get(service: Service, project: Project) -> None:
    paths = ["/", "/livez", "/readyz", "/openapi.json", "/nowhere"]
    if project.database != "none":
        paths += ["/items?after=9000000", "/items?limit=0", "/items/0", f"/items/{LARGEST_ID}"]
    for path in paths:
        got, head = service.client.get(path), service.client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers.keys() == got.headers.keys(), path
        for header in ("Content-Type", "Content-Length"):
            assert head.headers[header] == got.headers[header], path


def headers(response: httpx.Response) -> set[str]:
    """Return the names of the headers, but for those of the connection and those that every answer has."""
    names = set(response.headers) - OF_THE_CONNECTION
    assert {"date", "x-request-id"} <= names
    assert len(response.headers.get_list("Date")) == 1
    return names - {"date", "x-request-id"}


def test_answers_have_just_their_headers(client: httpx.Client) -> None:
    for path in ("/", "/livez", "/readyz", "/openapi.json", "/nowhere"):
        assert headers(client.get(path)) == {"content-type", "content-length"}, path
    assert headers(client.post("/livez")) == {"content-type", "content-length", "allow"}


@with_database
def test_answers_of_items_have_just_their_headers(client: httpx.Client) -> None:
    content = {"content-type", "content-length"}
    created = client.post("/items", json={"name": "x"})
    assert headers(created) == content | {"location"}
    path = created.headers["Location"]
    assert [headers(client.get(path)), headers(client.get("/items"))] == [content] * 2
    assert headers(client.delete(path)) == set()
    assert [headers(client.delete(path)), headers(client.get("/items/x")), headers(client.get("/items?limit=0"))] == [
        content
    ] * 3
    assert headers(client.put("/items")) == content | {"allow"}
    bodies: list[tuple[bytes, dict[str, str]]] = [(b"{}", JSON), (b"{", JSON), (b"x" * 70_000, JSON), (b"{}", {})]
    assert [headers(client.post("/items", content=body, headers=kind)) for body, kind in bodies] == [content] * 4


@pytest.mark.parametrize("given", ["x", "aZ0._-", "x" * 128])
def test_a_request_keeps_its_id(client: httpx.Client, given: str) -> None:
    for path in ("/", "/nowhere"):
        assert client.get(path, headers={"X-Request-ID": given}).headers.get_list("X-Request-ID") == [given]


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "a:b", "caf\u00e9", "a,b"])
def test_a_bad_request_id_is_replaced(client: httpx.Client, given: str) -> None:
    for path in ("/", "/nowhere"):
        response = client.get(path, headers={b"X-Request-ID": given.encode("latin-1")})
        [replaced] = response.headers.get_list("X-Request-ID")
        assert replaced != given
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", replaced)


def test_no_two_requests_get_the_same_id(client: httpx.Client) -> None:
    assert len({client.get("/").headers["X-Request-ID"] for _ in range(20)}) == 20


def test_the_openapi_document_is_the_same_in_every_language(client: httpx.Client, project: Project) -> None:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    has_items = project.database != "none"
    assert openapi.normal(response.json()) == openapi.expected("shop", "1.2.3-test", items=has_items)


def test_both_ports_listen_on_all_interfaces(service: Service) -> None:
    addresses = ["127.0.0.2", *(["::1"] if socket.has_dualstack_ipv6() else [])]
    for address in addresses:
        for port in (service.port, service.metrics_port):
            socket.create_connection((address, port), timeout=5).close()


def test_requests_are_measured_by_method_route_and_status(service: Service, project: Project) -> None:
    def count(method: str, route: str, status: int) -> float:
        return sample(service.metrics(), "http_request_duration_seconds_count", method, route, status)

    expected = [("GET", path, 200) for path in ("/", "/livez", "/readyz", "/openapi.json")]
    expected += [("GET", "unmatched", 404), ("POST", "/livez", 405)]
    if project.database != "none":
        expected += [("GET", "/items/{id}", 404), ("POST", "/items", 415)]
    before = [count(*labels) for labels in expected]
    for method, route, _ in expected:
        service.client.request(method, route.replace("unmatched", "/nowhere").replace("{id}", str(LARGEST_ID)))
    after = [number + 1 for number in before]
    wait_for(lambda: [count(*labels) for labels in expected] == after)

    metrics = service.metrics()
    assert "# TYPE http_request_duration_seconds histogram" in metrics
    assert sample(metrics, "http_request_duration_seconds_bucket", "GET", "/livez", 200, le="+Inf") >= 1
    assert sample(metrics, "http_request_duration_seconds_sum", "GET", "/livez", 200) > 0


def sample(metrics: str, name: str, method: str, route: str, status: int, **labels: str) -> float:
    """Return the value of one of our samples; its labels come in any order."""
    wanted = {"method": method, "route": route, "status": str(status)} | labels
    for line in metrics.splitlines():
        match = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
        if match and match[1] == name and dict(re.findall(r'(\w+)="([^"]*)"', match[2])) == wanted:
            return float(match[3])
    return 0


def test_the_runtime_is_measured_too(service: Service) -> None:
    families = set(re.findall(r"^# TYPE (\w+)", service.metrics(), re.MULTILINE))
    assert len(families - {"http_request_duration_seconds"}) >= 3


def test_clients_cannot_grow_the_metrics(service: Service) -> None:
    def invent() -> int:
        service.client.get(f"/nowhere/{uuid4()}")
        service.client.request(uuid4().hex.upper(), "/")
        time.sleep(0.2)
        return len(service.metrics().splitlines())

    first = invent()
    assert [invent() for _ in range(3)] == [first] * 3


def test_every_request_is_a_line_of_json(service: Service) -> None:
    wanted = {
        "/livez": ("/livez", 200, "debug"),
        "/readyz": ("/readyz", 200, "debug"),
        "/": ("/", 200, "info"),
        "/nowhere": ("unmatched", 404, "info"),
    }
    for path, (route, status, level) in wanted.items():
        request_id = uuid4().hex
        service.client.get(path, headers={"X-Request-ID": request_id}, params={"q": "secret"})
        [line] = wait_for(lambda: [line for line in service.logs() if line.get("request_id") == request_id])  # noqa: B023
        assert (line["method"], line["route"], line["path"]) == ("GET", route, path)
        assert (line["status"], line["level"]) == (status, level)
        assert 0 < line["duration"] < 10
        assert line["message"]
        when = datetime.fromisoformat(line["time"])
        assert abs(datetime.now(UTC) - when) < timedelta(minutes=1)


def test_every_line_has_time_level_and_message(service: Service) -> None:
    lines = wait_for(service.logs)
    assert lines
    for line in lines:
        assert datetime.fromisoformat(line["time"]).tzinfo is not None
        assert line["level"] in {"debug", "info", "warning", "error"}
        assert isinstance(line["message"], str)


def test_probes_are_not_logged_by_default(start: Start) -> None:
    service = start()
    service.client.get("/livez")
    service.client.get("/")
    paths = wait_for(lambda: [line["path"] for line in service.logs() if "path" in line])
    assert paths == ["/"]


def test_the_version_is_dev_by_default(start: Start) -> None:
    assert start().client.get("/").json()["version"] == "dev"


# Items


@with_database
def test_a_created_item_can_be_fetched(client: httpx.Client) -> None:
    for name in ("x", "  Zoë's\n🎈 ", "🎈" * 200, '"; DROP TABLE items; --', "\ufeff", "</script>&\u2028\x7f\x01"):
        created = client.post("/items", json={"name": name})
        assert created.status_code == 201
        assert created.headers["Content-Type"] == "application/json"
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
def test_a_deleted_item_is_gone(client: httpx.Client) -> None:
    path = f"/items/{create(client)['id']}"
    deleted = client.delete(path)
    assert deleted.status_code == 204
    assert deleted.content == b""
    for method in ("GET", "DELETE"):
        assert assert_problem(client.request(method, path), 404)["detail"] == "There is no such item."


@with_database
@pytest.mark.parametrize("item_id", ["0", "-1", "x", "1.5", "1e3", str(LARGEST_ID), str(LARGEST_ID + 1), "9" * 400])
def test_what_is_no_id_is_not_found(client: httpx.Client, item_id: str) -> None:
    assert_problem(client.get(f"/items/{item_id}"), 404)
    assert_problem(client.delete(f"/items/{item_id}"), 404)


@with_database
def test_items_come_in_pages(client: httpx.Client) -> None:
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


@with_database
@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("limit", value) for value in ("0", "101", "-1", "x", "", "1.5", "1e1", str(2**64))),
        *(("after", value) for value in ("0", "-1", "x", "", "1.5", str(LARGEST_ID + 1), "9" * 400)),
    ],
)
def test_a_bad_page_is_refused(client: httpx.Client, parameter: str, value: str) -> None:
    assert locations(client.get("/items", params={parameter: value})) == [f"query.{parameter}"]


@with_database
@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({}, "body.name"),
        ({"name": ""}, "body.name"),
        ({"name": " \t\r\n"}, "body.name"),
        ({"name": "\u00a0\u2003\u3000\u0085"}, "body.name"),
        ({"name": "x" * 201}, "body.name"),
        ({"name": "a\0b"}, "body.name"),
        ({"name": 1}, "body.name"),
        ({"name": None}, "body.name"),
        ({"name": ["x"]}, "body.name"),
        ({"name": "x", "extra": 1}, "body.extra"),
        ({"name": "x", "id": 1}, "body.id"),
        ({"name": "x", "NAME": "x"}, "body.NAME"),
        ({"name": "x", "__proto__": {}}, "body.__proto__"),
        ([], "body"),
        ("x", "body"),
        (None, "body"),
    ],
)
def test_a_bad_item_is_refused(client: httpx.Client, body: object, location: str) -> None:
    response = client.post("/items", content=json.dumps(body), headers=JSON)
    assert locations(response) == [location]


@with_database
def test_everything_that_is_wrong_is_told_at_once(client: httpx.Client) -> None:
    response = client.post("/items", json={"name": " ", "extra": 1, "more": 2})
    assert sorted(locations(response)) == ["body.extra", "body.more", "body.name"]
    response = client.post("/items", json={"title": "x"})
    assert sorted(locations(response)) == ["body.name", "body.title"]
    response = client.get("/items?limit=x&after=0&unknown=1")
    assert sorted(locations(response)) == ["query.after", "query.limit"]


@with_database
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{'name': 'x'}", b'{"name": "\xff"}', b"\xef\xbb", b'{"name": "x"} x', b"[" * 60_000, b"1" * 60_000],
    ids=["empty", "cut", "quotes", "latin-1", "half-bom", "rest", "deep", "long"],
)
def test_a_body_that_is_not_json_is_refused(client: httpx.Client, body: bytes) -> None:
    assert locations(client.post("/items", content=body, headers=JSON)) == ["body"]


@with_database
def test_half_a_surrogate_is_refused(client: httpx.Client) -> None:
    assert locations(client.post("/items", content=rb'{"name": "\ud800"}', headers=JSON))


@with_database
def test_only_json_is_taken(client: httpx.Client) -> None:
    body = b'{"name": "x"}'
    for content_type in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
        assert client.post("/items", content=body, headers={"Content-Type": content_type}).status_code == 201
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/ld+json"):
        assert_problem(client.post("/items", content=body, headers={"Content-Type": content_type}), 415)
    assert_problem(client.post("/items", content=body), 415)
    assert_problem(client.post("/items", content=b"{", headers={"Content-Type": "text/plain"}), 415)


@with_database
def test_a_body_may_have_64_kib(client: httpx.Client) -> None:
    body = b'{"name": "x"}'.ljust(64 * KIBIBYTE)
    assert client.post("/items", content=body, headers=JSON).status_code == 201
    assert_problem(client.post("/items", content=body + b" ", headers=JSON), 413)
    assert_problem(client.post("/items", content=body * 20, headers=JSON), 413)


@with_database
def test_a_body_of_unknown_length_has_the_same_limit(client: httpx.Client) -> None:
    body = b'{"name": "x"}'.ljust(64 * KIBIBYTE)
    assert client.post("/items", content=chunks(body), headers=JSON).status_code == 201
    assert_problem(client.post("/items", content=chunks(body + b" "), headers=JSON), 413)


def chunks(body: bytes) -> Iterator[bytes]:
    """Cut a body, so that the client does not announce its length."""
    for start in range(0, len(body), KIBIBYTE):
        yield body[start : start + KIBIBYTE]


@with_database
def test_a_client_that_asks_first_is_not_told_to_continue(service: Service) -> None:
    head = f"POST /items HTTP/1.1\r\nHost: x\r\n{JSON_HEADERS}Content-Length: 70000\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@with_database
def test_the_methods_of_a_path_are_all_allowed(client: httpx.Client) -> None:
    items, item = client.put("/items"), client.put("/items/1")
    assert_problem(items, 405)
    assert_problem(item, 405)
    assert items.headers["Allow"] == "GET, HEAD, POST"
    assert item.headers["Allow"] == "DELETE, GET, HEAD"


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
def test_without_a_database_there_are_no_items(client: httpx.Client) -> None:
    assert_problem(client.get("/items"), 404)
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


# A database in trouble


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """Take the server away."""
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def hanging(server: Server) -> Iterator[None]:
    """Let the server keep its connections and answer nothing."""
    server.pause()
    try:
        yield
    finally:
        server.resume()


@with_database
@pytest.mark.parametrize("trouble", [stopped, hanging])
def test_readiness_follows_the_database_and_recovers(start: Start, server: Server, trouble: Any) -> None:
    service = start()
    service.wait_until_ready()
    create(service.client)
    with trouble(server):
        for _ in range(3):
            began = time.monotonic()
            assert_problem(service.client.get("/readyz"), 503)
            assert time.monotonic() - began < 2
            assert service.client.get("/livez").status_code == 200
        assert_problem(service.client.get("/items"), 503)
    service.wait_until_ready()
    # The first may still meet connections that broke.
    for _ in range(10):
        if service.client.get("/items").status_code == 200:
            break
    create(service.client)
    assert {line["level"] for line in service.logs() if line.get("status") == 503} == {"error"}


@with_database
def test_readiness_is_quick_when_the_pool_is_exhausted(start: Start, server: Server) -> None:
    service = start()
    service.wait_until_ready()
    with ThreadPoolExecutor(40) as pool:
        with hanging(server):
            requests = [pool.submit(httpx.get, f"{service.client.base_url}/items", timeout=60) for _ in range(40)]
            time.sleep(1)
            for _ in range(3):
                began = time.monotonic()
                assert_problem(service.client.get("/readyz"), 503)
                assert time.monotonic() - began < 2
        assert {request.result().status_code for request in requests} <= {200, 503}
    service.wait_until_ready()
    create(service.client)


@with_database
def test_the_service_starts_before_its_database(start: Start, server: Server) -> None:
    with stopped(server):
        service = start()
        assert_problem(service.client.get("/readyz"), 503)
    service.wait_until_ready()
    create(service.client)


@with_database
@pytest.mark.parametrize("tls", ["verify", "require"])
def test_a_server_without_tls_is_refused(start: Start, server: Server, tls: str) -> None:
    with without_tls(server):
        service = start(DATABASE_TLS=tls, **server.tls_address("localhost"))
        assert_problem(service.client.get("/readyz"), 503)
        assert_problem(service.client.get("/items"), 503)


@contextmanager
def without_tls(server: Server) -> Iterator[None]:
    """Let the server offer no encryption."""
    server.stop()
    server.tls = False
    server.start()
    try:
        yield
    finally:
        server.stop()
        server.tls = True
        server.start()


@with_database
@pytest.mark.parametrize(
    ("tls", "host", "trusted", "status"),
    [
        ("verify", "localhost", True, 200),
        ("verify", "localhost", False, 503),
        ("verify", "127.0.0.1", True, 503),
        ("require", "localhost", False, 200),
        ("require", "127.0.0.1", False, 200),
    ],
)
def test_tls(start: Start, server: Server, tls: str, host: str, *, trusted: bool, status: int) -> None:
    settings = {"SSL_CERT_FILE": str(server.certificate)} if trusted else {}
    service = start(DATABASE_TLS=tls, **server.tls_address(host), **settings)
    service.wait_until_ready(status)
    assert service.client.get("/items").status_code == status


# Stopping


JSON_HEADERS = "Content-Type: application/json\r\n"


class HalfSent:
    """A request under way: its body is half sent."""

    BODY = b'{"name": "half"}'

    def __init__(self, service: Service) -> None:
        self.connection = socket.create_connection(("127.0.0.1", service.port), timeout=30)
        head = f"POST /items HTTP/1.1\r\nHost: x\r\n{JSON_HEADERS}Content-Length: {len(self.BODY)}\r\n\r\n"
        self.connection.sendall(head.encode() + self.BODY[:8])

    def finish(self) -> int:
        """Send the rest and return the status of the answer."""
        with self.connection:
            self.connection.sendall(self.BODY[8:])
            answer = b"".join(iter(lambda: self.connection.recv(4096), b""))
        assert answer.rstrip().endswith(b"}")
        return int(answer.split()[1])


def refuses(service: Service) -> bool:
    """Tell whether a new connection is refused; one may be set up in the moment in which nobody listens any more."""
    try:
        with suppress(ConnectionResetError):
            socket.create_connection(("127.0.0.1", service.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_service_although_clients_stay_connected(start: Start, number: signal.Signals) -> None:
    service = start()
    service.client.get("/")
    with socket.create_connection(("127.0.0.1", service.port)), socket.create_connection(("127.0.0.1", service.port)):
        service.process.send_signal(number)
        assert service.wait(timeout=WITHOUT_DRAINING) == 0


def test_connections_of_the_last_moment_do_not_delay_the_end(start: Start) -> None:
    service = start()
    connections: list[socket.socket] = []
    service.terminate()
    with suppress(OSError):
        while True:
            connections.append(socket.create_connection(("127.0.0.1", service.port), timeout=5))
    assert service.wait(timeout=WITHOUT_DRAINING) == 0
    for connection in connections:
        connection.close()


@with_database
def test_running_requests_finish(start: Start) -> None:
    service = start()
    service.wait_until_ready()
    requests = [HalfSent(service) for _ in range(20)]
    time.sleep(0.5)
    service.terminate()
    wait_for(lambda: refuses(service))
    time.sleep(3)
    assert service.metrics()
    assert [request.finish() for request in requests] == [201] * len(requests)
    assert service.wait() == 0


@with_database
def test_the_database_closes_after_the_last_request(start: Start, server: Server) -> None:
    service = start()
    service.wait_until_ready()
    with ThreadPoolExecutor(8) as pool:
        with hanging(server):
            requests = [pool.submit(httpx.get, f"{service.client.base_url}/items", timeout=60) for _ in range(8)]
            time.sleep(1)
            service.terminate()
            wait_for(lambda: refuses(service))
        assert [request.result().status_code for request in requests] == [200] * len(requests)
    assert service.wait() == 0


@with_database
def test_no_answer_is_lost_or_cut_when_the_service_stops_under_load(start: Start) -> None:
    service = start()
    service.wait_until_ready()
    created: list[int] = []

    def work() -> str:
        """Create items until there is nobody to do so, and return how that showed."""
        with httpx.Client(base_url=service.client.base_url, timeout=30, trust_env=False) as client:
            try:
                while True:
                    created.append(create(client)["id"])
            except httpx.TransportError as error:
                return repr(error)

    with ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(work) for _ in range(8)]
        time.sleep(2)
        service.terminate()
        ends = [worker.result() for worker in workers]
    # An idle connection may close at any time: that is no answer at all, but half of one is.
    assert [end for end in ends if "peer closed connection" in end] == []
    assert service.wait() == 0
    assert created
    stored = start().client
    assert all(stored.get(f"/items/{item_id}").status_code == 200 for item_id in created[-50:])
    assert not [line for line in service.logs() if line["level"] in {"warning", "error"}]


@one_variant
def test_a_request_that_does_not_end_has_20_seconds(start: Start) -> None:
    service = start()
    service.wait_until_ready()
    request = HalfSent(service)
    time.sleep(0.5)
    began = time.monotonic()
    service.terminate()
    assert service.wait(timeout=TIMEOUT) == 0
    assert time.monotonic() - began > 18
    request.connection.close()


@with_database
def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    service = start()
    request = HalfSent(service)
    time.sleep(0.5)
    service.terminate()
    wait_for(lambda: refuses(service))
    assert service.process.poll() is None
    service.terminate()
    assert service.wait(timeout=WITHOUT_DRAINING) == 1
    request.connection.close()


# The program


def problems(project: Project, command: str, environment: dict[str, str]) -> dict[str, str]:
    """Return the variables that the program complains of, and how."""
    status, output, errors = project.run(command, environment=environment)
    assert (status, output) == (2, "")
    lines = dict(line.split(": ", 1) for line in errors.splitlines())
    assert all(lines.values())
    return lines


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_wrong_settings_are_told_all_at_once(project: Project, environment: dict[str, str], command: str) -> None:
    told = problems(project, command, environment | {"PORT": "80", "METRICS_PORT": "x", "LOG_LEVEL": "loud"})
    assert told.keys() == {"PORT", "METRICS_PORT", "LOG_LEVEL"}
    assert told["PORT"] == "must be a number from 1024 to 65535"
    assert all(level in told["LOG_LEVEL"] for level in ("debug", "info", "warning", "error"))


def test_the_ports_differ(project: Project, environment: dict[str, str]) -> None:
    assert problems(project, "serve", environment | {"PORT": "9999", "METRICS_PORT": "9999"}).keys() == {"METRICS_PORT"}


@with_database
def test_missing_settings_are_told_all_at_once(project: Project) -> None:
    expected = {"DATABASE_HOST", "DATABASE_NAME", "DATABASE_PASSWORD_FILE"}
    if project.database in SQL:
        expected.add("DATABASE_USER")
    assert problems(project, "serve", {}).keys() == expected


@with_database
def test_wrong_database_settings_are_told(project: Project, environment: dict[str, str], tmp_path: Path) -> None:
    wrong = {"DATABASE_PORT": "0", "DATABASE_TLS": "maybe", "DATABASE_PASSWORD_FILE": str(tmp_path / "nothing")}
    assert problems(project, "serve", environment | wrong).keys() == wrong.keys()


def test_an_unknown_command_is_refused(project: Project, environment: dict[str, str]) -> None:
    status, _, errors = project.run("dance", environment=environment)
    assert status == 2
    assert "dance" in errors


def test_the_health_check_follows_readiness(start: Start, project: Project, server: Server | None) -> None:
    service = start()
    service.wait_until_ready()
    assert project.run("healthcheck", environment=service.environment)[0] == 0
    if server is not None:
        with stopped(server):
            assert project.run("healthcheck", environment=service.environment)[0] == 1
    service.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    assert project.run("healthcheck", environment=service.environment)[0] == 1
    assert time.monotonic() - began < 6
    service.process.send_signal(signal.SIGCONT)


def test_the_health_check_fails_when_nothing_listens(project: Project, environment: dict[str, str]) -> None:
    assert project.run("healthcheck", environment=environment | {"PORT": str(free_port())})[0] == 1


# Migrations


@with_sql
def test_any_number_may_migrate_at_once(
    start: Start, project: Project, server: Server, environment: dict[str, str]
) -> None:
    began = time.monotonic()
    assert project.run("migrate", environment=environment)[0] == 0
    alone = time.monotonic() - began

    server.create_database("crowd")
    environment = server.environment("crowd")
    with ThreadPoolExecutor(5) as pool:
        # Until all of them that take no lock have looked at the schema and try to change it.
        with server.frozen_schema("crowd"):
            migrations = [pool.submit(project.run, "migrate", environment=environment) for _ in range(5)]
            time.sleep(6 * alone)
        results = [migration.result() for migration in migrations]
    assert [status for status, _, _ in results] == [0] * 5, results
    service = start(DATABASE_NAME="crowd")
    assert service.client.get("/items").json() == {"items": [], "next": None}
    create(service.client)
    assert project.run("migrate", environment=environment)[0] == 0
    assert len(service.client.get("/items").json()["items"]) == 1


@with_sql
def test_serving_never_migrates(start: Start, server: Server) -> None:
    server.create_database("untouched")
    service = start(DATABASE_NAME="untouched")
    service.wait_until_ready()
    assert service.client.get("/items").status_code == 500
    assert_problem(service.client.get("/items"), 500)


@with_sql
def test_migrations_wait_for_the_database(project: Project, server: Server, environment: dict[str, str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        with stopped(server):
            migration = pool.submit(project.run, "migrate", environment=environment)
            time.sleep(4)
            assert not migration.done()
        status, output, errors = migration.result()
    assert status == 0, output + errors


@one_variant
def test_migrations_do_not_wait_forever(project: Project, server: Server, environment: dict[str, str]) -> None:
    with stopped(server):
        began = time.monotonic()
        status, output, _ = project.run("migrate", environment=environment)
    assert status == 1
    assert time.monotonic() - began > 55
    assert all(json.loads(line)["message"] for line in output.splitlines())


@without_sql
def test_there_is_nothing_to_migrate(project: Project, environment: dict[str, str]) -> None:
    status, output, errors = project.run("migrate", environment=environment)
    assert (status, errors) == (0, "")
    assert "nothing" in json.loads(output)["message"]
