"""`make deploy` and `make push` require a clean working tree at the commit TAG."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import copier
import pytest

from tests.e2e.docker.project import GIT_USER
from tests.harness import Template

CHANGED = "uncommitted changes"


@pytest.fixture
def project(template: Template, tmp_path: Path) -> Path:
    """A project with two commits."""
    folder = tmp_path / "shop"
    copier.run_copy(str(template.folder), folder, defaults=True, quiet=True, settings=copier.Settings())
    run(folder, "git", "init", "--quiet")
    for name in ("first", "second"):
        (folder / name).touch()
        run(folder, "git", "add", "--all")
        run(folder, "git", *GIT_USER, "commit", "--quiet", f"--message={name}")
    return folder


def run(folder: Path, *command: str, check: bool = True) -> str:
    """Run a command, and return all that it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert (done.returncode == 0) == check, done.stdout
    return done.stdout


@pytest.mark.parametrize("tag", ["", "HEAD", "a-build-of-a-team"])
def test_a_clean_tree_is_accepted(project: Path, tag: str) -> None:
    assert run(project, "make", "committed", *([f"TAG={tag}"] if tag else [])) == ""


@pytest.mark.parametrize("arguments", [(), ("TAG=HEAD",)])
@pytest.mark.parametrize("path", ["Dockerfile", "kubernetes/base/new.yaml"])
def test_changed_and_new_files_are_refused(project: Path, path: str, arguments: tuple[str, ...]) -> None:
    (project / path).write_text("changed")
    told = run(project, "make", "committed", *arguments, check=False)
    assert CHANGED in told
    assert path in told


def test_another_commit_is_refused(project: Path) -> None:
    commit = run(project, "git", "rev-parse", "HEAD~1").strip()
    assert f"Check out {commit} first." in run(project, "make", "committed", f"TAG={commit}", check=False)
    run(project, "git", "checkout", "--quiet", commit)
    assert run(project, "make", "committed", f"TAG={commit}") == ""


def test_a_folder_without_a_commit_is_refused(project: Path) -> None:
    (project / ".git").rename(project.parent / "git")
    assert "not a git repository" in run(project, "make", "committed", check=False)
    assert run(project, "make", "committed", "TAG=a-build-of-a-team") == ""


def test_a_local_deploy_takes_any_tree(project: Path) -> None:
    planned = run(project, "make", "--dry-run", "deploy", "ENVIRONMENT=local")
    assert CHANGED not in planned
    assert CHANGED in run(project, "make", "--dry-run", "deploy", "ENVIRONMENT=staging")
