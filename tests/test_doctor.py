"""`make doctor` names each tool that is missing or too old, and succeeds otherwise."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import copier
import pytest

from tests.harness import Template

TOOLS = {
    "git": "git version 2.52.0",
    "docker": "Client:\n Version: 29.1\nServer:\n Version: 29.1",
    "python3": "Python 3.14.2",
    "kubectl": "Client Version: v1.36.4",
    "helm": 'version.BuildInfo{Version:"v4.3.2", GoVersion:"go1.27.3"}',
}


@pytest.fixture(scope="module")
def project(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor") / "shop"
    copier.run_copy(str(template.folder), folder, defaults=True, quiet=True, settings=copier.Settings())
    return folder


def doctor(project: Path, tmp_path: Path, tools: dict[str, str]) -> tuple[int, str]:
    """Run it with these tools only, each of which prints its version."""
    for name in ("bash", "cat", "env", "grep", "head", "sort"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    for name, version in tools.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\ncat <<'EOF'\n{version}\nEOF\n")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": str(tmp_path)}
    environment.pop("PYTHON", None)
    done = subprocess.run(
        ["scripts/doctor.sh"], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_every_tool_is_listed_with_its_version(project: Path, tmp_path: Path) -> None:
    status, printed = doctor(project, tmp_path, TOOLS)
    assert status == 0, printed
    assert [line for line in printed.splitlines() if line.startswith(("git", "Docker Compose", "Python", "Helm"))] == [
        "Python: 3.14.2", "git: 2.52.0", "Docker Compose: 29.1", "Helm: 4.3.2",
    ]  # fmt: skip


@pytest.mark.parametrize("name", TOOLS)
def test_a_missing_tool_fails(project: Path, tmp_path: Path, name: str) -> None:
    status, printed = doctor(project, tmp_path, {other: version for other, version in TOOLS.items() if other != name})
    assert status == 1
    label = {"docker": "Docker", "python3": "Python", "helm": "Helm"}.get(name, name)
    assert f"{label}: missing or not running. Requires " in printed


@pytest.mark.parametrize(
    ("name", "version", "sentence"),
    [
        ("helm", "v3.19.0", "Helm: 3.19.0 is too old. Requires 4.0 or later"),
        ("helm", "a build of my own", "Helm: unknown version. Requires 4.0 or later"),
        ("python3", "Python 3.9.6", "Python: 3.9.6 is too old. Requires 3.13 or later"),
        ("docker", "2.39.1", "Docker Compose: 2.39.1 is too old. Requires 2.40 or later"),
    ],
)
def test_an_old_tool_fails(project: Path, tmp_path: Path, name: str, version: str, sentence: str) -> None:
    status, printed = doctor(project, tmp_path, TOOLS | {name: version})
    assert status == 1
    assert sentence in printed
