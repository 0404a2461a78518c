"""Python: its own formatter and linter change nothing, and its locks hold what pyproject.toml names."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import tomllib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.harness import Fact, Files, Problem, file_rule, replace, rule, tool_rule
from tests.rules.languages.folders import write_all
from tests.toolchains import tool

MANIFEST, LOCK, DEV_LOCK = "pyproject.toml", "requirements.txt", "requirements-dev.txt"
COPIER_LOCK = "scripts/copier.txt"
METRICS = "app/metrics.py"


def _project(content: bytes) -> dict[str, Any]:
    return tomllib.loads(content.decode())


def _read_by_ruff(files: Files) -> Hashable:
    project = _project(files[MANIFEST]) if MANIFEST in files else {}
    settings = (str(project.get("tool", {}).get("ruff")), project.get("project", {}).get("requires-python"))
    return (settings, *(item for item in files.items() if item[0].endswith(".py")))


@tool_rule("*.py", MANIFEST, sets="distinct", choose=_read_by_ruff)
def ruff(batch: Sequence[Files], scratch: Path) -> Iterator[list[Problem]]:
    """Ruff, with the settings of the project, finds nothing and formats nothing."""
    # Projects in other languages have a script in Python, but no settings.
    write_all([files if MANIFEST in files else {} for files in batch], scratch)
    found: list[dict[Problem, None]] = [{} for _ in batch]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [tool("ruff"), *command, "--no-cache", "--output-format=json", "."],
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        if "No Python files found" in done.stderr:
            continue
        if done.returncode not in (0, 1, 2) or not done.stdout:
            raise RuntimeError(done.stderr)
        for item in json.loads(done.stdout):
            number, *path = Path(item["filename"]).relative_to(scratch.resolve()).parts
            message = f"{item['code']}: {item['message']}"
            found[int(number)][Problem("/".join(path), message, str(item["location"]["row"]))] = None
    yield from map(list, found)


ruff.rejects("code that the formatter changes", METRICS, replace(" = ", "  =  "), message="unformatted")
ruff.rejects(
    "a variable that nothing uses", METRICS, replace("    return ", "    unused = 1\n    return "), message="F841"
)
ruff.rejects("code that does not parse", METRICS, replace("import ", "imports "), message="invalid-syntax")


def _needs(content: bytes) -> tuple[list[str], list[str]]:
    """What the service needs, and what its development needs too."""
    project = _project(content)
    return project["project"]["dependencies"], [
        need for group in project.get("dependency-groups", {}).values() for need in group
    ]


@functools.cache
def _locked(content: bytes) -> dict[str, str]:
    pins = re.findall(r"^([\w.-]+)==([\w.!+]+)", content.decode(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


@rule(needs=Fact(MANIFEST, _needs), locked=Fact(LOCK, _locked), locked_dev=Fact(DEV_LOCK, _locked))
def dependencies_are_locked(
    needs: tuple[list[str], list[str]] | None, locked: Mapping[str, str], locked_dev: Mapping[str, str]
) -> Iterator[Problem]:
    """The locks hold a version of each dependency in pyproject.toml, and one that it allows."""
    service, development = needs or ([], [])
    for path, wanted, versions in ((LOCK, service, locked), (DEV_LOCK, [*service, *development], locked_dev)):
        for need in map(Requirement, wanted):
            version = versions.get(canonicalize_name(need.name))
            if not version:
                yield Problem(path, f"does not hold {need.name}")
            elif not need.specifier.contains(version, prereleases=True):
                yield Problem(path, f"holds {need.name} {version}, which {MANIFEST} does not allow", f"{need.name}==")


dependencies_are_locked.rejects("a dependency that is not locked", MANIFEST, replace('"fastapi', '"slowapi'))
dependencies_are_locked.rejects("a version that is not allowed", MANIFEST, replace("fastapi~=", "fastapi~=9"))
dependencies_are_locked.rejects("a lock without a dependency", LOCK, replace("\nfastapi==", "\nfastapis=="))
dependencies_are_locked.rejects("a lock without a tool", DEV_LOCK, replace("\npytest==", "\npytests=="))


@file_rule("requirements*.txt", COPIER_LOCK)
def locks_are_exact_and_hashed(path: str, content: bytes) -> Iterator[Problem]:
    """Each package has one exact version and hashes, from whatever index the user has: a lock names no address."""
    text = content.decode()
    for entry in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
        name = entry.split()[0]
        if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry):
            yield Problem(path, f"{name} has no hash", name)
        if not re.match(r"[\w.-]+==", entry):
            yield Problem(path, f"{name} has no exact version", name)
    for address in re.findall(r"\w+://\S+|--(?:extra-)?index-url\S*|--find-links\S*| @ \S+", text):
        yield Problem(path, f"has the address {address}", address)


locks_are_exact_and_hashed.rejects(
    "a package without hashes", LOCK, replace("annotated-types==", "attrs==1.0\nannotated-types==")
)
locks_are_exact_and_hashed.rejects(
    "an address", LOCK, replace("annotated-types==", "--index-url https://example.com/\nannotated-types==")
)
locks_are_exact_and_hashed.rejects("no exact version", LOCK, replace("annotated-types==", "annotated-types>="))
