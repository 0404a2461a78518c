"""The databases of services: to add one is a record here, its tables in extensions/, and its folders in template/."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Database:
    name: str  # as the question has it
    port: int
    server: tuple[str, ...]  # prints the version of the server
    backup: str  # the suffix of a backup


DATABASES = {
    database.name: database
    for database in (
        Database(name="postgres", port=5432, server=("postgres", "--version"), backup="dump"),
        Database(name="mysql", port=3306, server=("mysqld", "--version"), backup="sql.gz"),
        Database(name="redis", port=6379, server=("redis-server", "--version"), backup="rdb"),
    )
}

VARIANTS = (*DATABASES, "none")
"""What the question offers."""
