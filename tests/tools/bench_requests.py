"""Measures the CPU of a request of each rendered service beside an idiomatic service with the same duties.

Those services are in baselines/: the framework with the plugins that its users commonly add for request ids, an access
log and a histogram. Both run at the same time and are asked in turns, so that the machine's load affects both.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import toolchains
from tests.e2e.apps.project import Project, Service, clean_environment
from tests.e2e.apps.servers import MissingError, find, free_port
from tests.e2e.docker.project import wait_for_answer
from tests.harness.template import copy_working_tree
from tests.languages import LANGUAGES

BASELINES = Path(__file__).with_name("baselines")
ROUNDS = 10
STUDENT = 2.262  # of the 95 % interval of ten samples
SECONDS = 3
CONNECTIONS = 16

UV = toolchains.tool("uv")
BUILD = {
    "python": (
        (UV, "venv", "--quiet"),
        (UV, "pip", "install", "--quiet", "--require-hashes", "--requirement=requirements.txt"),
    ),
    "typescript": (("npm", "ci", "--silent"),),
    "go": (("go", "build", "-o", "baseline", "."),),
}
RUN = {"python": (".venv/bin/python", "main.py"), "typescript": ("node", "main.ts"), "go": ("./baseline",)}


def requests(scratch: Path, say: Callable[[str], None]) -> dict[str, str]:
    """The CPU of `GET /` in each language, and its ratio to the baseline with a 95 % interval."""
    try:
        wrk = find("wrk", "wrk")
    except MissingError as missing:
        return {"CPU of a request": f"not measured: {missing}"}
    template = copy_working_tree(scratch / "template")
    figures = {}
    for language in LANGUAGES:
        say(f"  requests, {language} …")
        project = Project(template, scratch / language, language, "none")
        project.make("build")
        with Service(project, Path(os.devnull)) as service, baseline(language, scratch) as (process, port):
            pairs = [
                (cost(wrk, service.process.pid, service.port), cost(wrk, process.pid, port)) for _ in range(ROUNDS)
            ]
        figures[f"{language}: `GET /`"] = compared(pairs)
    return figures


@contextmanager
def baseline(language: str, scratch: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """An idiomatic service that runs, and its port."""
    folder = scratch / f"baseline-{language}"
    shutil.copytree(BASELINES / language, folder)
    environment = clean_environment()
    for command in BUILD[language]:
        subprocess.run(command, cwd=folder, env=environment, check=True)
    port = free_port()
    ports = {"PORT": str(port), "METRICS_PORT": str(free_port())}
    process = subprocess.Popen(RUN[language], cwd=folder, env=environment | ports, stdout=subprocess.DEVNULL)
    try:
        wait_for_answer(f"http://127.0.0.1:{port}/")
        yield process, port
    finally:
        process.kill()
        process.wait()


def cost(wrk: str, pid: int, port: int) -> float:
    """Microseconds of CPU for each request, of a few connections that stay open."""
    before = cpu_seconds(pid)
    count = run_wrk(wrk, f"http://127.0.0.1:{port}/", SECONDS, r"(\d+) requests in")
    return 1e6 * (cpu_seconds(pid) - before) / count


def run_wrk(wrk: str, address: str, seconds: int, figure: str) -> float:
    """What wrk prints for a figure, given as a pattern; every response has to be a success."""
    command = [wrk, "--threads=1", f"--connections={CONNECTIONS}", f"--duration={seconds}s", address]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in printed, printed
    (found,) = re.findall(figure, printed, re.MULTILINE)
    return float(found)


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process, in user and system mode."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def compared(pairs: list[tuple[float, float]]) -> str:
    """The median of the service's, and the mean ratio to the other's with its 95 % interval."""
    ratios = [100 * ours / other for ours, other in pairs]
    mean, error = statistics.mean(ratios), STUDENT * statistics.stdev(ratios) / len(ratios) ** 0.5
    return f"{statistics.median(ours for ours, _ in pairs):.0f} µs, {mean:.0f} ± {error:.0f} % of the baseline's"
