"""The command of the container's health check."""

import re
import signal
import time

from tests.e2e.apps.conftest import Start
from tests.e2e.apps.markers import with_postgres, without_database
from tests.e2e.apps.project import Project, Service
from tests.e2e.apps.servers import Server, free_port


def failure_of(project: Project, service: Service) -> str:
    """Run a health check that fails, and return what it prints."""
    status, output, errors = project.run("healthcheck", environment=service.environment)
    assert status == 1
    return (output + errors).strip()


@with_postgres
def test_healthcheck_follows_readiness(start: Start, project: Project, server: Server) -> None:
    service = start()
    service.wait_until_ready()
    assert project.run("healthcheck", environment=service.environment)[0] == 0
    with server.stopped():
        assert re.search("503|database|unavailable", failure_of(project, service))


@without_database
def test_healthcheck_fails_with_a_reason(start: Start, project: Project) -> None:
    service = start()
    service.wait_until_ready()
    assert project.run("healthcheck", environment=service.environment)[0] == 0
    service.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    assert failure_of(project, service)
    assert time.monotonic() - began < 10
    service.process.send_signal(signal.SIGCONT)


@without_database
def test_healthcheck_fails_when_nothing_listens(project: Project, environment: dict[str, str]) -> None:
    status, output, errors = project.run("healthcheck", environment=environment | {"PORT": str(free_port())})
    assert status == 1
    assert (output + errors).strip()
