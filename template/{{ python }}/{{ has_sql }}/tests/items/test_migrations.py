import shutil
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from app import migrate
from app.database import Database, DatabaseUnavailableError
from app.settings import Settings

pytestmark = pytest.mark.usefixtures("prepared_database")


def test_the_migrations_match_the_models() -> None:
    command.check(Config(toml_file="pyproject.toml"))


def test_a_schema_ahead_of_the_code_is_a_success(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Settings
) -> None:
    shutil.copy("pyproject.toml", tmp_path)
    shutil.copytree("migrations", tmp_path / "migrations", ignore=shutil.ignore_patterns("*_*.py"))
    monkeypatch.chdir(tmp_path)
    assert migrate.migrate(settings) == 0


def test_a_migration_that_fails_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Settings
) -> None:
    shutil.copy("pyproject.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert migrate.migrate(settings) == 1


def test_migrate_waits_for_the_database(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    answers = iter([DatabaseUnavailableError("refused"), None])

    async def ping(_: Database) -> None:
        if error := next(answers):
            raise error

    monkeypatch.setattr(Database, "ping", ping)
    assert migrate.migrate(settings) == 0
    assert next(answers, "none is left") == "none is left"


def test_migrate_gives_up(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(migrate, "WAIT", -1)
    assert migrate.migrate(settings.model_copy(update={"database_host": "127.0.0.1", "database_port": 1})) == 1
