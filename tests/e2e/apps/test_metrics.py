"""Metrics: what Prometheus reads."""

import re
import time
from uuid import uuid4

import httpx

from tests.e2e.apps.client import LARGEST_ID, send
from tests.e2e.apps.conftest import Start
from tests.e2e.apps.markers import without_database
from tests.e2e.apps.project import Project, Service
from tests.e2e.commands import wait_for

COUNT = "http_request_duration_seconds_count"
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other"}


def labels_of(text: str) -> dict[str, str]:
    """Read the labels of a sample."""
    return dict(re.findall(r'(\w+)="([^"]*)"', text))


def sample(metrics: str, name: str, method: str, route: str, status: int, **labels: str) -> float:
    """Return the value of a sample of ours, whose labels have any order."""
    wanted = {"method": method, "route": route, "status": str(status)} | labels
    for line in metrics.splitlines():
        match = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
        if match and match[1] == name and labels_of(match[2]) == wanted:
            return float(match[3])
    return 0


def test_requests_are_measured_by_method_route_and_status(service: Service, project: Project) -> None:
    expected = [("GET", path, 200) for path in ("/", "/livez", "/readyz")]
    expected += [("HEAD", "/", 200), ("GET", "unmatched", 404), ("POST", "/livez", 405)]
    if project.database != "none":
        expected += [("GET", "/items/{id}", 404), ("POST", "/items", 415)]
    metrics = service.metrics()
    before = {labels: sample(metrics, COUNT, *labels) for labels in expected}
    for method, route, _ in expected:
        service.client.request(method, route.replace("unmatched", "/nowhere").replace("{id}", str(LARGEST_ID)))

    def missing() -> set[tuple[str, str, int]]:
        """A request is measured after its response, so those of other tests can be among them."""
        metrics = service.metrics()
        return {labels for labels, number in before.items() if sample(metrics, COUNT, *labels) <= number}

    wait_for(lambda: not missing(), lambda: f"{missing()}")
    metrics = service.metrics()
    assert "# TYPE http_request_duration_seconds histogram" in metrics
    assert sample(metrics, "http_request_duration_seconds_bucket", "GET", "/livez", 200, le="+Inf") >= 1
    assert sample(metrics, "http_request_duration_seconds_sum", "GET", "/livez", 200) > 0


@without_database
def test_version_is_a_metric(service: Service) -> None:
    [line] = [line for line in service.metrics().splitlines() if line.startswith("service_info{")]
    labels, _, value = line.rpartition(" ")
    assert labels_of(labels)["version"] == "1.2.3-test"
    assert float(value) == 1


@without_database
def test_version_is_dev_by_default(start: Start) -> None:
    service = start()
    assert service.client.get("/").json()["version"] == "dev"
    assert 'version="dev"' in service.metrics()


@without_database
def test_runtime_is_measured(service: Service) -> None:
    families = set(re.findall(r"^# TYPE (\w+)", service.metrics(), re.MULTILINE))
    assert len(families - {"http_request_duration_seconds", "service_info"}) >= 3


@without_database
def test_metrics_are_read_by_get(service: Service) -> None:
    def get(path: str) -> httpx.Response:
        return send(service, "GET", path, port=service.metrics_port)

    response = get("/metrics")
    assert response.headers["Content-Type"].startswith(("text/plain", "application/openmetrics-text"))
    assert get("/metrics?x=1").status_code == 200
    assert get("/nowhere").status_code in {200, 404}
    assert send(service, "POST", "/metrics", body=b"x", port=service.metrics_port).status_code in {404, 405}


@without_database
def test_unknown_method_is_measured_as_other(service: Service) -> None:
    def others() -> float:
        samples = [line for line in service.metrics().splitlines() if line.startswith(COUNT)]
        return sum(float(line.rpartition(" ")[2]) for line in samples if labels_of(line)["method"] == "other")

    before = others()
    # A WebDAV method, known to every parser: some parsers reject unknown ones.
    assert send(service, "PROPFIND", "/").status_code in {404, 405, 501}
    wait_for(lambda: others() == before + 1)


@without_database
def test_clients_cannot_add_labels(service: Service) -> None:
    def invent() -> int:
        service.client.get(f"/nowhere/{uuid4()}")
        service.client.request(uuid4().hex.upper(), "/")
        send(service, "GET", f"/{uuid4()}", [("Host", uuid4().hex)])
        time.sleep(0.2)
        return len(service.metrics().splitlines())

    first = invent()
    assert [invent() for _ in range(3)] == [first] * 3
    labels = [labels_of(line) for line in service.metrics().splitlines() if line.startswith(COUNT)]
    assert {sample["method"] for sample in labels} <= METHODS
