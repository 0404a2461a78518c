"""What a developer does in a rendered project."""

import copy
import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.apps.project import Project
from tests.e2e.apps.servers import Server

PASSED = {"python": r"^=+ \d{2,} passed", "typescript": r"^. pass \d{2,}$", "go": r"^DONE \d{2,} tests"}
"""How the runner of each language's tests says that they passed."""

TOOLS = {".venv", "node_modules", "dist", "bin"}
"""Folders that hold no source of the project's, beside caches."""

OFFLINE = {"typescript": {"npm_config_offline": "true"}, "go": {"GOPROXY": "off"}}
"""What keeps each language's packager from the network; Python's has no such mode."""


@pytest.mark.languages(*OFFLINE)
def test_it_builds_of_what_was_downloaded_once(project: Project, tmp_path: Path) -> None:
    again = copy.copy(project)
    again.path = tmp_path / "again"
    shutil.copytree(project.path, again.path, ignore=shutil.ignore_patterns(*TOOLS))
    again.make("build", OFFLINE[project.language])


def test_lint_finds_nothing(project: Project) -> None:
    project.make("lint")


def test_format_changes_nothing(project: Project) -> None:
    before = sources(project.path)
    project.make("format")
    assert sources(project.path) == before


def test_the_tests_pass(project: Project, server: Server | None) -> None:
    environment = {}
    if server is not None:
        server.create_database("app_test")
        environment = server.environment("app_test")
    output = project.make("test", environment)
    assert re.search(PASSED[project.language], output, re.MULTILINE), output


@pytest.mark.databases("postgres", "mysql", "redis")
def test_the_tests_refuse_a_database_that_is_not_for_tests(project: Project, server: Server) -> None:
    server.create_database("precious")
    with pytest.raises(AssertionError, match="does not end in test"):
        project.make("test", server.environment("precious"))


def sources(folder: Path) -> dict[Path, bytes]:
    """Return every file that is not a tool's own."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part in TOOLS or "cache" in part for part in path.relative_to(folder).parts)
    }
