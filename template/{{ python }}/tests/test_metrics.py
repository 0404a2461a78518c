from httpx import AsyncClient
from prometheus_client import REGISTRY


def count(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) or 0


async def test_requests_are_measured_by_method_route_and_status(client: AsyncClient) -> None:
    before = count("GET", "/livez", 200)
    await client.get("/livez")
    assert count("GET", "/livez", 200) == before + 1


async def test_clients_cannot_add_labels(client: AsyncClient) -> None:
    before = count("other", "unmatched", 404)
    await client.request("INVENTED", "/invented")
    assert count("other", "unmatched", 404) == before + 1
