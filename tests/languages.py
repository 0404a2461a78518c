"""The languages of services: to add one is a record here, its folders in template/, and its rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    name: str  # as the question has it
    program: tuple[str, ...]  # runs the service, from the project's root and after `make build`
    source: str  # a source file, which any change of the service may change
    settings: str  # the source file that reads the environment
    server: Mapping[str, str]  # the source files of server, migrations and middleware, and the tests nearest to each
    manifest: str  # the files that name dependencies
    requires: str  # the line of a manifest that names the oldest version
    lock: str  # the file that locks the dependencies of the service
    locks: Mapping[str, str]  # for each kind of lock, what matches the name and the version of a dependency
    images: Mapping[str, tuple[str, ...]]  # short names of the images, and what prints their version
    ahead: str  # SQL that records a migration which the image does not have, in the table of the language's tool


LANGUAGES = {
    language.name: language
    for language in (
        Language(
            name="python",
            program=(".venv/bin/python", "-m", "app"),
            source="app/health.py",
            settings="app/settings.py",
            server={
                "app/server.py": "tests/test_server.py tests/test_tracing.py",
                "app/migrate.py": "tests/items/test_migrations.py tests/test_cli.py",
                "app/middleware.py": "tests/test_web.py tests/test_logs.py tests/test_metrics.py",
            },
            manifest="pyproject.toml",
            requires='requires-python = ">={}"',
            lock="requirements.txt",
            locks={"requirements*.txt": r"^(\S+)==(\S+)"},
            images={"python": ("python", "--version")},
            ahead="UPDATE alembic_version SET version_num = '9999'",
        ),
        Language(
            name="typescript",
            program=("node", "src/main.ts"),
            source="src/plugins/health.ts",
            settings="src/settings.ts",
            server={
                "src/server.ts": "tests/server.test.ts",
                "src/migrate.ts": "tests/migrate.test.ts",
                "src/plugins/requests.ts": "tests/requests.test.ts",
            },
            manifest="package.json",
            requires='"node": ">={}"',
            lock="package-lock.json",
            locks={"package-lock.json": r'^    "(node_modules/\S+)": \{\n      "version": "(\S+)"'},
            images={"node": ("node", "--version"), "nodejs26-debian13": ("/nodejs/bin/node", "--version")},
            ahead="INSERT INTO schema_version (version, name) VALUES (9999, 'ahead')",
        ),
        Language(
            name="go",
            program=("bin/app",),
            source="internal/health/health.go",
            settings="internal/settings/settings.go",
            server={
                "internal/server/server.go": ".",
                "internal/migrate/migrate.go": ". ./internal/items",
                "internal/web/middleware.go": "./internal/web",
            },
            manifest="*go.mod",
            requires="\ngo {}.0\n",
            lock="go.sum",
            # Those that are not direct may have another version in each variant, and go.sum follows from go.mod.
            locks={"go.mod": r"^\t(\S+) (v\S+)$", "go.sum": r"(?!)"},
            images={"golang": ("go", "version")},
            ahead="INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)",
        ),
    )
}
