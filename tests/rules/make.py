"""The Makefiles: every target that `make help` lists can be made, and what it runs is sound shell."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.harness import Fact, Files, Problem, file_rule, rejects, replace, rule, tool_rule
from tests.rules.shell import shellcheck

MAKEFILES = ("Makefile", "*.mk")
# Given by users and CI, or by the Makefile in some projects only.
_MAY_BE_UNDEFINED = {
    "BACKUP", "BUILD_FLAGS", "CI", "CONFIRM", "DATABASE_HOST", "ENVIRONMENT", "FROM", "NODE", "REPLICAS", "REVISION",
    "RUN_ENVIRONMENT", "TEST_ENVIRONMENT", "VERSION",
}  # fmt: skip
_ENVIRONMENTS = ("staging", "none", "local")
_PROCESSES = 2
# One shell for many runs, because to start a process from Python takes longer than make itself. A dry run does run
# what calls make again, and what that would print is printed by the target itself.
_DRY_RUNS = r"""
while read -r folder environment targets; do
  make --directory="$folder" --no-print-directory --dry-run --always-make --warn-undefined-variables \
    MAKE=: TAG=0123456789 ENVIRONMENT="${environment#none}" $targets \
    > "$folder/$environment.out" 2> "$folder/$environment.err" < /dev/null || true
done
"""


def documented_targets(content: bytes) -> dict[str, str]:
    """The targets of `make help`, with their help."""
    return dict(re.findall(r"^([a-z-]+):.*?## (.+)$", content.decode(), re.MULTILINE))


def _targets(content: bytes) -> tuple[str, ...]:
    return tuple(re.findall(r"^([a-z-]+):", content.decode(), re.MULTILINE))


def _called(content: bytes) -> tuple[str, ...]:
    return tuple(dict.fromkeys(re.findall(r"\$\(MAKE\) ([a-z-]+)", content.decode())))


@rejects("targets side by side", "Makefile", replace(".NOTPARALLEL:\n", ""))
@file_rule("Makefile")
def targets_run_in_order(path: str, content: bytes) -> Iterator[Problem]:
    """`make --jobs=4 image scan push` builds and scans before it pushes."""
    if b"\n.NOTPARALLEL:\n" not in content:
        yield Problem(path, "has no .NOTPARALLEL")


@rejects("an old make that goes on", "Makefile", replace("filter oneshell", "filter else-if"))
@rejects("an old make that is not told", "Makefile", replace("$(error GNU make 4", "$(info GNU make 4"))
@tool_rule("Makefile")
def an_old_make_is_refused(batch: Sequence[Files], scratch: Path) -> Iterator[list[Problem]]:
    """GNU make 3.81, as in macOS, differs from 4 in its list of features."""
    for files in batch:
        Path(scratch, "Makefile").write_bytes(files["Makefile"])
        command = ["make", "--directory", str(scratch), ".FEATURES=else-if target-specific", "help"]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
        yield [] if "GNU make 4 is required" in said else [Problem("Makefile", "goes on with GNU make 3")]


@rejects("a target that a file would stop", "Makefile", replace(".PHONY: up\n", ""))
@file_rule(*MAKEFILES)
def documented_targets_are_phony(path: str, content: bytes) -> Iterator[Problem]:
    """Each target that `make help` lists is declared phony: a file of its name would stop it from doing anything."""
    phony = " ".join(re.findall(r"^\.PHONY: (.*)$", content.decode(), re.MULTILINE)).split()
    for name in documented_targets(content).keys() - phony:
        yield Problem(path, f"a file named {name} would stop `make {name}` from doing anything", f"\n{name}:")


@rejects("a call of a target that does not exist", "kubernetes.mk", replace("$(MAKE) deploy", "$(MAKE) deplo"))
@rule(
    makefile=Fact("Makefile", _targets), included=Fact("*.mk", _targets),
    calls=Fact("Makefile", _called), more=Fact("*.mk", _called),
)  # fmt: skip
def called_targets_exist(
    makefile: tuple[str, ...], included: Mapping[str, tuple[str, ...]],
    calls: tuple[str, ...], more: Mapping[str, tuple[str, ...]],
) -> Iterator[Problem]:  # fmt: skip
    """What a recipe calls with $(MAKE) is a target of one of the Makefiles."""
    targets = {*makefile, *(name for names in included.values() for name in names)}
    for path, names in {"Makefile": calls, **more}.items():
        for name in names:
            if name not in targets:
                yield Problem(path, f"calls make {name}, which is no target", f"$(MAKE) {name}")


def _read_by_make(files: Files) -> tuple[tuple[str, bytes], ...]:
    """Make reads its own files, and of others whether they are there."""
    return tuple((path, content if _is_makefile(path) else b"") for path, content in files.items())


def _is_makefile(path: str) -> bool:
    return path == "Makefile" or path.endswith(".mk")


@rejects("a prerequisite that nothing makes", "kubernetes.mk", replace("\nload: image", "\nload: images"))
@rejects("a variable that nothing sets", "Makefile", replace("--tag=$(IMAGE):latest $(", "--tag=$(IMAG):latest $("))
@rejects("blanks for a tab", "Makefile", replace("\tscripts/check.sh", "    scripts/check.sh"))
@rejects("a word that splits", "kubernetes.mk", replace("docker compose logs --follow", "docker compose logs $$(date)"))
@rejects("a loop without an end", "kubernetes.mk", replace("docker compose logs --follow", "for i in 1; do echo"))
@tool_rule(*MAKEFILES, "requirements*.txt", "package*.json", sets="sample", choose=_read_by_make)
def every_target_can_be_made(batch: Sequence[Files], scratch: Path) -> Iterator[list[Problem]]:
    """For each environment, make has rules for all prerequisites, defines every variable, and runs valid commands."""
    runs = list(_runs([dict(_read_by_make(files)) for files in batch], scratch))
    with ThreadPoolExecutor(_PROCESSES) as pool:
        list(pool.map(lambda start: _make(runs[start::_PROCESSES], scratch), range(_PROCESSES)))
    printed = {run: _commands(scratch, run) for run in runs}
    commands = list({command: None for found in printed.values() for command in found})
    remarks = dict(zip(commands, shellcheck(commands, scratch, "SC2050", "SC2148", "SC2194"), strict=True))
    said: list[dict[str, None]] = [{} for _ in batch]
    for run, found in printed.items():
        said[run.number].update(dict.fromkeys(_warnings(scratch, run)))
        said[run.number].update({remark.message: None for command in found for remark in remarks[command]})
    return ([_problem(line) for line in lines] for lines in said)


class _Run(NamedTuple):
    """A set of files and an environment, for which make does all of the targets."""

    number: int
    environment: str
    targets: str


def _runs(batch: Sequence[Files], scratch: Path) -> Iterator[_Run]:
    """All environments for the first set with a line that none before it has, as no other line changes its meaning."""
    known: set[bytes] = set()
    for index, files in enumerate(batch):
        for path, content in files.items():
            Path(scratch, str(index), path).parent.mkdir(parents=True, exist_ok=True)
            Path(scratch, str(index), path).write_bytes(content)
        own = [content for path, content in files.items() if _is_makefile(path)]
        lines = {line for content in own for line in content.split(b"\n")}
        targets = " ".join(name for content in own for name in documented_targets(content))
        yield from (_Run(index, name, targets) for name in (_ENVIRONMENTS if lines - known else _ENVIRONMENTS[:1]))
        known |= lines


def _make(runs: Sequence[_Run], scratch: Path) -> None:
    lines = "".join(f"{run.number} {run.environment} {run.targets}\n" for run in runs)
    environment = {"PATH": os.environ["PATH"], "HOME": str(scratch)}
    subprocess.run(["bash", "-c", _DRY_RUNS], input=lines, text=True, cwd=scratch, check=True, env=environment)


def _commands(scratch: Path, run: _Run) -> list[str]:
    """The commands that would run, each with the lines that continue it."""
    folder = scratch / str(run.number)
    printed = (folder / f"{run.environment}.out").read_text().replace(str(folder), "/project")
    return re.findall(r"(?:.*\\\n)*.+\n", re.sub(r"^make:.*\n", "", printed, flags=re.MULTILINE))


def _warnings(scratch: Path, run: _Run) -> Iterator[str]:
    for line in Path(scratch, str(run.number), f"{run.environment}.err").read_text().splitlines():
        undefined = re.search(r"undefined variable '(\w+)'", line)
        if not undefined or undefined[1] not in _MAY_BE_UNDEFINED:
            yield line


def _problem(line: str) -> Problem:
    place = re.match(r"([\w.]+):(\d+): ", line)
    return Problem(place[1], line[place.end() :], place[2]) if place else Problem("Makefile", line)
