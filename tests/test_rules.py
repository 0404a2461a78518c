"""Every rule has a fault that it alone finds, and every rendered file is checked by a rule about its content."""

from __future__ import annotations

import functools
import importlib
from collections import Counter

from tests.harness import ROOT, Projects, Rule
from tests.harness.rules import rules_of

TOOLS = {"hadolint", "every_entry_point_builds"}
LOOKS = {"layout", "renovate"}
"""The modules whose rules look at any text: they do not read a file by its format."""


@functools.cache
def rules() -> list[Rule]:
    """Every rule of tests/rules."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / "tests/rules").rglob("*.py"))
    names = (str(path).replace("/", ".") for path in paths if path.name not in ("conftest", "__init__"))
    return [rule for name in names for rule in rules_of(importlib.import_module(name))]


def test_every_rule_has_a_fault_that_it_alone_finds(projects: Projects) -> None:
    """Except for a tool with a less clear message."""
    lacking = [
        f"{rule.module}.{rule.name}"
        for rule in rules()
        if all(fault.rules - TOOLS != {rule.name} - TOOLS for fault in rule.faults)
    ]
    projects.count("rules", len(rules()))
    projects.count("faults, each found by its rules and no others", sum(len(rule.faults) for rule in rules()))
    assert not lacking, "add a fault with `rejects` for each"


def test_no_fault_stands_twice() -> None:
    for rule in rules():
        titles = Counter(fault.title for fault in rule.faults)
        assert max(titles.values(), default=1) == 1, f"{rule.module}.{rule.name}: {titles.most_common(1)}"


def test_no_two_rules_of_a_module_have_one_name() -> None:
    names = Counter((rule.module, rule.name) for rule in rules())
    assert max(names.values()) == 1, names.most_common(1)


def test_every_file_is_read_by_a_rule(projects: Projects) -> None:
    reading = [rule for rule in rules() if rule.module.rpartition(".")[2] not in LOOKS]
    unread = [path for path in projects.paths("*") if not any(rule.reads([path]) for rule in reading)]
    assert not unread, "no rule reads what these say"
