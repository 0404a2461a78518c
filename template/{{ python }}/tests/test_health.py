from fastapi import FastAPI
from httpx import AsyncClient


async def test_the_process_is_alive(client: AsyncClient) -> None:
    response = await client.get("/livez")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


async def test_the_service_is_ready(client: AsyncClient) -> None:
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


async def test_a_stopping_service_is_alive_but_not_ready(app: FastAPI, client: AsyncClient) -> None:
    app.state.stopping = True
    assert (await client.get("/livez")).status_code == 200
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["detail"] == "The service is stopping."
