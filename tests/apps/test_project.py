"""What a developer does in a rendered project."""

from pathlib import Path

import pytest

from tests.apps.project import Project
from tests.apps.servers import Server


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
    assert " passed" in project.make("test", environment)


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
        if path.is_file() and not any(part == ".venv" or "cache" in part for part in path.relative_to(folder).parts)
    }
