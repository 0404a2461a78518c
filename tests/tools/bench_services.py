"""Measures what a rendered service costs in containers: images, builds, starts, memory, requests, a rolling update."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx

from tests.databases import VARIANTS as DATABASES
from tests.e2e.apps.servers import MissingError, find
from tests.e2e.docker import images
from tests.e2e.docker.engine import Engine
from tests.e2e.docker.project import Client, Project
from tests.e2e.docker.test_build import SOURCES
from tests.harness import ROOT, Projects, Template
from tests.harness.template import copy_working_tree
from tests.languages import LANGUAGES
from tests.options import space_of
from tests.tools.bench_requests import run_wrk

RUNS = 3
SECONDS = 5
MEGABYTE = 1_000_000

Say = Callable[[str], None]


def services(scratch: Path, say: Say) -> dict[str, str]:
    """The figures of every language and database."""
    try:
        engine = Engine(scratch / "docker-config")
        wrk = find("wrk", "wrk")
    except MissingError as missing:
        return {"services in containers": f"not measured: {missing}"}
    template = Template(copy_working_tree(scratch / "template"))
    languages, databases = template.table("versions", "languages"), template.table("versions", "images")
    names = images.of_languages(languages) + list(databases.values())
    notes = images.pull_or_build_images(engine, names, say)
    projects = Projects(template, space_of(template))
    figures: dict[str, str] = {}
    for language in LANGUAGES:
        found = languages[language]
        bases = size(engine, found.get("runtime", found["image"]))
        for database in DATABASES:
            variant = f"{language}-{database}"
            say(f"  {variant} …")
            project = Project(engine, projects, scratch / variant, "bench", variant, "localhost:5000")
            figures |= builds(project, bases)
            figures |= runs(project, wrk)
    return figures | rolling(say) | {f"base image {number}": note for number, note in enumerate(notes, 1)}


def size(engine: Engine, image: str) -> float:
    """Megabytes."""
    found: int = engine.inspect(image)[0]["Size"]
    return found / MEGABYTE


def builds(project: Project, base: float) -> dict[str, str]:
    """The image and the time that it takes to build, from nothing but base images and after a changed line."""
    engine, name = project.engine, f"{project.language}, {project.database}"
    engine.docker("builder", "prune", "--all", "--force")
    cold = seconds(lambda: project.make("image", TAG="bench"))
    source = project.path / SOURCES[project.language][0]
    source.write_bytes(source.read_bytes() + b"\n")
    warm = seconds(lambda: project.make("image", TAG="bench"))
    whole = size(engine, f"{project.image}:bench")
    return {
        f"{name}: image": f"{whole:.0f} MB, of which the base image {base:.0f} MB",
        f"{name}: build": f"{cold:.1f} s with an empty cache, {warm:.1f} s after a changed line",
    }


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def runs(project: Project, wrk: str) -> dict[str, str]:
    """The time until the service is ready, its memory at rest, and its requests a second."""
    engine, name = project.engine, f"{project.language}, {project.database}"
    if project.database != "none":
        project.make("secret")
    starts, roots, items = [], [], []
    with ExitStack() as stack:
        project.compose("up", "--wait", "--detach", tag="bench")
        stack.callback(project.compose, "down", "--volumes", tag="bench")
        container = project.containers("bench")["app"]["Id"]
        address = f"http://{ip(engine, container)}:{project.port}"
        client = stack.enter_context(Client(address))
        memory = engine.docker("stats", "--no-stream", "--format={{.MemUsage}}", container).stdout.partition("MiB")[0]
        for path in ["/items"] * 20 if project.database != "none" else []:
            client.post(path, json={"name": "an item"}).raise_for_status()
        for _ in range(RUNS):
            roots.append(requests(wrk, f"{address}/"))
            if project.database != "none":
                items.append(requests(wrk, f"{address}/items"))
        for _ in range(RUNS):
            engine.docker("restart", container)
            starts.append(until_ready(engine, container, client))
    median = statistics.median
    figures = {
        f"{name}: start to ready": f"{median(starts):.2f} s",
        f"{name}: memory at rest": f"{float(memory):.0f} MiB",
        f"{name}: `GET /`": f"{median(roots):,.0f} a second",
    }
    if items:
        figures[f"{name}: `GET /items`, 20 of them"] = f"{median(items):,.0f} a second"
    return figures


def ip(engine: Engine, container: str) -> str:
    """An address at which this machine reaches a container without a proxy between."""
    networks = engine.inspect(container)[0]["NetworkSettings"]["Networks"].values()
    return next(str(network["IPAddress"]) for network in networks)


def requests(wrk: str, address: str) -> float:
    """Requests a second that are answered well, of a few connections that stay open."""
    return run_wrk(wrk, address, SECONDS, r"^Requests/sec: +([\d.]+)$")


def until_ready(engine: Engine, container: str, client: Client) -> float:
    """Seconds from the start of a container's process to its first good answer at /readyz."""
    while True:
        try:
            if client.get("/readyz").is_success:
                break
        except httpx.TransportError:
            pass
        time.sleep(0.005)
    ready = datetime.now(UTC)
    return (ready - datetime.fromisoformat(engine.inspect(container)[0]["State"]["StartedAt"])).total_seconds()


def rolling(say: Say) -> dict[str, str]:
    """What becomes of requests while a new version replaces the old, seen by the tests."""
    say("  rolling updates …")
    command = [sys.executable, "-m", "pytest", "tests/e2e/docker", "-k", "none and replaces and (swarm or kubernetes)"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout[-3000:])
    found = re.findall(r"^ *(.+?)  (requests during a rolling update .+)$", done.stdout, re.MULTILINE)
    return {what: number for number, what in found}
