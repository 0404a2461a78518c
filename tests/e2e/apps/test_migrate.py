"""Migrations: one at a time, whoever starts them, and never by the service."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.e2e.apps.client import assert_problem, create
from tests.e2e.apps.conftest import Start
from tests.e2e.apps.markers import with_mysql, with_postgres, with_sql, without_sql
from tests.e2e.apps.project import Project
from tests.e2e.apps.proxy import Proxy
from tests.e2e.apps.servers import PgBouncer, Server
from tests.languages import LANGUAGES


@with_sql
def test_any_number_can_migrate_at_once(
    start: Start, project: Project, server: Server, environment: dict[str, str]
) -> None:
    began = time.monotonic()
    assert project.run("migrate", environment=environment)[0] == 0
    alone = time.monotonic() - began

    server.create_database("crowd")
    migrate_while_blocked(project, server.environment("crowd"), server.frozen_schema("crowd"), min(6 * alone, 60))
    service = start(DATABASE_NAME="crowd")
    assert service.client.get("/items").json() == {"items": [], "next": None}
    create(service.client)
    assert project.run("migrate", environment=server.environment("crowd"))[0] == 0
    assert len(service.client.get("/items").json()["items"]) == 1


@with_postgres
def test_any_number_can_migrate_through_a_transaction_pooler(project: Project, server: Server) -> None:
    server.create_database("pooled_crowd")
    with PgBouncer(server) as pooler:
        frozen = server.frozen_schema("pooled_crowd")
        migrate_while_blocked(project, pooler.environment("pooled_crowd"), frozen, 10)
        assert project.run("migrate", environment=pooler.environment("pooled_crowd"))[0] == 0
    assert server.query("pooled_crowd", "SELECT count(*) FROM items").strip() == "0"


CONCURRENT_INDEX = {
    "python": (
        "migrations/versions/0002_add_index.py",
        """from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index("items_name", "items", ["name"], postgresql_concurrently=True)
""",
    ),
    "typescript": ("migrations/0002.do.add-index.sql", "CREATE INDEX CONCURRENTLY items_name ON items (name);\n"),
    "go": (
        "migrations/0002_add_index.sql",
        "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY items_name ON items (name);\n",
    ),
}
"""A migration for each language. PostgreSQL then waits for every snapshot, those of processes that wait for the lock
included, and refuses a transaction around it."""


@with_postgres
def test_any_number_can_create_an_index_concurrently(project: Project, server: Server, tmp_path: Path) -> None:
    changed = project.copy_to(tmp_path / "project")
    path, text = CONCURRENT_INDEX[project.language]
    (changed.path / path).write_text(text, encoding="utf-8")
    changed.make("build")
    with PgBouncer(server) as pooler:
        for name, address in (("index", server), ("pooled_index", pooler)):
            server.create_database(name)
            assert project.run("migrate", environment=address.environment(name))[0] == 0
            locked = server.held_session(name, "BEGIN; LOCK TABLE items IN SHARE MODE")
            migrate_while_blocked(changed, address.environment(name), locked, 10)
            valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'items_name'::regclass"
            assert server.query(name, valid).strip() == "t"


def migrate_while_blocked(
    project: Project, environment: dict[str, str], blocked: AbstractContextManager[object], seconds: float
) -> None:
    """Start five migrations, which can change nothing for some seconds; all have to succeed."""
    with ThreadPoolExecutor(5) as pool:
        # Until each that takes no lock has read the schema and tries to change it.
        with blocked:
            migrations = [pool.submit(project.run, "migrate", environment=environment) for _ in range(5)]
            time.sleep(seconds)
        results = [migration.result() for migration in migrations]
    assert [status for status, _, _ in results] == [0] * 5, results


@with_sql
def test_schema_ahead_of_the_image_is_a_success_with_a_warning(project: Project, server: Server) -> None:
    server.create_database("ahead")
    environment = server.environment("ahead")
    assert project.run("migrate", environment=environment)[0] == 0
    server.query("ahead", LANGUAGES[project.language].ahead)
    status, output, errors = project.run("migrate", environment=environment)
    assert (status, errors) == (0, ""), output
    assert "warning" in {json.loads(line)["level"] for line in output.splitlines()}


@with_sql
def test_serve_never_migrates(start: Start, server: Server) -> None:
    server.create_database("untouched")
    service = start(DATABASE_NAME="untouched")
    service.wait_until_ready()
    assert_problem(service.client.get("/items"), 500)


@with_sql
def test_migrate_waits_for_the_database(project: Project, server: Server, environment: dict[str, str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        with server.stopped():
            migration = pool.submit(project.run, "migrate", environment=environment)
            time.sleep(4)
            assert not migration.done()
        status, output, errors = migration.result()
    assert status == 0, output + errors


@with_mysql
def test_migrate_waits_for_60_seconds_at_most(project: Project, server: Server, environment: dict[str, str]) -> None:
    with server.stopped():
        began = time.monotonic()
        status, output, _ = project.run("migrate", environment=environment)
    assert status == 1
    assert time.monotonic() - began > 55
    assert all(json.loads(line)["message"] for line in output.splitlines())
    server.assert_cause("address", output.splitlines()[-1])


@with_sql
@pytest.mark.parametrize("reason", ["password", "database", "encryption"])
def test_migrate_fails_at_once_when_the_server_refuses(
    project: Project, server: Server, environment: dict[str, str], reason: str
) -> None:
    with server.refusing(reason, "contract") as settings:
        variables = environment | settings
        with Proxy(int(variables["DATABASE_PORT"])) as proxy:
            status, output, _ = project.run("migrate", environment=variables | {"DATABASE_PORT": str(proxy.port)})
    # Some drivers try both families of addresses, or the older protocol.
    assert 1 <= proxy.accepted <= 3
    assert status == 1
    server.assert_cause(reason, output)


@without_sql
def test_there_is_nothing_to_migrate(project: Project, environment: dict[str, str]) -> None:
    status, output, errors = project.run("migrate", environment=environment)
    assert (status, errors) == (0, "")
    assert "nothing" in json.loads(output)["message"].lower()
