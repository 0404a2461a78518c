"""A second resource in each language, added as in DEVELOPMENT.md: `second_resource/` has the team's code."""

import copy
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.e2e.apps.client import JSON, KIBIBYTE, assert_problem, locations, send
from tests.e2e.apps.markers import with_postgres
from tests.e2e.apps.project import Project, Service
from tests.e2e.apps.servers import Server
from tests.e2e.apps.test_metrics import COUNT, sample
from tests.e2e.apps.test_project import PASSED, TOOLS
from tests.e2e.commands import TIMEOUT, wait_for
from tests.toolchains import tool

pytestmark = with_postgres

FIXTURES = Path(__file__).parent / "second_resource"

DEPENDENCY = {
    "python": "make lock PYTHON={python} && make build PYTHON={python}",
    "typescript": "npm install --save-exact --no-audit --no-fund uuid@14.0.3",
    "go": "go get golang.org/x/text/unicode/norm && go mod tidy",
}
"""What locks the dependency of the resource."""

MIGRATION = {
    "python": ".venv/bin/python -m app migrate && .venv/bin/alembic revision --autogenerate -m 'create orders'",
}
"""What writes the migration, where it is not written by hand."""

ORDER = {"customer": "Zoë", "email": "zoe@gmail.com"}
UNKNOWN = "0198c1a0-7b1e-7c3a-9f00-2b6f0d1e4a5c"


@pytest.fixture(scope="module")
def second(
    project: Project, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Project, dict[str, str]]]:
    """A project with the resource, and the settings of its database."""
    second = copy.copy(project)
    second.path = tmp_path_factory.mktemp("second") / "shop"
    shutil.copytree(project.path, second.path, ignore=shutil.ignore_patterns(*TOOLS))
    fixtures = FIXTURES / project.language
    shutil.copytree(fixtures, second.path, dirs_exist_ok=True)
    second.shell("git apply -C1 edits.patch && rm edits.patch")
    second.shell(DEPENDENCY[project.language].format(python=second.toolchain["PYTHON"]))
    server.create_database("second_test")
    environment = server.environment("second_test")
    if project.language in MIGRATION:
        second.shell(MIGRATION[project.language], environment)
    second.make("build")
    yield second, environment
    shutil.rmtree(second.path)


@pytest.fixture(scope="module")
def orders(second: tuple[Project, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with the resource."""
    project, environment = second
    status, output, errors = project.run("migrate", environment=environment)
    assert status == 0, output + errors
    with Service(project, tmp_path_factory.mktemp("orders") / "log", **environment) as service:
        service.wait_until_ready()
        yield service


def create(service: Service, **fields: object) -> dict[str, Any]:
    response = service.client.post("/orders", json=ORDER | fields)
    assert response.status_code == 201, response.text
    order: dict[str, Any] = response.json()
    assert response.headers["Location"] == f"/orders/{order['id']}"
    return order


def test_lint_and_tests_pass(second: tuple[Project, dict[str, str]]) -> None:
    """The database is migrated, so no test of an older resource can expect the schema of its own migration."""
    project, environment = second
    project.make("lint")
    status, output, errors = project.run("migrate", environment=environment)
    assert status == 0, output + errors
    output = project.make("test", environment)
    assert re.search(PASSED[project.language], output, re.MULTILINE), output


def test_order_is_created_fetched_and_deleted(orders: Service) -> None:
    order = create(orders, gift=True)
    assert order | ORDER | {"status": "new", "gift": True} == order
    url = f"/orders/{UUID(order['id'])}"
    assert orders.client.get(url).json() == order
    assert orders.client.delete(url).status_code == 204
    for method in ("GET", "DELETE"):
        assert_problem(orders.client.request(method, url), 404)


def test_orders_are_filtered(orders: Service) -> None:
    for status in ("new", "paid", "shipped"):
        create(orders, customer="Filter", status=status)

    def found(query: str) -> list[str]:
        response = send(orders, "GET", f"/orders?customer=Filter&{query}")
        return [order["status"] for order in response.json()["orders"]]

    assert found("") == ["new", "paid", "shipped"]
    assert found("sort=newest") == ["shipped", "paid", "new"]
    assert found("status=paid&status=shipped&gift=false") == ["paid", "shipped"]
    assert found("status=paid") == ["paid"]
    assert found("gift=true") == []


QUERIES = {
    "status=lost": "query.status",
    "status=paid&status=lost": "query.status",
    "status=": "query.status",
    "gift=maybe": "query.gift",
    "sort=up": "query.sort",
    "sort=": "query.sort",
    "customer=": "query.customer",
    "customer=%00": "query.customer",
    "customer=a%00b": "query.customer",
    f"customer={'x' * 101}": "query.customer",
}


@pytest.mark.parametrize(("query", "location"), QUERIES.items(), ids=QUERIES)
def test_invalid_query_is_422(orders: Service, query: str, location: str) -> None:
    [found] = locations(send(orders, "GET", f"/orders?{query}"))
    # An element has its index in some frameworks.
    assert found.startswith(location)


@pytest.mark.parametrize("query", ["customer=%ff", "customer=%ED%A0%80", "customer=%zz", "customer=a&customer=b"])
def test_ambiguous_query_is_200_or_refused(orders: Service, query: str) -> None:
    assert send(orders, "GET", f"/orders?{query}").status_code in {200, 422}


BODIES: dict[str, tuple[Any, set[str]]] = {
    "empty": ({}, {"body.customer", "body.email"}),
    "customer too long": ({"customer": "x" * 101}, {"body.customer"}),
    "customer with NUL": ({"customer": "a\0b"}, {"body.customer"}),
    "customer a number": ({"customer": 1}, {"body.customer"}),
    "no e-mail address": ({"email": "zoe"}, {"body.email"}),
    "e-mail address with NUL": ({"email": "zoe\0@gmail.com"}, {"body.email"}),
    "e-mail address too long": ({"email": f"zoe@{'x.' * 150}com"}, {"body.email"}),
    "unknown status": ({"status": "lost"}, {"body.status"}),
    "status null": ({"status": None}, {"body.status"}),
    "gift an object": ({"gift": {}}, {"body.gift"}),
    "unknown member": ({"id": UNKNOWN}, {"body.id"}),
}


@pytest.mark.parametrize(("fields", "wrong"), BODIES.values(), ids=BODIES)
def test_invalid_body_is_422(orders: Service, fields: dict[str, Any], wrong: set[str]) -> None:
    body = ORDER | fields if fields else fields
    assert set(locations(orders.client.post("/orders", json=body))) == wrong


IDS = ["1", "first", UNKNOWN[:-1], f"{UNKNOWN}0", UNKNOWN.replace("a", "g"), f"{UNKNOWN}%00", "%ff", "x" * 4000]


@pytest.mark.parametrize("value", [*IDS, UNKNOWN])
def test_invalid_or_unknown_id_is_404(orders: Service, value: str) -> None:
    for method in ("GET", "DELETE"):
        assert_problem(send(orders, method, f"/orders/{value}"), 404)


@pytest.mark.parametrize("spelling", ["urn:uuid:{}", "{{{}}}", "%7B{}%7D"])
def test_other_spelling_of_an_id_is_no_error(orders: Service, spelling: str) -> None:
    order = create(orders)
    for value in (order["id"], order["id"].upper(), order["id"].replace("-", "")):
        response = send(orders, "GET", f"/orders/{spelling.format(value)}")
        if response.status_code != 200:
            assert_problem(response, 404)


def test_rules_of_every_route_apply(orders: Service) -> None:
    body = b'{"customer": "x", "email": "zoe@gmail.com"}'.ljust(64 * KIBIBYTE)
    assert send(orders, "POST", "/orders", JSON.items(), body).status_code == 201
    assert_problem(send(orders, "POST", "/orders", JSON.items(), body + b" "), 413)
    assert_problem(send(orders, "POST", "/orders", [("Content-Type", "text/plain")], body), 415)
    assert locations(send(orders, "POST", "/orders", JSON.items(), b"{")) == ["body"]
    assert locations(send(orders, "POST", "/orders", JSON.items(), b"\xff")) == ["body"]
    response = send(orders, "PUT", "/orders")
    assert_problem(response, 405)
    assert {method.strip() for method in response.headers["Allow"].split(",")} == {"GET", "HEAD", "POST"}


def test_openapi_document_has_the_resource(orders: Service) -> None:
    document = orders.client.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    paths = {re.sub(r"\{\w+\}", "{id}", path): set(item) - {"parameters"} for path, item in document["paths"].items()}
    assert paths["/orders"] == {"get", "post"}
    assert paths["/orders/{id}"] == {"get", "delete"}


def test_requests_are_measured_by_route(orders: Service) -> None:
    orders.client.get(f"/orders/{UNKNOWN}")
    wait_for(lambda: sample(orders.metrics(), COUNT, "GET", "/orders/{id}", 404) > 0)


def test_generated_requests_find_no_error(orders: Service, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            tool("schemathesis"),
            "run",
            f"http://127.0.0.1:{orders.port}/openapi.json",
            "--include-path-regex=^/orders",
            "--checks=not_a_server_error",
            "--phases=coverage,fuzzing",
            "--max-examples=30",
            "--seed=1",
            "--no-color",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert not [line for line in orders.logs() if line.get("status") == 500]
