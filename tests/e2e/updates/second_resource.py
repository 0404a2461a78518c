"""What a team did to a project of 0.2.0: it copied the example resource, as there was no guide to add one."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.updates.project import change, commit
from tests.harness import ROOT

VERSION = "0.2.0"

COPIED = {"python": "app/items", "typescript": "src/items", "go": "internal/items"}

MIGRATIONS = {
    "python": ("migrations/versions/0001_create_items.py", "migrations/versions/0002_create_orders.py"),
    "typescript": ("migrations/0001.do.create-items.sql", "migrations/0002.do.create-orders.sql"),
    "go": ("migrations/0001_create_items.sql", "migrations/0002_create_orders.sql"),
}

EDITS: dict[str, list[tuple[str, str, str]]] = {
    "python": [
        ("app/web.py", "health, items, problems", "health, items, orders, problems"),
        (
            "app/web.py",
            "    app.include_router(items.router)\n",
            "    app.include_router(items.router)\n    app.include_router(orders.router)\n",
        ),
        (
            "migrations/env.py",
            "import app.items.models  # noqa: F401\n",
            "import app.items.models\nimport app.orders.models  # noqa: F401\n",
        ),
        (
            "migrations/versions/0002_create_orders.py",
            'revision = "0001"\ndown_revision = None\n',
            'revision = "0002"\ndown_revision = "0001"\n',
        ),
    ],
    "typescript": [
        (
            "src/web.ts",
            'import { items } from "./items/router.ts";\n',
            'import { items } from "./items/router.ts";\nimport { orders } from "./orders/router.ts";\n',
        ),
        (
            "src/web.ts",
            '  app.register(items, { prefix: "/items", database });\n',
            """\
  app.register(items, { prefix: "/items", database });
  app.register(orders, { prefix: "/orders", database });
""",
        ),
    ],
    "go": [
        ("internal/web/web.go", '\t"app/internal/items"\n', '\t"app/internal/items"\n\t"app/internal/orders"\n'),
        (
            "internal/web/web.go",
            "\treturn withRequests",
            """\
\tapi := orders.New(database)
\trouter.handle("/orders", methods{http.MethodGet: api.List, http.MethodPost: api.Create})
\trouter.handle("/orders/{id}", methods{http.MethodGet: api.Get, http.MethodDelete: api.Delete})
\treturn withRequests""",
        ),
    ],
}

DOCUMENT = "internal/web/openapi.json"


def add_orders(project: Path, language: str) -> set[str]:
    """Add orders to a project, commit, and return the paths that are new."""
    folder = COPIED[language]
    copies = {path: renamed(path) for path in paths(project / folder, project) if not path.endswith("_test.go")}
    copies |= dict([MIGRATIONS[language]])
    for path, copy in copies.items():
        (project / copy).parent.mkdir(exist_ok=True)
        (project / copy).write_text(renamed((project / path).read_text()))
    for path, before, after in EDITS[language]:
        change(project / path, before, after)
    if language == "go":
        document = project / DOCUMENT
        document.write_text(with_orders(document.read_text(), operations(document.read_text())))
    commit(project)
    return set(copies.values())


def paths(folder: Path, project: Path) -> list[str]:
    return [str(path.relative_to(project)) for path in sorted(folder.rglob("*")) if path.is_file()]


def renamed(text: str) -> str:
    """Replace items by orders, except in what JSON Schema calls items."""
    text = text.replace("items", "orders").replace("Items", "Orders").replace("item", "order").replace("Item", "Order")
    return text.replace("orders: Order }", "items: Order }")


def operations(document: str) -> str:
    """The operations of items in an OpenAPI document, for orders, with the same schemas."""
    start, end = document.index('    "/items": {'), document.index('\n  },\n  "components"')
    return (
        renamed(document[start:end])
        .replace("schemas/Order", "schemas/Item")
        .replace("schemas/NewOrder", "schemas/NewItem")
    )


def with_orders(document: str, added: str) -> str:
    """The document with these operations, as the last."""
    return document.replace('\n  },\n  "components"', f',\n{added}\n  }},\n  "components"')


def commands(language: str) -> str:
    """The commands of CHANGELOG.md after the update, in a block that begins with the language's name."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    [found] = re.findall(rf"```sh\n# {language}\n(.*?)```", changelog, re.DOTALL | re.IGNORECASE)
    return str(found)
