"""Numbers that fit each other: connections, memory, heaps and quotas, for every combination of answers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal

from tests.harness import At, Fact, Problem, change, load, rejects, remove, replace, rule
from tests.rules.extract import Matching, settings
from tests.rules.kubernetes.quota import quantity

Problems = Iterator[Problem]
CONFIG, COMPOSE = "kubernetes/base/config.env", "common.yml"
DEPLOYMENT, AUTOSCALER = "kubernetes/base/deployment.yaml", "kubernetes/base/horizontalpodautoscaler.yaml"
DATABASE, QUOTA = "kubernetes/database/statefulset.yaml", "kubernetes/namespace/resourcequota.yaml"
BACKUP = "kubernetes/database/backup-cronjob.yaml"
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"
MI = Decimal(1024) ** 2

RESERVED = 3
"""Connections that PostgreSQL keeps for superusers, superuser_reserved_connections."""

OTHERS = 10
"""Connections of a migration, a backup, a restore, a rotation and of administrators."""

PER_CONNECTION = 3 * MI
"""Above the 1.9 MiB of private memory that a session of PostgreSQL 18 has after some queries, for larger ones."""

BUFFERS = {"postgres": 128 * MI, "mysqld": 600 * MI}
"""What the server takes before it has sessions: shared_buffers, or InnoDB's buffer pool and the performance schema."""

REDIS_CLIENTS = 10000
"""The default of maxclients."""

HEADROOM = Decimal("0.65")
"""The share of Redis' memory that data may take: a fork that rewrites the append-only file copies what changes."""


def _pool(content: bytes) -> int | None:
    value = settings(content).get("DATABASE_POOL_SIZE")
    return int(value) if value else None


def _pods(content: bytes) -> tuple[int, int | str]:
    spec = load(content)["spec"]
    return spec.get("replicas", 0), spec["strategy"]["rollingUpdate"]["maxSurge"]


def _words(content: bytes) -> str:
    container = load(content)["spec"]["template"]["spec"]["containers"][0]
    return " ".join(container.get("command", container.get("args", [])))


def _memory_volumes(content: bytes) -> dict[str, Decimal]:
    spec = load(content)["spec"]["template"]["spec"]
    sizes = {
        volume["name"]: quantity(volume["emptyDir"]["sizeLimit"])
        for volume in spec["volumes"]
        if volume.get("emptyDir", {}).get("medium") == "Memory"
    }
    return {
        mount["mountPath"]: sizes[mount["name"]]
        for mount in spec["containers"][0]["volumeMounts"]
        if mount["name"] in sizes
    }


def most_pods(pods: tuple[int, int | str], most: int | None) -> int:
    """The pods that run at once during a rollout at full scale."""
    replicas, surge = pods
    copies = most or replicas
    return copies + (surge if isinstance(surge, int) else math.ceil(copies * int(surge.rstrip("%")) / 100))


_MOST = {"pods": Fact(DEPLOYMENT, _pods), "most": Fact(AUTOSCALER, At("spec.maxReplicas"))}


@rejects("pools that take more connections than there are", CONFIG, replace("POOL_SIZE=10", "POOL_SIZE=12"))
@rejects("more pods than connections", AUTOSCALER, change("spec.maxReplicas", 9), project="ingress")
@rejects("more pods in a rollout than connections", DEPLOYMENT, change("spec.strategy.rollingUpdate.maxSurge", "100%"))
@rejects("a server's own number of connections", DATABASE, change(f"{CONTAINER}.args", ["postgres"]))
@rejects("more clients than Redis takes", CONFIG, replace("POOL_SIZE=10", "POOL_SIZE=2000"), project="gateway")
@rule(pool=Fact(CONFIG, _pool), server=Fact(DATABASE, _words), **_MOST)
def the_database_has_a_connection_for_every_pool(
    pool: int | None, server: str | None, pods: tuple[int, int | str], most: int | None
) -> Problems:
    """The pools of the most pods, with the probe's connection of each, fit into the connections of the database."""
    if pool is None or server is None:
        return
    found = re.search(r"--max_connections=(\d+)", server)
    connections = REDIS_CLIENTS if "redis-server" in server else int(found[1]) - RESERVED if found else 0
    needed = most_pods(pods, most) * (pool + 1) + OTHERS
    if needed > connections:
        message = f"has {connections} connections, but pods and jobs open up to {needed}"
        yield Problem(DATABASE, message, f"{CONTAINER}.args")


@rejects("memory for fewer connections", DATABASE, change(f"{CONTAINER}.resources.limits.memory", "448Mi"))
@rejects("no shared memory", DATABASE, change(f"{POD}.volumes.[name=shm].emptyDir", {"sizeLimit": "128Mi"}))
@rejects("small shared memory", DATABASE, change(f"{POD}.volumes.[name=shm].emptyDir.sizeLimit", "64Mi"))
@rejects("unlimited data", DATABASE, replace(" --maxmemory 150mb", ""), project="gateway")
@rejects("as much data as memory", DATABASE, replace("--maxmemory 150mb", "--maxmemory 256mb"), project="gateway")
@rejects("evicted data", DATABASE, replace("noeviction", "allkeys-lru"), project="gateway")
@rule(
    server=Fact(DATABASE, _words),
    limit=Fact(DATABASE, At(f"{CONTAINER}.resources.limits.memory", quantity)),
    shared=Fact(DATABASE, _memory_volumes),
)
def the_database_has_memory_for_its_settings(
    server: str | None, limit: Decimal | None, shared: dict[str, Decimal] | None
) -> Problems:
    """The memory limit covers buffers, shared memory and every connection; Redis refuses writes before its limit."""
    if server is None or limit is None or shared is None:
        return
    place = f"{CONTAINER}.resources.limits.memory"
    if "redis-server" in server:
        found = re.search(r"--maxmemory (\d+)mb", server)
        if not found or int(found[1]) * MI > limit * HEADROOM:
            yield Problem(
                DATABASE, f"limits its data to {found and found[1]} MB of {limit / MI:f}", f"{CONTAINER}.command"
            )
        if "--maxmemory-policy noeviction" not in server:
            yield Problem(DATABASE, "deletes data when its memory is full", f"{CONTAINER}.command")
        return
    # The default of 64 MiB ends parallel queries with "could not resize shared memory segment".
    if server.startswith("postgres") and shared.get("/dev/shm", 0) < 128 * MI:  # noqa: S108
        yield Problem(DATABASE, "has less than 128 MiB of shared memory", f"{POD}.volumes")
    found = re.search(r"--max_connections=(\d+)", server)
    needed = BUFFERS[server.split()[0]] + sum(shared.values()) + int(found[1] if found else 0) * PER_CONNECTION
    if needed > limit:
        message = f"needs {needed / MI:f} MiB for its buffers and connections, but has {limit / MI:f}"
        yield Problem(DATABASE, message, place)


_HEAP = Matching(r"--max-old-space-size-percentage=(\d+)")


@rejects("a heap of all memory", "Dockerfile", replace("percentage=60", "percentage=95"), project="typescript")
@rejects(
    "a heap without a limit", "Dockerfile", replace('"--max-old-space-size-percentage=60", ', ""), project="typescript"
)
@rejects("a /tmp that leaves no room", DEPLOYMENT, change(f"{POD}.volumes.[name=tmp].emptyDir.sizeLimit", "200Mi"))
@rule(
    heap=Fact("Dockerfile", _HEAP),
    runtime=Fact("Dockerfile", Matching(r'^ENTRYPOINT \["([^"]*)')),
    limit=Fact(DEPLOYMENT, At(f"{CONTAINER}.resources.limits.memory", quantity)),
    shared=Fact(DEPLOYMENT, _memory_volumes),
)
def the_heap_ends_below_the_limit(
    heap: str | None, runtime: str | None, limit: Decimal, shared: dict[str, Decimal]
) -> Problems:
    """A runtime with a heap limit has one that leaves room for /tmp and for memory outside the heap."""
    if runtime and runtime.endswith("node") and heap is None:
        yield Problem("Dockerfile", "does not limit the heap of Node.js", "ENTRYPOINT")
    if limit * int(heap or 50) / 100 + sum(shared.values()) > limit * Decimal("0.9"):
        yield Problem(
            DEPLOYMENT, "leaves less than a tenth of its memory beside heap and /tmp", f"{CONTAINER}.resources"
        )


def _memory_of_job(content: bytes) -> Decimal:
    spec = load(content)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    most = [
        sum(quantity(one["resources"]["limits"]["memory"]) for one in spec.get(part, []))
        for part in ("containers", "initContainers")
    ]
    return max(map(Decimal, most))


@rejects("a quota for fewer pods", QUOTA, change("spec.hard.'limits.memory'", "2600Mi"))
@rejects("no quota", QUOTA, remove("spec.hard.'limits.memory'"))
@rule(
    quota=Fact(QUOTA, At("spec.hard.'limits.memory'")),
    app=Fact(DEPLOYMENT, At(f"{CONTAINER}.resources.limits.memory", quantity)),
    database=Fact(DATABASE, At(f"{CONTAINER}.resources.limits.memory", quantity)),
    backup=Fact(BACKUP, _memory_of_job),
    **_MOST,
)
def the_quota_holds_all_pods_at_once(
    quota: str | None,
    app: Decimal,
    database: Decimal | None,
    backup: Decimal | None,
    pods: tuple[int, int | str],
    most: int | None,
) -> Problems:
    """The quota of memory covers the most pods during a rollout, the database, a backup, a restore and a migration."""
    needed = (most_pods(pods, most) + 1) * app + (database or 0) + 2 * (backup or 0)
    if not quota or quantity(quota) < needed:
        yield Problem(QUOTA, f"allows {quota} of memory, but {needed / MI:f} MiB may run", "spec.hard.'limits.memory'")
