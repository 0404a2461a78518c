"""Words of the table of databases reach every YAML file unchanged, whatever characters they are made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import copier
import pytest

from tests.harness import Template, load_all

AWKWARD_WORDS = [
    "key: value", "word #comment", "key:", "it's", '"quoted"', "yes", "Null", "~", "1e3", "0o17", "1:30", "2026-11-22",
    "=", "*alias", "&anchor", "- item", "{x}", "[x", "...", "", " leading", "trailing ", "a\ttab", "back\\slash",
    "$HOME $(id)", "{{ x }}", "héllo 🎉", "two\nlines", "two\n  lines\n", "lines\n\n", "\nline",
]  # fmt: skip
PLAIN_WORDS = [f"plain{number:02}word" for number in range(len(AWKWARD_WORDS))]


def row(words: list[str]) -> dict[str, Any]:
    return {
        "image": words[0],
        "data": f"/{words[0]}",
        "writable": [f"/{word}" for word in words],
        "environment": {f"NAME{number}": word for number, word in enumerate(words)} | {words[5]: "", words[9]: ""},
        "command": words,
        "health": words,
    }


def rendered(template: Template, folder: Path, database: str, words: list[str]) -> dict[str, list[Any]]:
    """The parsed YAML files of a project with these words in its database's table."""
    shutil.copytree(template.folder, folder / "template")
    with (folder / "template/extensions/databases.jinja").open("a") as table:
        table.write(f"{{% set _ = databases.{database}.update({json.dumps(row(words), ensure_ascii=False)}) %}}\n")
    answers = {"project_name": "Shop", "database": database}
    copier.run_copy(
        str(folder / "template"),
        folder / "project",
        data=answers,
        defaults=True,
        quiet=True,
        settings=copier.Settings(),
    )
    found = (folder / "project").rglob("[a-z]*.y*ml")
    return {str(path.relative_to(folder / "project")): load_all(path.read_bytes()) for path in found}


def replaced(value: Any, *, compose: bool) -> Any:
    """With awkward words in the place of plain ones; Compose reads $$ as $."""
    if isinstance(value, dict):
        return {replaced(key, compose=False): replaced(item, compose=compose) for key, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, compose=compose) for item in value]
    for plain, awkward in zip(PLAIN_WORDS, AWKWARD_WORDS, strict=True) if isinstance(value, str) else ():
        value = value.replace(plain, awkward.replace("$", "$$") if compose else awkward)
    return value


@pytest.mark.parametrize("database", ["postgres", "mysql", "redis"])
def test_awkward_words_of_a_table_read_back_unchanged(template: Template, tmp_path: Path, database: str) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "awkward").mkdir()
    plain = rendered(template, tmp_path / "plain", database, PLAIN_WORDS)
    awkward = rendered(template, tmp_path / "awkward", database, AWKWARD_WORDS)
    assert {"common.yml", "docker-compose.yml", "prod.yml", "kubernetes/database/statefulset.yaml"} <= plain.keys()
    assert "plain01word" in str(plain["common.yml"]), "the changed table is used"
    for path, documents in plain.items():
        assert awkward[path] == replaced(documents, compose="/" not in path), path


def test_plain_words_stay_unquoted(template: Template) -> None:
    tables: Any = template.env.get_template("extensions/escapes.jinja").module
    for word in (
        "app",
        "--host=127.0.0.1",
        "docker.io/library/redis:8.6",
        "1.36.3",
        "sh -c $(cat x) | grep -q y",
        "a:b",
    ):
        assert str(tables.yaml_word(word)) == word
    assert str(tables.yaml_word("two\n  lines\n", 2)) == "|\n  two\n    lines"
