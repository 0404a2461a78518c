import pytest
from alembic import command
from alembic.config import Config


@pytest.mark.usefixtures("schema")
def test_the_migrations_make_what_the_models_describe() -> None:
    command.check(Config(toml_file="pyproject.toml"))
