"""Python: the rendered project's own formatter and linter change nothing, and its locks hold what it needs."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.validators import Files, Finding
from tests.validators.kustomize import tool


def lint(sets: Sequence[Files], scratch: Path) -> list[list[Finding]]:
    """What ruff says of each set of files with that set's own configuration, in two calls."""
    for index, files in enumerate(sets):
        for path, content in files.items():
            target = scratch / str(index) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    found: list[list[Finding]] = [[] for _ in sets]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [tool("ruff"), *command, "--no-cache", "--output-format=json", "."],
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in (0, 1, 2) or not done.stdout:
            raise RuntimeError(done.stderr)
        for item in json.loads(done.stdout):
            folder, *inside = Path(item["filename"]).relative_to(scratch.resolve()).parts
            line = str(item["location"]["row"])
            finding = Finding("/".join(inside), line, item["code"], item["message"])
            if finding not in found[int(folder)]:
                found[int(folder)].append(finding)
    return found


def check_project(files: Files) -> Iterator[Finding]:
    """pyproject.toml is valid, and the locks hold every dependency, with hashes and without addresses."""
    project = tomllib.loads(files["pyproject.toml"].decode())
    groups = {
        "requirements.txt": project["project"]["dependencies"],
        "requirements-dev.txt": [
            *project["project"]["dependencies"],
            *(item for group in project.get("dependency-groups", {}).values() for item in group),
        ],
    }
    for path, wanted in groups.items():
        locked = _locked(files[path].decode())
        for text in wanted:
            need = Requirement(text)
            version = locked.get(canonicalize_name(need.name))
            if not version:
                yield Finding(path, "1", "lock", f"does not hold {need.name}")
            elif not need.specifier.contains(version, prereleases=True):
                yield Finding(path, "1", "lock", f"holds {need.name} {version}, which pyproject.toml does not allow")


@functools.cache
def _locked(text: str) -> dict[str, str]:
    return {
        canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([\w.!+]+)", text, re.MULTILINE)
    }


def check_locks(files: Files) -> Iterator[Finding]:
    for path, content in files.items():
        yield from _check_lock(path, content.decode())


def _check_lock(path: str, text: str) -> Iterator[Finding]:
    for entry in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
        name = entry.split()[0]
        if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry):
            yield Finding(path, name, "lock", "has no hash")
        if not re.match(r"[\w.-]+==", entry):
            yield Finding(path, name, "lock", "names no exact version")
    for address in re.findall(r"\w+://\S+|--(?:extra-)?index-url\S*|--find-links\S*| @ \S+", text):
        yield Finding(path, "1", "lock", f"has the address {address}")
