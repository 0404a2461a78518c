"""Rules are exact: what they find, for which answers, and what they may read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness import At, Fact, Files, Problem, Projects, Rule, agreement, file_rule, rule, tool_rule
from tests.harness.documents import NotFoundError, add, change, line_of, load, remove, replace, write
from tests.harness.report import report
from tests.harness.rules import Fault

Make = Callable[[Mapping[str, str]], Projects]
port = agreement("port", {"a.yml": At("port"), "b.yml": At("port"), "c.yml": At("port")})


@file_rule("*.yml")
def sizes_are_small(path: str, content: bytes) -> Iterator[Problem]:
    """No size is large."""
    if load(content).get("size") == "large":
        yield Problem(path, "is large", "size")


@tool_rule("*.yml", sets="distinct")
def a_tool(batch: Sequence[Files], scratch: Path) -> Iterator[list[Problem]]:
    """No project has a file c.yml."""
    assert scratch.is_dir()
    yield from ([Problem("c.yml", "is there")] if "c.yml" in files else [] for files in batch)


@rule(redis=Fact("c.yml"), names=Fact("d/*"), sizes=Fact("a.y*", At("size")))
def no_large_redis(redis: bool, names: list[str], sizes: Mapping[str, Any]) -> Iterator[Problem]:
    """Redis is not large."""
    if redis:
        assert names == ["d/e.txt"]
        yield from (Problem(path, f"{size} with Redis") for path, size in sizes.items() if size == "large")


def text(projects: Projects, rule: Rule) -> str:
    return report(projects, rule, rule.run(projects))


def test_a_rule_that_holds_reports_nothing(small: Projects) -> None:
    assert text(small, port) == ""


def test_disagreement_lists_the_differing_file_and_its_projects(make: Make) -> None:
    broken = make({"template/b.yml.jinja": "a: 1\nport: {{ port + (1 if redis and details else 0) }}\n"})
    told = text(broken, port)
    assert "  b.yml:2: the files disagree about the port: a.yml: 8080, b.yml: 8081, c.yml: 8080\n" in told
    assert "    template  template/b.yml.jinja:2\n" in told
    assert "    in        2 of 8 projects, exactly those with database = redis and details = true\n" in told
    assert "    answers   database='redis' details=True\n" in told
    assert told.endswith("--quiet --data=database=redis --data=details=true . ../project")


def test_facts_are_of_one_file_of_several_and_of_none(small: Projects) -> None:
    told = text(small, no_large_redis)
    assert "  a.yml:1: large with Redis\n" in told
    assert "in        1 of 8 projects, exactly those with database = redis and size = large\n" in told


def test_failure_of_edge_cases_only_is_reported_as_such(make: Make) -> None:
    broken = make({"template/b.yml.jinja": "port: {{ 2 if port == 1 else port }}\n"})
    assert re.search(
        r"in        no project with typical answers, and \d+ with edge cases\n.*port=1", text(broken, port)
    )


def test_a_file_rule_names_all_that_have_the_content(small: Projects) -> None:
    assert "in        2 of 8 projects, exactly those with size = large\n" in text(small, sizes_are_small)
    assert "  a.yml:2: is large\n" in text(small, sizes_are_small)


def test_a_tool_sees_every_distinct_set(small: Projects) -> None:
    told = text(small, a_tool)
    assert "  c.yml:1: is there\n" in told
    assert re.search(r"in        \d of \d sampled projects, exactly those with database = redis\n", told)
    assert "    answers   database='redis'\n" in told


def test_unparsable_file_is_skipped_by_rules(make: Make) -> None:
    broken = make({"template/b.yml.jinja": "port: {{ port }}\n{% if redis %}\n: [\n{% endif %}"})

    def is_readable(_: str, content: bytes) -> bool:
        try:
            yaml.safe_load(content)
        except yaml.YAMLError:
            return False
        return True

    assert "b.yml:1: cannot be read: " in text(broken, port)
    assert text(Projects(broken.template, broken.space, is_readable), port) == ""


def test_a_rule_about_a_file_that_no_project_has_is_refused(small: Projects) -> None:
    with pytest.raises(ValueError, match=r"reads x\.yml, which no project has"):
        list(agreement("x", {"x.yml": At("port")}).run(small))


def test_a_rule_without_a_docstring_is_refused() -> None:
    with pytest.raises(TypeError, match="has no docstring that states it"):
        file_rule("*")(lambda _, __: iter(()))


FILES = {
    "a.yml": b"# x\nport: 1\nlist:\n  - name: x\n    size: 2\n  - y\n",
    "b.yml": b"port: 1\n",
    "c.json": b'{"a": [1]}',
}


@pytest.mark.parametrize(
    ("path", "edit", "pointer", "value"),
    [
        ("a.yml", change("port", 2), "port", 2),
        ("a.yml", change("list.[name=x].size", 3), "list.0.size", 3),
        ("a.yml", add("list", "z"), "list.2", "z"),
        ("a.yml", add("list.0.'a.b'", 1), "list.0.'a.b'", 1),
        ("a.yml", remove("list.1"), "list", [{"name": "x", "size": 2}]),
        ("a.yml", replace("port: 1", "port: 9"), "port", 9),
        ("c.json", change("a.0", 5), "a", [5]),
        ("d.yml", write("port: 3\n"), "port", 3),
    ],
)
def test_edits(path: str, edit: Any, pointer: str, value: object) -> None:
    broken = Fault("", ((path, edit),), frozenset(), None).apply(FILES)
    assert At(pointer)(broken[path]) == value
    assert {**broken, path: b""} == {**FILES, path: b""}, "another file is changed"


@pytest.mark.parametrize(
    ("path", "edit"),
    [
        ("a.yml", change("ports", 1)), ("a.yml", change("port", 1)), ("a.yml", remove("list.[name=z]")),
        ("a.yml", add("port", 2)), ("a.yml", replace("absent", "x")), ("x.yml", change("a", 1)),
    ],
)  # fmt: skip
def test_an_edit_that_changes_nothing_is_refused(path: str, edit: Any) -> None:
    with pytest.raises((NotFoundError, AssertionError)):
        Fault("", ((path, edit),), frozenset(), None).test([], {"one": dict(load_dumped())})


def load_dumped() -> Mapping[str, bytes]:
    """Files that an ineffective edit leaves unchanged."""
    return {path: yaml.safe_dump(load(content), sort_keys=False).encode() for path, content in FILES.items()}


def test_a_fault_is_found_by_its_rules_and_no_others() -> None:
    wanted = {"port_is_the_same_everywhere"}
    rules = [port, sizes_are_small]
    Fault("", (("b.yml", change("port", 2)),), frozenset(wanted), None).test(rules, {"one": FILES})
    for edit, expected in ((change("port", 2), {"sizes_are_small"}), (write("port: 1\na: 1\n"), wanted)):
        with pytest.raises(AssertionError, match="found in the project 'one'"):
            Fault("", (("b.yml", edit),), frozenset(expected), None).test(rules, {"one": FILES})
    with pytest.raises(AssertionError, match="update this fault: not found in any reference project: ports"):
        Fault("", (("b.yml", change("ports", 2)),), frozenset(), None).test(rules, {"one": FILES})


@pytest.mark.parametrize(
    ("where", "line"), [("", 1), ("5", 5), ("port", 2), ("list.[name=x].size", 5), ("- y", 6), ("nothing", 1)]
)
def test_lines(where: str, line: int) -> None:
    assert line_of(FILES["a.yml"], where) == line


def test_line_of_a_resource() -> None:
    both = b"kind: Service\nmetadata:\n  name: a\n---\nkind: Service\nmetadata:\n  name: b\n"
    assert line_of(both, "Service/b") == 5
