"""Makefiles: every documented target can be made, and what it runs is sound shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.validators import Files, Finding, derive
from tests.validators.kustomize import WORKERS, memory, tool

# Given by people and CI, or by the Makefile in some projects only.
MAY_BE_UNDEFINED = {
    "BACKUP", "CI", "CONFIRM", "DATABASE_HOST", "ENVIRONMENT", "NODE", "REPLICAS", "REVISION", "RUN_ENVIRONMENT",
    "TEST_ENVIRONMENT",
}  # fmt: skip


def paths(files: Files) -> list[str]:
    return [path for path in files if path == "Makefile" or path.endswith(".mk")]


def texts(files: Files) -> dict[str, str]:
    return {path: files[path].decode() for path in paths(files)}


def targets(files: Files) -> dict[str, str]:
    """What `make help` lists, with what it says of each."""
    found: dict[str, str] = {}
    for path in paths(files):
        found.update(derive(files, path, _targets) or ())
    return found


def _targets(content: bytes) -> tuple[tuple[str, str], ...]:
    return tuple(re.findall(r"^([a-z-]+):.*?## (.+)$", content.decode(), re.MULTILINE))


def check(files: Files, scratch: Path) -> list[Finding]:
    return check_all([files], scratch)[0]


def check_all(sets: Iterable[Files], scratch: Path) -> list[list[Finding]]:
    """What `make --dry-run` says of all targets at once, and what shellcheck says of the commands that it prints."""
    with ThreadPoolExecutor(WORKERS) as pool:
        runs = list(pool.map(lambda files: list(_dry_runs(files, scratch)), sets))
    commands = {command: command for run in runs for _, _, found in run for command in found}
    by_command: dict[str, list[Finding]] = {}
    for finding in shellcheck(commands, scratch, expanded=True):
        by_command.setdefault(finding.path, []).append(finding)
    return [
        [
            finding._replace(path="Makefile", where=where)
            for where, findings, found in run
            for finding in [*findings, *(problem for command in found for problem in by_command.get(command, []))]
        ]
        for run in runs
    ]


def _dry_runs(files: Files, scratch: Path) -> Iterator[tuple[str, list[Finding], list[str]]]:
    """For each environment what is wrong, and the commands that would run."""
    documented = targets(files)
    phony = {
        name
        for text in texts(files).values()
        for line in re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
        for name in line.split()
    }
    problems = [
        Finding("Makefile", name, "phony", f"a file named {name} would stop `make {name}` from doing anything")
        for name in sorted(documented.keys() - phony)
    ]
    with tempfile.TemporaryDirectory(dir=memory(scratch)) as top:
        for path, content in files.items():
            target = Path(top, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        for environment in ("", "staging", "local"):
            where = f"ENVIRONMENT={environment}"
            done = subprocess.run(
                [
                    *("make", "--dry-run", "--always-make", "--warn-undefined-variables", "TAG=0123456789", where),
                    *sorted(documented),
                ],
                cwd=top,
                capture_output=True,
                text=True,
                check=False,
                env={"PATH": os.environ["PATH"], "HOME": top},
            )
            for line in dict.fromkeys(done.stderr.splitlines()):
                undefined = re.search(r"undefined variable '(\w+)'", line)
                if not undefined or undefined[1] not in MAY_BE_UNDEFINED:
                    problems.append(Finding("Makefile", where, "make", line))
            lines = "\n".join(line for line in done.stdout.replace(top, "/project").split("\n") if line[:5] != "make:")
            yield where, problems, re.findall(r"(?:.*\\\n)*.+\n", lines)
            problems = []


def shellcheck(scripts: dict[str, str], scratch: Path, *, expanded: bool = False) -> Iterator[Finding]:
    """What shellcheck finds in scripts by path, or in commands whose variables `make` has expanded."""
    if not scripts:
        return
    excluded = "SC2050,SC2148,SC2194" if expanded else "SC1091"
    with tempfile.TemporaryDirectory(dir=scratch) as top:
        names = {Path(top, f"{index}.sh"): path for index, path in enumerate(scripts)}
        for name, path in names.items():
            name.write_text(scripts[path])
        done = subprocess.run(
            [tool("shellcheck"), "--shell=bash", "--format=json", f"--exclude={excluded}", *names],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr)
    for item in json.loads(done.stdout):
        path = names[Path(item["file"])]
        line = [*scripts[path].splitlines(), ""][item["line"] - 1].strip()
        message = f"{item['message']} In: {line}"
        yield Finding(path, str(item["line"]), f"shellcheck SC{item['code']}", message)
