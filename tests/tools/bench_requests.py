"""Measures the CPU of a request of each rendered service beside two others.

The baselines, in baselines/, are idiomatic services with the same duties: the framework with the plugins that its users
commonly add for request ids, an access log and a histogram. The other is the same service without its code for tracing,
which is off. All run at the same time and are asked in turns, so that the machine's load affects all.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests import toolchains
from tests.e2e.apps.project import Project, Service, clean_environment
from tests.e2e.apps.servers import MissingError, find, free_port
from tests.e2e.docker.project import wait_for_answer
from tests.harness.template import copy_working_tree
from tests.languages import LANGUAGES

BASELINES = Path(__file__).with_name("baselines")
ROUNDS = 20
STUDENT = 2.093  # of the 95 % interval of twenty samples
SECONDS = 2
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
TRACING: Mapping[str, Mapping[str, Sequence[tuple[str, str]]]] = {
    "python": {
        "app/server.py": ((r"    if os\.environ\.get.+?    else:\n    (    server\.run\(\)\n)", r"\1"),),
        # Of FastAPI itself.
        "app/web.py": ((r"        telemetry=\{\n", '\\g<0>            "tracing": False,\n'),),
        "app/logs.py": (
            (r"from opentelemetry import trace\n", ""),
            (r"        span = trace\..+?(?=        return head)", ""),
        ),
    },
    "typescript": {
        "src/main.ts": (
            (r"const tracing = .+?;\n", ""),
            (r", tracing\?\.logContext", ""),
            (r"const telemetry = .+?;\n", ""),
            (r", telemetry\)", ")"),
        ),
        "src/server.ts": ((r"  if \(tracing\) \{.+?  \}\n", ""), (r"    await tracing\?\.shutdown\(\);\n", "")),
    },
    "go": {
        "internal/server/server.go": (
            (r'\t"example\.com/app/internal/tracing"\n', ""),
            (r"\tif cfg\.Tracing \{.+?\n\t\}\n", ""),
        ),
        "internal/web/routes.go": (
            (r'\t"example\.com/app/internal/tracing"\n', ""),
            (r"\tif cfg\.Tracing \{.+?\n\t\}\n", ""),
        ),
        "internal/web/middleware.go": (
            (r'\t"go\.opentelemetry\.io/otel/attribute"\n\t"go\.opentelemetry\.io/otel/trace"\n', ""),
            (r"\tif span := .+?\n\t\}\n", ""),
        ),
        "internal/logs/logs.go": (
            (r'\n\t"go\.opentelemetry\.io/otel/trace"\n', ""),
            (r"\tif span := .+?\n\t\}\n", ""),
        ),
    },
}
"""The code for tracing: patterns of what to replace in each file, and by what."""
RUN = {"python": (".venv/bin/python", "main.py"), "typescript": ("node", "main.ts"), "go": ("./baseline",)}


def requests(scratch: Path, say: Callable[[str], None]) -> dict[str, str]:
    """The CPU of `GET /` in each language, and its ratios to the others with 95 % intervals."""
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
        log = Path(os.devnull)
        with (
            Service(project, log) as service,
            baseline(language, scratch) as (process, port),
            Service(without_tracing(project, scratch / f"untraced-{language}"), log) as untraced,
        ):
            asked = [(service.process.pid, service.port), (process.pid, port), (untraced.process.pid, untraced.port)]
            rounds = [costs(wrk, asked, number) for number in range(ROUNDS)]
        ours, baselines, without = zip(*rounds, strict=True)
        figures[f"{language}: `GET /`"] = (
            f"{statistics.median(ours):.0f} µs, {ratio(ours, baselines)} of the baseline's, "
            f"{ratio(ours, without)} of the same without tracing"
        )
    return figures


def costs(wrk: str, asked: Sequence[tuple[int, int]], number: int) -> list[float]:
    """The cost of a request of each process and port, in another order in each round."""
    order = [(number + index) % len(asked) for index in range(len(asked))]
    found = {index: cost(wrk, *asked[index]) for index in order}
    return [found[index] for index in range(len(asked))]


def without_tracing(project: Project, folder: Path) -> Project:
    """The same project without its code for tracing."""
    copied = project.copy_to(folder)
    for path, edits in TRACING[project.language].items():
        source = folder / path
        text = source.read_text(encoding="utf-8")
        for pattern, instead in edits:
            text, count = re.subn(pattern, instead, text, flags=re.DOTALL)
            assert count == 1, f"{path} has {count} of {pattern}"
        source.write_text(text, encoding="utf-8")
    copied.make("build")
    return copied


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
    """A figure of wrk's output, by a pattern; every response must be a success."""
    command = [wrk, "--threads=1", f"--connections={CONNECTIONS}", f"--duration={seconds}s", address]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in printed, printed
    (found,) = re.findall(figure, printed, re.MULTILINE)
    return float(found)


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process, in user and system mode."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def ratio(ours: Sequence[float], others: Sequence[float]) -> str:
    """The mean ratio with its 95 % interval."""
    ratios = [100 * one / other for one, other in zip(ours, others, strict=True)]
    mean, error = statistics.mean(ratios), STUDENT * statistics.stdev(ratios) / len(ratios) ** 0.5
    return f"{mean:.1f} ± {error:.1f} %"
