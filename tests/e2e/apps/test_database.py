"""A database in trouble: unavailable, refusing, demoted, with another password or time zone."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.e2e.apps.client import assert_problem, create
from tests.e2e.apps.conftest import Start
from tests.e2e.apps.markers import with_database, with_postgres, with_redis, with_sql
from tests.e2e.apps.project import Project, Service
from tests.e2e.apps.proxy import Proxy
from tests.e2e.apps.servers import PgBouncer, Server, free_port
from tests.e2e.commands import wait_for

REASONS = ["address", "time", "password", "encryption", "certificate", "connections"]
RECOVERY = 30
"""Requests: more than the connections of a pool, each of which may have to be closed."""


def reads(service: Service, number: int) -> set[int]:
    """Return the statuses of requests at once."""
    with ThreadPoolExecutor(10) as pool:
        responses = pool.map(
            lambda _: httpx.get(f"{service.client.base_url}/items?limit=1", timeout=60, trust_env=False), range(number)
        )
        return {response.status_code for response in responses}


def has_two_addresses(host: str) -> bool:
    """Return whether a host has addresses of both IPv4 and IPv6."""
    with suppress(socket.gaierror):
        families = {family for family, *_ in socket.getaddrinfo(host, None)}
        return families == {socket.AF_INET, socket.AF_INET6}
    return False


def assert_not_ready_in_time(service: Service) -> None:
    """Readiness fails within its second, again and again, and the process stays alive."""
    for _ in range(3):
        began = time.monotonic()
        assert_problem(service.client.get("/readyz"), 503)
        assert time.monotonic() - began < 3
        assert service.client.get("/livez").status_code == 200


def recover(service: Service) -> list[int]:
    """Create items until five in a row succeed, and return the other statuses."""
    others: list[int] = []
    succeeded = 0
    for _ in range(RECOVERY):
        status = service.client.post("/items", json={"name": "recovered"}).status_code
        succeeded = succeeded + 1 if status == 201 else 0
        others += [status] if status != 201 else []
        if succeeded == 5:
            return others
        time.sleep(0.2)
    pytest.fail(f"no recovery after {others}")


@with_database
@pytest.mark.parametrize("trouble", ["address", "time"])
def test_readiness_follows_the_database_and_recovers(start: Start, server: Server, trouble: str) -> None:
    service = start()
    service.wait_until_ready()
    create(service.client)
    with server.refusing(trouble, "contract"):
        assert_not_ready_in_time(service)
        began = time.monotonic()
        assert_problem(service.client.get("/items"), 503)
        assert time.monotonic() - began < 20
    service.wait_until_ready()
    assert set(recover(service)) <= {503}
    assert {line["level"] for line in service.logs() if line.get("status") == 503} == {"error"}


@with_database
def test_readiness_is_quick_when_the_pool_is_exhausted(start: Start, server: Server) -> None:
    service = start()
    service.wait_until_ready()
    with ThreadPoolExecutor(40) as pool:
        with server.hanging():
            requests = [pool.submit(httpx.get, f"{service.client.base_url}/items", timeout=60) for _ in range(40)]
            time.sleep(1)
            assert_not_ready_in_time(service)
        assert {request.result().status_code for request in requests} <= {200, 503}
    service.wait_until_ready()
    create(service.client)


@with_postgres
def test_busy_pool_does_not_fail_readiness(start: Start, server: Server) -> None:
    service = start(DATABASE_POOL_SIZE="2")
    service.wait_until_ready()
    with ThreadPoolExecutor(8) as pool:
        with server.held_session("contract", "BEGIN; LOCK TABLE items"):
            requests = [pool.submit(httpx.get, f"{service.client.base_url}/items", timeout=60) for _ in range(8)]
            time.sleep(1)
            assert [service.client.get("/readyz").status_code for _ in range(5)] == [200] * 5
        assert {request.result().status_code for request in requests} <= {200, 503}


@with_database
def test_service_starts_before_its_database(start: Start, server: Server) -> None:
    with server.stopped():
        service = start()
        assert_problem(service.client.get("/readyz"), 503)
    service.wait_until_ready()
    create(service.client)


@with_database
def test_ready_service_serves_after_an_outage(start: Start, server: Server) -> None:
    """While the server is stopped, more requests fail than the pool has connections."""
    service = start()
    service.wait_until_ready()
    for _ in range(3):
        with server.stopped():
            assert reads(service, 40) == {503}
        service.wait_until_ready()
        assert reads(service, 10) == {200}


@with_database
@pytest.mark.parametrize("reason", REASONS)
def test_cause_of_a_503_is_in_the_log(start: Start, server: Server, reason: str) -> None:
    assert_refused(start, server, reason)


@with_database
def test_host_with_two_addresses_fails_at_once_with_the_cause(start: Start, server: Server) -> None:
    """A client that tries each address of a host may report no more than that all of them failed."""
    host = next(filter(has_two_addresses, ["localhost", "dual.localhost"]))
    service = start(DATABASE_HOST=host, DATABASE_PORT=str(free_port()), DATABASE_TLS="disable")
    began = time.monotonic()
    for _ in range(4):
        assert_problem(service.client.get("/items"), 503)
    # Each would take five seconds if it were not refused.
    assert time.monotonic() - began < 15
    server.assert_cause("address", service.log.read_text(encoding="utf-8"))


@with_sql
def test_missing_database_is_a_503(start: Start, server: Server) -> None:
    assert_refused(start, server, "database")


def assert_refused(start: Start, server: Server, reason: str) -> None:
    """Check what a service does while its database refuses it."""
    with server.refusing(reason, "contract") as settings:
        service = start(**settings)
        began = time.monotonic()
        assert_problem(service.client.get("/items"), 503)
        assert time.monotonic() - began < 20
        assert_problem(service.client.get("/readyz"), 503)
    server.assert_cause(reason, service.log.read_text(encoding="utf-8"))


@with_database
@pytest.mark.parametrize(
    ("tls", "host", "trusted", "status"),
    [
        ("verify", "localhost", True, 200),
        ("verify", "localhost", False, 503),
        ("verify", "127.0.0.1", True, 503),
        ("require", "localhost", False, 200),
        ("require", "127.0.0.1", False, 200),
    ],
)
def test_tls(start: Start, server: Server, tls: str, host: str, *, trusted: bool, status: int) -> None:
    settings = {"SSL_CERT_FILE": str(server.certificate)} if trusted else {}
    service = start(DATABASE_TLS=tls, **server.tls_address(host), **settings)
    service.wait_until_ready(status)
    assert service.client.get("/items").status_code == status


@with_database
def test_server_without_tls_is_refused_even_unverified(start: Start, server: Server) -> None:
    with server.without_encryption():
        service = start(DATABASE_TLS="require", **server.tls_address("localhost"))
        assert_problem(service.client.get("/readyz"), 503)
        assert_problem(service.client.get("/items"), 503)


@with_database
def test_service_recovers_from_a_failover(start: Start, project: Project, server: Server) -> None:
    with promoted(project, server) as standby, Proxy(server.port) as proxy:
        service = start(DATABASE_PORT=str(proxy.port))
        service.wait_until_ready()
        assert reads(service, 40) == {200}
        create(service.client)
        proxy.target = standby.port
        with server.read_only():
            assert set(recover(service)) <= {503}
            service.wait_until_ready()
            # Reads no longer come from the old primary.
            item = create(service.client)
            with ThreadPoolExecutor(10) as pool:
                url = f"{service.client.base_url}/items/{item['id']}"
                found = list(pool.map(lambda _: httpx.get(url, timeout=60, trust_env=False).json(), range(40)))
            assert found == [item] * 40
        assert not [line for line in service.logs() if line.get("status") == 500]


@contextmanager
def promoted(project: Project, server: Server) -> Iterator[Server]:
    """Start another server with the same users and schema: the new primary."""
    with type(server)() as standby:
        standby.change_password(server.password)
        standby.create_database("contract")
        assert project.run("migrate", environment=standby.environment("contract"))[0] == 0
        yield standby


@with_database
def test_rotated_password_needs_no_restart(start: Start, server: Server) -> None:
    service = start()
    service.wait_until_ready()
    assert reads(service, 20) == {200}
    old = server.password
    try:
        server.change_password(f"rotated {old}")
        server.end_sessions()
        assert set(recover(service)) <= {503}
        service.wait_until_ready()
    finally:
        server.change_password(old)
        server.end_sessions()
    assert set(recover(service)) <= {503}
    assert not [line for line in service.logs() if line.get("status") == 500]


@with_database
def test_pool_size_is_respected(start: Start, server: Server) -> None:
    size = 3
    with Proxy(server.port, delay=0.05) as proxy:
        service = start(DATABASE_PORT=str(proxy.port), DATABASE_POOL_SIZE=str(size))
        service.wait_until_ready()
        with ThreadPoolExecutor(12) as pool:
            requests = [pool.submit(httpx.get, f"{service.client.base_url}/items", timeout=60) for _ in range(60)]
            assert {request.result().status_code for request in requests} == {200}
            assert service.client.get("/readyz").status_code == 200
        # Readiness has a separate one.
        assert proxy.peak <= size + 1


@with_database
def test_times_are_utc_whatever_the_time_zone(start: Start, server: Server) -> None:
    here = start()
    item = create(here.client)
    with server.in_new_york():
        there = start(TZ="America/New_York", PGTZ="America/New_York")
        assert there.client.get(f"/items/{item['id']}").json() == item
        other = create(there.client)
        assert there.client.get(f"/items/{other['id']}").json() == other
    assert here.client.get(f"/items/{other['id']}").json() == other
    for created in (item, other):
        assert created["created_at"].endswith("Z")
        assert abs(datetime.now(UTC) - datetime.fromisoformat(created["created_at"])) < timedelta(minutes=2)


@with_postgres
def test_transaction_pooler_is_enough(start: Start, project: Project, server: Server) -> None:
    server.create_database("pooled")
    with PgBouncer(server) as pooler:
        environment = pooler.environment("pooled")
        assert project.run("migrate", environment=environment)[0] == 0
        service = start(**environment)
        service.wait_until_ready()

        def work(number: int) -> set[int]:
            with httpx.Client(base_url=service.client.base_url, timeout=60, trust_env=False) as client:
                created = client.post("/items", json={"name": f"Item {number}"})
                path = created.headers.get("Location", "/nowhere")
                requests = [client.get(path), client.get("/items"), client.delete(path)]
                return {created.status_code, *(response.status_code for response in requests)}

        with ThreadPoolExecutor(10) as pool:
            statuses = [pool.submit(work, number) for number in range(100)]
            migrations = [project.run("migrate", environment=environment) for _ in range(4)]
            assert set().union(*(status.result() for status in statuses)) == {200, 201, 204}
        assert [status for status, _, _ in migrations] == [0] * 4, migrations
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert server.query("pooled", locks).strip() == "0"
        unfinished = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        wait_for(lambda: server.query("pooled", unfinished).strip() == "0")


@with_redis
def test_full_redis_refuses_writes_with_503_and_reads_on(start: Start, server: Server) -> None:
    service = start()
    service.wait_until_ready()
    item = create(service.client)
    server.execute("CONFIG SET maxmemory-policy noeviction")
    server.execute("CONFIG SET maxmemory 1")
    try:
        assert_problem(service.client.post("/items", json={"name": "x"}), 503)
        assert service.client.get(f"/items/{item['id']}").json() == item
        assert service.client.get("/readyz").status_code == 200
        assert any("used memory" in str(line) for line in service.logs())
    finally:
        server.execute("CONFIG SET maxmemory 0")
    assert recover(service) == []


@with_sql
def test_read_only_server_gets_503(start: Start, server: Server) -> None:
    service = start()
    service.wait_until_ready()
    create(service.client)
    with server.read_only():
        assert_problem(service.client.post("/items", json={"name": "x"}), 503)
        assert service.client.get("/livez").status_code == 200
    assert set(recover(service)) <= {503}
