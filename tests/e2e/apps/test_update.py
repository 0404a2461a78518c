"""A project of 0.2.0 with a second resource works after an update and the commands of CHANGELOG.md."""

import copy
import shutil
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.e2e.apps.client import JSON, assert_problem, locations, send
from tests.e2e.apps.markers import with_postgres
from tests.e2e.apps.project import Project, Service
from tests.e2e.apps.servers import Server
from tests.e2e.updates.project import History, start, update
from tests.e2e.updates.second_resource import VERSION, add_orders, commands
from tests.harness import Template


# In Go the commands end with `make format`, which may build the linter: longer than the time limit of a test.
@pytest.mark.languages("python", "typescript")
@with_postgres
def test_resource_of_an_earlier_version_is_served(
    project: Project, server: Server, working_tree: Path, tmp_path: Path
) -> None:
    history = History(tmp_path, Template(working_tree))
    updated = copy.copy(project)
    updated.path = tmp_path / "shop"
    start(history.repository, updated.path, {"project_name": "Shop", "language": project.language}, VERSION)
    add_orders(updated.path, project.language)
    update(updated.path, {})
    updated.shell(commands(project.language), project.toolchain)
    updated.make("build")
    updated.make("lint")

    server.create_database("updated")
    environment = server.environment("updated")
    status, output, errors = updated.run("migrate", environment=environment)
    assert status == 0, output + errors
    with Service(updated, tmp_path / "log", **environment) as service:
        service.wait_until_ready()
        OpenAPIV31SpecValidator(service.client.get("/openapi.json").json()).validate()
        created = service.client.post("/orders", json={"name": "Updated"})
        assert created.status_code == 201, created.text
        order, url = created.json(), created.headers["Location"]
        assert url == f"/orders/{order['id']}"
        assert service.client.get("/orders").json()["orders"] == [order]
        assert service.client.get(url).json() == order
        assert service.client.delete(url).status_code == 204
        assert_problem(service.client.get(url), 404)
        assert locations(service.client.post("/orders", json={"name": ""})) == ["body.name"]
        assert locations(service.client.get("/orders?limit=0")) == ["query.limit"]
        assert_problem(send(service, "POST", "/orders", [("Content-Type", "text/plain")], b"{}"), 415)
        assert locations(send(service, "POST", "/orders", JSON.items(), b"{")) == ["body"]
        assert service.client.post("/items", json={"name": "Ours"}).status_code == 201
    shutil.rmtree(updated.path)
