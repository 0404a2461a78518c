"""The OpenAPI document: valid, and complete enough for a generated client."""

from typing import Any

import httpx
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.e2e.apps.client import media_type
from tests.e2e.apps.markers import with_database, with_postgres

OPERATIONS = {
    ("/", "get"): {"200"},
    ("/items", "get"): {"200", "422"},
    ("/items", "post"): {"201", "422"},
    ("/items/{id}", "get"): {"200", "404"},
    ("/items/{id}", "delete"): {"204", "404"},
}
METHODS = {"get", "post", "put", "patch", "delete", "head", "options", "trace"}


@with_database
def test_document_is_valid_openapi(client: httpx.Client) -> None:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert media_type(response) in {"application/json", "application/openapi+json"}
    document = response.json()
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"] == "shop"
    assert document["info"]["version"] == "1.2.3-test"
    OpenAPIV31SpecValidator(document).validate()


@with_postgres
def test_every_operation_and_status_is_listed(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    found = {
        (path.replace("{item_id}", "{id}"), method): set(operation["responses"])
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }
    for operation, statuses in OPERATIONS.items():
        listed = found[operation]
        assert all(status in listed or "default" in listed or f"{status[0]}XX" in listed for status in statuses)


@with_postgres
def test_schemas_describe_the_items(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    item = document["paths"]["/items"]["post"]
    created = resolve(document, item["responses"]["201"])
    schema = resolve(document, resolve(document, created)["content"]["application/json"]["schema"])
    assert schema["properties"].keys() == {"id", "name", "created_at"}
    assert set(schema["required"]) == {"id", "name", "created_at"}

    body = resolve(document, item["requestBody"])
    new = resolve(document, body["content"]["application/json"]["schema"])
    name = resolve(document, new["properties"]["name"])
    assert set(new["required"]) == {"name"}
    assert new["additionalProperties"] is False
    assert (name["type"], name["minLength"], name["maxLength"]) == ("string", 1, 200)

    page = document["paths"]["/items"]["get"]
    assert {resolve(document, parameter)["name"] for parameter in page["parameters"]} == {"limit", "after"}
    problems = [
        content
        for path in document["paths"].values()
        for method, operation in path.items()
        if method in METHODS
        for status, response in operation["responses"].items()
        if not status.startswith("2")
        for content in resolve(document, response)["content"]
    ]
    assert set(problems) == {"application/problem+json"}


def resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference."""
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node
