from httpx import AsyncClient

from app.dependencies import State


async def test_liveness_is_ok(client: AsyncClient) -> None:
    response = await client.get("/livez")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


async def test_readiness_is_ok(client: AsyncClient) -> None:
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


async def test_a_stopping_service_is_alive_but_not_ready(state: State, client: AsyncClient) -> None:
    state.stopping = True
    assert (await client.get("/livez")).status_code == 200
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert response.json()["detail"] == "The service is stopping."
