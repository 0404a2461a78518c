"""A small template: two choices, a number, a text, and five files that depend on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.harness import Projects, Space, Template

SMALL = {
    "copier.yml": """\
_subdirectory: template
_envops: {trim_blocks: true, lstrip_blocks: true, keep_trailing_newline: true, undefined: jinja2.StrictUndefined}
database: {type: str, help: Database, choices: [none, postgres, redis], default: none}
port: {type: int, help: Port, default: 8080, validator: ''}
details: {type: bool, help: Details, default: false}
size:
  type: str
  help: Size
  default: small
  when: "{{ details and database != 'none' }}"
  validator: "{% if size == 'huge' %}too large{% endif %}"
redis: {type: str, default: "{{ '.' if database == 'redis' else '' }}", when: false}
""",
    "template/a.yml.jinja": "port: {{ port }}\nsize: {{ size | tojson }}\n",
    "template/b.yml.jinja": "port: {{ port }}\n",
    "template/{{ redis }}/c.yml.jinja": "port: {{ port }}\nname: c\n",
    "template/{{ redis }}/d/e.txt": "text\n",
    "template/{{_copier_conf.answers_file}}.jinja": "{{ _copier_answers | to_nice_yaml }}",
}
REPRESENTATIVES = {"size": ["large"]}
EDGE_CASES: dict[str, list[object]] = {"size": ["yes", "huge"], "port": [1]}


@pytest.fixture
def make(tmp_path: Path) -> Callable[[Mapping[str, str]], Projects]:
    """Makes all projects of the small template, some of its files changed."""

    def make(changed: Mapping[str, str]) -> Projects:
        for name, text in {**SMALL, **changed}.items():
            path = tmp_path / "small" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        folder = Template(tmp_path / "small")
        return Projects(folder, Space(folder, REPRESENTATIVES, EDGE_CASES))

    return make


@pytest.fixture
def small(make: Callable[[Mapping[str, str]], Projects]) -> Projects:
    """All projects of the small template."""
    return make({})
