"""What a developer does in a rendered project."""

import copy
import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.apps.project import Project
from tests.e2e.apps.servers import Server

PASSED = {"python": r"^=+ \d{2,} passed", "typescript": r"^. pass \d{2,}$", "go": r"^DONE \d{2,} tests"}
"""The output of each language's test runner on success."""

TOOLS = {".venv", "node_modules", "dist", "bin"}
"""Folders that hold no source of the project's, beside caches."""

OFFLINE = {"typescript": {"npm_config_offline": "true"}, "go": {"GOPROXY": "off"}}
"""What keeps each language's packager from the network; Python's has no such mode."""


@pytest.mark.languages(*OFFLINE)
def test_project_builds_offline(project: Project, tmp_path: Path) -> None:
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


@pytest.mark.databases("none")
def test_the_tests_pass_where_few_ports_are_free(project: Project) -> None:
    """Other processes often take the ports that a test has found free."""
    few = "ip link set lo up; echo 40000 40127 > /proc/sys/net/ipv4/ip_local_port_range"
    arguments = " ".join(f"{name}={value}" for name, value in project.toolchain.items())
    command = f"unshare --user --map-root-user --net bash -euc '{few}; make test {arguments}'"
    output = project.shell(command)
    assert re.search(PASSED[project.language], output, re.MULTILINE), output


@pytest.mark.databases("postgres")
def test_the_tests_fail_without_their_database(project: Project, server: Server) -> None:
    with pytest.raises(AssertionError, match=r"make test.* failed"):
        project.make("test", server.environment("absent_test"))


@pytest.mark.databases("postgres", "mysql", "redis")
def test_the_tests_refuse_a_database_that_is_not_for_tests(project: Project, server: Server) -> None:
    server.create_database("precious")
    with pytest.raises(AssertionError, match="does not end in test"):
        project.make("test", server.environment("precious"))


NEW_DEPENDENCY = {
    "python": ("pyproject.toml", "dependencies = [\n", 'dependencies = [\n  "itsdangerous>=2",\n', "requirements.txt"),
    "typescript": (
        "package.json",
        '"dependencies": {\n',
        '"dependencies": {\n    "nanoid": "^5",\n',
        "package-lock.json",
    ),
    "go": ("main.go", "import (\n", 'import (\n\t_ "github.com/rs/xid"\n', "go.sum"),
}
"""Of each language, where a dependency is added, a text and its replacement there, and the lock."""


ADDRESS = re.compile(r'index-url|find-links|"resolved"|://\S+\.(whl|tar\.gz|tgz|zip)\b')
"""What a lock has where it names the host of a package. The page of its sponsors may stand there."""


@pytest.mark.databases("none")
def test_lock_adds_a_dependency_without_upgrading_others(project: Project, tmp_path: Path) -> None:
    changed = project.copy_to(tmp_path / "changed")
    manifest, old, new, lock = NEW_DEPENDENCY[project.language]
    text = (changed.path / manifest).read_text(encoding="utf-8")
    assert old in text
    (changed.path / manifest).write_text(text.replace(old, new, 1), encoding="utf-8")
    before = (changed.path / lock).read_text(encoding="utf-8").splitlines()
    changed.make("lock")
    after = (changed.path / lock).read_text(encoding="utf-8").splitlines()
    assert len(after) > len(before)
    assert [line for line in before if line not in after] == []
    assert not [line for line in after if ADDRESS.search(line)]
    changed.make("build")


@pytest.mark.languages("python")
@pytest.mark.databases("none")
def test_lint_finds_a_misspelt_name_of_the_state(project: Project, tmp_path: Path) -> None:
    changed = project.copy_to(tmp_path / "changed")
    health = changed.path / "app" / "health.py"
    text = health.read_text(encoding="utf-8")
    assert "state.stopping" in text
    health.write_text(text.replace("state.stopping", "state.stoping"), encoding="utf-8")
    with pytest.raises(AssertionError, match='"State" has no attribute "stoping"'):
        changed.make("lint")


@pytest.mark.languages("go")
@pytest.mark.databases("postgres")
def test_editors_leave_the_imports_as_they_are(project: Project) -> None:
    """goimports is what editors run when they save a file."""
    tool = "go tool -modfile=tools/go.mod golangci-lint"
    project.shell(f'test -z "$({tool} fmt --no-config --enable=goimports --diff)"')


def sources(folder: Path) -> dict[Path, bytes]:
    """Return every file that is not a tool's own."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part in TOOLS or "cache" in part for part in path.relative_to(folder).parts)
    }
