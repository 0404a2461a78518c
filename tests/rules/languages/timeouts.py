"""What holds for every language: time limits of connections."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.harness import Problem, file_rule, replace

_KEEP_ALIVE = {
    "app/server.py": r"^KEEP_ALIVE = (\d+)$",
    "src/app.ts": r"^const KEEP_ALIVE_TIMEOUT_MS = (\d+)_000;$",
    "internal/server/server.go": r"^\tidleTimeout = (\d+) \* time\.Second$",
}
_LOAD_BALANCER = 600
"""Seconds that Google Cloud's load balancers keep an idle connection open."""


@file_rule(*_KEEP_ALIVE)
def idle_connections_stay_open_longer_than_those_of_a_load_balancer(path: str, content: bytes) -> Iterator[Problem]:
    """The load balancer closes an idle connection first: one that the service closes can lose a request."""
    found = re.search(_KEEP_ALIVE[path], content.decode(), re.MULTILINE)
    if not found or int(found[1]) <= _LOAD_BALANCER:
        yield Problem(path, f"does not keep idle connections for more than {_LOAD_BALANCER} seconds", "620")


idle_connections_stay_open_longer_than_those_of_a_load_balancer.rejects(
    "the time of Uvicorn", "app/server.py", replace("KEEP_ALIVE = 620", "KEEP_ALIVE = 5")
)
idle_connections_stay_open_longer_than_those_of_a_load_balancer.rejects(
    "the time of nginx", "src/app.ts", replace("620_000", "75_000")
)
idle_connections_stay_open_longer_than_those_of_a_load_balancer.rejects(
    "the time of an ALB", "internal/server/server.go", replace("620 * time", "60 * time")
)
