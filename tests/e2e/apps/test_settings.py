"""Settings: every error is printed at once, and --help lists them all."""

from pathlib import Path

import pytest

from tests.databases import DATABASES
from tests.e2e.apps.conftest import Start
from tests.e2e.apps.markers import with_database, with_postgres, without_database
from tests.e2e.apps.project import Project

REQUIRED = {"DATABASE_HOST", "DATABASE_NAME", "DATABASE_PASSWORD_FILE", "DATABASE_USER"}
DEFAULTS = {"LOG_LEVEL": "info", "SERVICE_VERSION": "dev"}
DATABASE_DEFAULTS = {"DATABASE_TLS": "verify", "DATABASE_POOL_SIZE": "10"}


def required(project: Project) -> set[str]:
    """Return the settings without a default."""
    if project.database == "none":
        return set()
    return REQUIRED - {"DATABASE_USER"} if project.database == "redis" else REQUIRED


def errors_of(project: Project, command: str, environment: dict[str, str]) -> dict[str, str]:
    """Return the variables that the program refuses, and why."""
    status, output, errors = project.run(command, environment=environment)
    assert (status, output) == (2, "")
    lines = dict(line.split(": ", 1) for line in errors.splitlines())
    assert all(lines.values())
    assert len(lines) == len(errors.splitlines())
    return lines


@with_postgres
@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_every_invalid_setting_is_listed(project: Project, environment: dict[str, str], command: str) -> None:
    errors = errors_of(project, command, environment | {"PORT": "80", "METRICS_PORT": "x", "LOG_LEVEL": "loud"})
    assert errors.keys() == {"PORT", "METRICS_PORT", "LOG_LEVEL"}
    assert errors["PORT"] == "must be a number from 1024 to 65535"
    assert all(level in errors["LOG_LEVEL"] for level in ("debug", "info", "warning", "error"))


@without_database
@pytest.mark.parametrize(
    "port", ["0", "1023", "65536", "-8080", "+8080", "8080.0", "8_080", " 8080", "8e3", "\uff18080", "9" * 400]
)
def test_port_is_a_number_from_1024_to_65535(project: Project, port: str) -> None:
    assert errors_of(project, "serve", {"PORT": port}) == {"PORT": "must be a number from 1024 to 65535"}


@without_database
def test_ports_differ(project: Project) -> None:
    assert errors_of(project, "serve", {"PORT": "9999", "METRICS_PORT": "9999"}).keys() == {"METRICS_PORT"}


@with_database
def test_every_missing_setting_is_listed(project: Project) -> None:
    assert errors_of(project, "serve", {}).keys() == required(project)
    assert errors_of(project, "serve", dict.fromkeys(REQUIRED, "")).keys() == required(project)


@without_database
def test_empty_variable_counts_as_missing(start: Start) -> None:
    service = start(LOG_LEVEL="", SERVICE_VERSION="")
    assert service.client.get("/").json()["version"] == "dev"


@with_database
def test_invalid_database_settings_are_listed(project: Project, environment: dict[str, str], tmp_path: Path) -> None:
    invalid = {
        "DATABASE_PORT": "0",
        "DATABASE_TLS": "maybe",
        "DATABASE_POOL_SIZE": "0",
        "DATABASE_PASSWORD_FILE": str(tmp_path / "missing"),
    }
    errors = errors_of(project, "serve", environment | invalid)
    assert errors.keys() == invalid.keys()
    assert "no such file or directory" in errors["DATABASE_PASSWORD_FILE"].lower()


@with_postgres
def test_password_file_must_be_readable_and_not_empty(
    project: Project, environment: dict[str, str], tmp_path: Path
) -> None:
    def error_of(path: Path) -> str:
        return errors_of(project, "serve", environment | {"DATABASE_PASSWORD_FILE": str(path)})[
            "DATABASE_PASSWORD_FILE"
        ]

    empty = tmp_path / "empty"
    empty.touch()
    assert "directory" in error_of(tmp_path).lower()
    assert error_of(empty)


@with_postgres
@pytest.mark.parametrize("size", ["-1", "1001", "x", "1.5", "+5"])
def test_pool_size_is_a_number_from_1_to_1000(project: Project, environment: dict[str, str], size: str) -> None:
    assert errors_of(project, "serve", environment | {"DATABASE_POOL_SIZE": size}).keys() == {"DATABASE_POOL_SIZE"}


def test_help_lists_commands_and_settings(project: Project) -> None:
    status, output, errors = project.run("--help", environment={})
    assert (status, errors) == (0, "")
    defaults = DEFAULTS | {"PORT": "8080", "METRICS_PORT": "9090"}
    if project.database != "none":
        defaults |= DATABASE_DEFAULTS | {"DATABASE_PORT": str(DATABASES[project.database].port)}
    settings = {*defaults, *required(project)}
    missing = {word for word in ("serve", "migrate", "healthcheck", *settings) if word not in output}
    assert missing == set()
    lines = output.splitlines()
    without_default = {
        name
        for name, default in defaults.items()
        if not any(name in line and default in " ".join(lines[index : index + 3]) for index, line in enumerate(lines))
    }
    assert without_default == set()
    if project.database in {"none", "redis"}:
        assert "DATABASE_USER" not in output


@without_database
def test_unknown_command_is_refused(project: Project) -> None:
    status, _, errors = project.run("dance", environment={})
    assert status == 2
    assert "dance" in errors
