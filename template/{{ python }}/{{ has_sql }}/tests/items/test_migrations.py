import pytest
from alembic import command
from alembic.config import Config


@pytest.mark.usefixtures("prepared_database")
def test_the_migrations_match_the_models() -> None:
    command.check(Config(toml_file="pyproject.toml"))
