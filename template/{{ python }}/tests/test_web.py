import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from app import NAME
from app.settings import Settings


async def test_the_root_tells_name_and_version(client: AsyncClient, settings: Settings) -> None:
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
        "detail": "There is nothing at this path.",
    }


async def test_a_wrong_method_is_answered_with_the_right_ones(client: AsyncClient) -> None:
    response = await client.post("/livez")
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"
    assert response.json()["title"] == "Method Not Allowed"


async def test_head_is_answered_like_get(client: AsyncClient) -> None:
    got, head = await client.get("/"), await client.head("/")
    assert head.status_code == 200
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


async def test_a_failure_tells_nothing_of_the_inside(app: FastAPI, client: AsyncClient) -> None:
    @app.get("/failure")
    async def failure() -> None:
        raise RuntimeError("the inside")

    response = await client.get("/failure")
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "X-Request-ID" in response.headers
    assert "the inside" not in response.text


async def test_a_request_keeps_a_good_id(client: AsyncClient) -> None:
    response = await client.get("/", headers={"X-Request-ID": "one.2_three-4"})
    assert response.headers["X-Request-ID"] == "one.2_three-4"


@pytest.mark.parametrize("bad", ["", "a b", "a/b", "x" * 129])
async def test_a_bad_request_id_is_replaced(client: AsyncClient, bad: str) -> None:
    response = await client.get("/", headers={"X-Request-ID": bad})
    assert response.headers["X-Request-ID"] not in {"", bad}


async def test_the_api_is_documented(client: AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["info"]["title"] == NAME
    assert "application/problem+json" in document["paths"]["/readyz"]["get"]["responses"]["default"]["content"]
