"""A project of 0.2.0 to which a team has added a resource: what an update leaves to it, all in CHANGELOG.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.updates.project import History, assert_same, files, fresh, start, stored, update
from tests.e2e.updates.second_resource import DOCUMENT, VERSION, add_orders, operations, with_orders
from tests.harness import File, Projects
from tests.languages import LANGUAGES

IMPORTS = """\
from app import NAME, health, items, problems
from app.dependencies import State
from app.middleware import PROBES, RequestMiddleware
"""

CONFLICT = f"""\
<<<<<<< before updating
from app import NAME, health, items, orders, problems
from app.database import Database
from app.middleware import RequestMiddleware
=======
{IMPORTS}>>>>>>> after updating
"""

DROPPED = {"typescript": "src/web.ts", "go": "internal/web/web.go"}
"""The files with the routes, which have another name now: Copier drops them with what the team added."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_update_of_a_second_resource(history: History, projects: Projects, tmp_path: Path, language: str) -> None:
    project = tmp_path / "shop"
    start(history.repository, project, {"project_name": "Shop", "language": language}, VERSION)
    released = files(project)
    added = add_orders(project, language)
    before, wanted = files(project), fresh(projects, stored(project), {})
    wanted |= {path: before[path] for path in added}
    if language == "python":
        routers = "    app.include_router(items.router)\n"
        edit(wanted, "app/web.py", IMPORTS, CONFLICT)
        edit(wanted, "app/web.py", routers, routers + routers.replace("items", "orders"))
        models = "import app.items.models  # noqa: F401\n"
        edit(wanted, "migrations/env.py", models, "import app.items.models\nimport app.orders.models  # noqa: F401\n")
    elif language == "go":
        document, team = wanted[DOCUMENT].content.decode(), operations(released[DOCUMENT].content.decode())
        wanted[DOCUMENT] = wanted[DOCUMENT]._replace(content=with_orders(document, team).encode())
    if language in DROPPED:
        assert b"/orders" in before[DROPPED[language]].content
        assert DROPPED[language] not in wanted
    update(project, {})
    assert_same(files(project), wanted)


def edit(wanted: dict[str, File], path: str, before: str, after: str) -> None:
    content = wanted[path].content.decode()
    assert before in content
    wanted[path] = wanted[path]._replace(content=content.replace(before, after, 1).encode())
