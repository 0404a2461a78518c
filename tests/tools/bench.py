"""Measures what copies, renders, proofs and rendered services cost, and writes docs/performance.md: `make bench`."""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier

from tests.harness import ROOT, Projects, Template
from tests.harness.rules import FactRule, FileRule
from tests.harness.template import copy_working_tree
from tests.options import space_of
from tests.rules.syntax import is_readable
from tests.test_rules import rules
from tests.toolchains import tool
from tests.tools.bench_requests import requests
from tests.tools.bench_services import services

RUNS = 5
SAMPLE = 12
PROOF = ["tests", "--ignore=tests/e2e", "--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder"]
PAGE = ROOT / "docs/performance.md"
PLOT = ROOT / "docs/performance.svg"
Figures = dict[str, str]


def main(parts: list[str]) -> None:
    """Write the page's sections; with names of parts, those alone."""
    if parts[:1] == ["measure"]:
        print(json.dumps(MEASURED[parts[1]](Path(parts[2]))))
        return
    for section, measures in SECTIONS.items():
        wanted = [name for name in measures if name in parts or not parts]
        figures: Figures = {}
        for name in wanted:
            start = time.monotonic()
            with tempfile.TemporaryDirectory() as scratch:
                figures |= measures[name](Path(scratch))
            say(f"{name}: {time.monotonic() - start:.0f} s")
        if wanted == list(measures):
            PAGE.write_text(replaced(PAGE.read_text(), section, table(figures)))
            say(f"Wrote {PAGE.relative_to(ROOT)}.")
        elif figures:
            print(table(figures))


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def median(measure: Callable[[int], float], runs: int = RUNS) -> float:
    return statistics.median(measure(run) for run in range(runs))


# --- One copy ---


def one_copy(scratch: Path) -> Figures:
    """A project made by the command line, beside one of a template that holds nothing."""
    empty = scratch / "empty"
    (empty / "template").mkdir(parents=True)
    (empty / "copier.yml").write_text("_subdirectory: template\n")
    whole = copy_working_tree(scratch / "whole")
    floor, full = (
        median(lambda run, source=source: command_line(source, scratch / f"{source.name}-{run}"))  # type: ignore[misc]
        for source in (empty, whole)
    )
    files = sum(path.is_file() for path in (scratch / "whole-0").rglob("*"))
    return {
        "`copier copy` of an empty template": f"{floor:.2f} s",
        "`copier copy` of this template with its defaults": f"{full:.2f} s, {full / floor:.1f} times as long",
        "files per second": f"{files / full:.0f}; without what the empty template takes, {files / (full - floor):.0f}",
    }


def command_line(source: Path, destination: Path) -> float:
    start = time.perf_counter()
    subprocess.run(
        [tool("copier"), "copy", "--quiet", "--defaults", source, destination], check=True, stdin=subprocess.DEVNULL
    )
    return time.perf_counter() - start


# --- Combinations ---


def combinations(scratch: Path) -> Figures:
    """Every distinct file of every combination in memory, and a sample by `run_copy`, each in a separate process."""
    folder = copy_working_tree(scratch / "template")
    runs = [fresh("combinations", folder) for _ in range(3)]
    ours, theirs = (statistics.median(run[name] for run in runs) for name in ("ours", "theirs"))
    return {
        "combinations of answers": f"{runs[0]['combinations']:,.0f}, with {runs[0]['files']:,.0f} distinct files",
        "every distinct file of every combination, from a cold start": f"{ours:.1f} s",
        f"{SAMPLE} of these combinations by `copier.run_copy`": f"{theirs:.1f} s",
    }


def measure_combinations(folder: Path) -> dict[str, float]:
    start = time.perf_counter()
    projects = projects_of(folder)
    files = sum(1 for _ in projects.each("*"))
    ours = time.perf_counter() - start
    start = time.perf_counter()
    for index, row in enumerate(projects.space.product.sample(SAMPLE, seed=1).iter_rows(named=True)):
        copy = folder.parent / f"copy-{os.getpid()}-{index}"
        answers = projects.space.given(row)
        copier.run_copy(str(folder), copy, data=answers, defaults=True, quiet=True, settings=copier.Settings())
    theirs = time.perf_counter() - start
    return {"combinations": projects.space.product.height, "files": files, "ours": ours, "theirs": theirs}


def fresh(what: str, folder: Path) -> dict[str, float]:
    """Measure in a separate process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.tools.bench", "measure", what, folder],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    say(f"  {what}: {done.stdout.decode().strip()}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


# --- Growth ---


def growth(scratch: Path) -> Figures:
    """CPU seconds of the rules without their tools, for the template and for larger ones."""
    figures: Figures = {}
    before: dict[str, float] = {}
    for name, grow in GROWN.items():
        folder = copy_working_tree(scratch / str(len(figures)))
        grow(folder)
        runs = [fresh("growth", folder) for _ in range(3)]
        found = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        before = before or found
        more = f", {100 * (found['seconds'] / before['seconds'] - 1):+.1f} %" if found is not before else ""
        space = f"{found['combinations']:,.0f} combinations, {found['files']:,.0f} files"
        figures[name] = f"{found['seconds']:.2f} s of CPU{more}; {space}"
    return figures


def measure_growth(folder: Path) -> dict[str, float]:
    projects = projects_of(folder)
    for rule in rules():
        if isinstance(rule, (FactRule, FileRule)):
            list(rule.run(projects))
    files = sum(1 for _ in projects.each("*"))
    return {"combinations": projects.space.product.height, "files": files, "seconds": time.process_time()}


def projects_of(folder: Path) -> Projects:
    template = Template(folder)
    return Projects(template, space_of(template), is_readable)


def one_more_boolean(folder: Path) -> None:
    ask(folder, "extra:\n  type: bool\n  help: Extra?\n  default: false\n")
    account = folder / "template/kubernetes/base/serviceaccount.yaml.jinja"
    account.write_text(account.read_text() + "{% if extra %}\nextra: true\n{% endif %}\n")


def one_more_language(folder: Path) -> None:
    """A copy of Python under another name, as another language has to bring all of its folder."""
    ask(folder, "other:\n  type: str\n  default: \"{{ '.' if language == 'other' else '' }}\"\n  when: false\n")
    config = folder / "copier.yml"
    config.write_text(re.sub(r'(\n +"Python [^\n]*: python)', r'\1\n    "Other": other', config.read_text()))
    shutil.copytree(folder / "template/{{ python }}", folder / "template/{{ other }}")
    (folder / "template/{{ other }}/python.mk.jinja").rename(folder / "template/{{ other }}/other.mk.jinja")


def ten_more_files(folder: Path) -> None:
    source = folder / "template/kubernetes/base/service.yaml.jinja"
    for number in range(10):
        shutil.copy(source, source.with_name(f"service-{number}.yaml.jinja"))


def ask(folder: Path, question: str) -> None:
    config = folder / "copier.yml"
    config.write_text(f"{config.read_text()}\n{question}")


GROWN: dict[str, Callable[[Path], None]] = {
    "rules that need no tool, for every combination": lambda _: None,
    "with one more boolean, which one file reads": one_more_boolean,
    "with one more language": one_more_language,
    "with ten more files": ten_more_files,
}


# --- The proof ---


def proof(_scratch: Path) -> Figures:
    """All of `make test` but the linting."""
    say("  pytest …")
    seconds, cpu, memory, said = watched([tool("pytest"), *PROOF])
    PLOT.write_text(plot(re.findall(r"^ *([0-9.]+) s  tests/(\S+)\.py$", said, re.MULTILINE)[:20]))
    return {"`make test`": f"{seconds:.0f} s, {cpu:.0f} s of CPU, {memory / 2**20:.0f} MiB"}


def watched(command: list[str]) -> tuple[float, float, int, str]:
    """Seconds, CPU seconds, the most memory that all processes had together, and what was said."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output)
        most = 0
        while process.poll() is None:
            most = max(most, memory_of(process.pid))
            time.sleep(0.2)
        output.seek(0)
        said = output.read()
    if process.returncode:
        raise RuntimeError(said[-3000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu, most or after.ru_maxrss * 1024, said


def memory_of(process: int) -> int:
    """The memory of a process and its children, on Linux; shared memory counts for each."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        children = [
            int(child)
            for task in Path(f"/proc/{process}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(memory_of, children))


# --- The page ---

SECTIONS: dict[str, dict[str, Callable[[Path], Figures]]] = {
    "Rendering and proving": {"copy": one_copy, "combinations": combinations, "growth": growth, "proof": proof},
    "The CPU of a request": {"requests": lambda scratch: requests(scratch, say)},
    "A service in containers": {"services": lambda scratch: services(scratch, say)},
}
MEASURED: dict[str, Callable[[Path], dict[str, Any]]] = {"combinations": measure_combinations, "growth": measure_growth}


def replaced(page: str, section: str, table: str) -> str:
    """The page with another table in a section, and the machine that it was measured on."""
    machine = f"On {os.cpu_count()} cores with Python {platform.python_version()}:"
    pattern = rf"(?<=^## {section}\n\n)On .+\n(?:\n\|.+)+"
    new, found = re.subn(pattern, lambda _: f"{machine}\n\n{table}", page, count=1, flags=re.MULTILINE)
    assert found, f"{PAGE} has no section {section!r}"
    return new


def table(figures: Figures) -> str:
    return "\n".join(
        ["| what | measured |", "|---|---|", *(f"| {name} | {value} |" for name, value in figures.items())]
    )


def plot(found: list[tuple[str, str]]) -> str:
    """Bars, the longest first."""
    rows = sorted(((float(seconds), name) for seconds, name in found), reverse=True)
    scale = 400 / max(seconds for seconds, _ in rows)
    bars = "\n".join(
        f'<text x="190" y="{24 * index + 17}" text-anchor="end">{name}</text>'
        f'<rect x="200" y="{24 * index + 4}" width="{seconds * scale:.0f}" height="16" fill="#4078c0"/>'
        f'<text x="{206 + seconds * scale:.0f}" y="{24 * index + 17}">{seconds:.0f}</text>'
        for index, (seconds, name) in enumerate(rows)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="660" height="{24 * len(rows) + 8}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n{bars}\n</svg>\n'
    )


if __name__ == "__main__":
    main(sys.argv[1:])
