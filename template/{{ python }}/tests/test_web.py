import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from app import NAME
from app.settings import Settings


async def test_the_root_returns_name_and_version(client: AsyncClient, settings: Settings) -> None:
    response = await client.get("/")
    assert response.json() == {"name": NAME, "version": settings.service_version}


async def test_an_unknown_path_is_a_problem(client: AsyncClient) -> None:
    response = await client.get("/nowhere")
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Not found.",
    }


async def test_a_wrong_method_lists_the_allowed_ones(client: AsyncClient) -> None:
    response = await client.post("/livez")
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"
    assert response.json()["title"] == "Method Not Allowed"


async def test_head_has_the_headers_of_get(client: AsyncClient) -> None:
    got, head = await client.get("/"), await client.head("/")
    assert head.status_code == 200
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


async def test_an_error_does_not_expose_internals(app: FastAPI, client: AsyncClient) -> None:
    @app.get("/fail")
    async def fail() -> None:
        raise RuntimeError("internals")

    response = await client.get("/fail")
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "X-Request-ID" in response.headers
    assert "internals" not in response.text


async def test_a_valid_request_id_is_kept(client: AsyncClient) -> None:
    response = await client.get("/", headers={"X-Request-ID": "one.2_three-4"})
    assert response.headers["X-Request-ID"] == "one.2_three-4"


@pytest.mark.parametrize("invalid", ["", "a b", "a/b", "x" * 129])
async def test_an_invalid_request_id_is_replaced(client: AsyncClient, invalid: str) -> None:
    response = await client.get("/", headers={"X-Request-ID": invalid})
    assert response.headers["X-Request-ID"] not in {"", invalid}


async def test_the_api_is_documented(client: AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["info"]["title"] == NAME
    assert "application/problem+json" in document["paths"]["/"]["get"]["responses"]["default"]["content"]


async def test_the_body_limit_applies_to_every_route(client: AsyncClient) -> None:
    for path in ("/", "/livez"):
        response = await client.request("GET", path, content=b"x" * (64 * 1024 + 1))
        assert response.status_code == 413
        assert response.headers["Content-Type"] == "application/problem+json"
