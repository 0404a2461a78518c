"""Marks that name the databases on which a test can differ."""

import pytest

with_database = pytest.mark.databases("postgres", "mysql", "redis")
with_sql = pytest.mark.databases("postgres", "mysql")
with_postgres = pytest.mark.databases("postgres")
with_mysql = pytest.mark.databases("mysql")
with_redis = pytest.mark.databases("redis")
without_database = pytest.mark.databases("none")
without_sql = pytest.mark.databases("redis", "none")
