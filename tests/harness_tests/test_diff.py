"""The changes of a template edit are reported for exactly the changed projects."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.harness import Projects
from tests.harness_tests.conftest import SMALL
from tests.tools.diff import changed_files

Make = Callable[[Mapping[str, str]], Projects]
COMPUTED = "{name}: {{type: bool, default: \"{{{{ database == 'redis' }}}}\", when: false}}\n"
A = "port: {{ port }}\nsize: {{ size | tojson }}\n"


def test_versions_with_other_questions_and_computed_values(make: Make) -> None:
    config = SMALL["copier.yml"]
    old = {"copier.yml": config + COMPUTED.format(name="cached"), "template/a.yml.jinja": A + "c: {{ cached }}\n"}
    before = make(old)
    assert [before.column(path) for path in before.paths("*")]  # rendered now: the next version has the same folder
    assert not dict(changed_files(before, before))
    after = make(
        {
            "copier.yml": f"{config}{COMPUTED.format(name='fast')}extra: {{type: bool, help: Extra, default: false}}\n",
            "template/a.yml.jinja": A + "c: {{ fast }}\n{% if extra and details %}\nx: 1\n{% endif %}\n",
        }
    )
    changed = dict(changed_files(before, after))
    assert changed.keys() == {"a.yml"}
    rows = changed["a.yml"].select("details", "extra").unique().to_dicts()
    assert rows == [{"details": True, "extra": True}]
