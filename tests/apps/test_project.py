"""What a developer does in a rendered project."""

from pathlib import Path

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


def test_the_tests_refuse_a_database_that_is_not_for_tests(project: Project, server: Server | None) -> None:
    if server is None:
        return
    server.create_database("precious")
    try:
        project.make("test", server.environment("precious"))
    except AssertionError as failure:
        assert "does not end in test" in str(failure)
    else:
        raise AssertionError("The tests ran.")


def sources(folder: Path) -> dict[Path, bytes]:
    """Return every file that is not a tool's own."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith((".venv", "__pycache__")) or "_cache" in part for part in path.parts)
    }
