"""The databases of services: to add one is a record here, its tables in extensions/, and its folders in template/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Database:
    name: str  # as the question has it
    port: int
    has_sql: bool  # and with that, migrations
    server: tuple[str, ...]  # prints the version of the server
    backup: str  # the suffix of a backup
    clients: Mapping[str, str]  # programs of backups, and the Debian package of each


DATABASES = {
    database.name: database
    for database in (
        Database(
            name="postgres",
            port=5432,
            has_sql=True,
            server=("postgres", "--version"),
            backup="dump",
            clients=dict.fromkeys(("pg_dump", "pg_restore", "psql"), "postgresql-client"),
        ),
        Database(
            name="mysql",
            port=3306,
            has_sql=True,
            server=("mysqld", "--version"),
            backup="sql.gz",
            clients=dict.fromkeys(("mysqldump", "mysql"), "mariadb-client"),
        ),
        Database(
            name="redis",
            port=6379,
            has_sql=False,
            server=("redis-server", "--version"),
            backup="rdb",
            clients={"redis-cli": "redis-tools", "redis-check-rdb": "redis-tools", "redis-server": "redis-server"},
        ),
    )
}

VARIANTS = (*DATABASES, "none")
"""What the question offers."""
