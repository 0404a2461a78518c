"""Makes pytest collect rules: a test that all projects follow each, and a test for every fault that it rejects."""

from __future__ import annotations

import difflib
import gc
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateSyntaxError

from tests.harness.projects import Files, Projects, matches
from tests.harness.report import report
from tests.harness.rules import Fault, Rule, rules_of_subject
from tests.harness.template import ROOT, Template, copy_working_tree

counts: dict[str, str] = {}
"""What was rendered and checked, printed at the end."""
Count = Callable[[str, "int | str"], None]
notes: set[str] = set()
"""Notes for the test report, such as skipped tests."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of rules."""
    parser.addoption("--exhaustive", action="store_true", help="give tools every distinct set of files, not a sample")
    parser.addoption("--only", metavar="WHAT", help="a rule, a file of rules, or a file of the template: its rules")


def pytest_configure() -> None:
    """Millions of objects live to the end: to look through them for garbage took a third of the time."""
    gc.set_threshold(1_000_000, 50, 50)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The template of the working tree; nothing can be tested of one that Jinja cannot read."""
    template = Template(copy_working_tree(tmp_path_factory.mktemp("template")))
    try:
        template.sources  # noqa: B018
    except (ValueError, NotImplementedError, TemplateSyntaxError) as error:
        pytest.exit(f"The template cannot be read: {error}", returncode=2)
    return template


@pytest.fixture(scope="session")
def count() -> Count:
    """Has a number printed at the end."""
    return lambda what, number: counts.update({what: number if isinstance(number, str) else f"{number:,}"})


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> Any:
    """Collect the tests of a rule."""
    found = yield
    if not isinstance(obj, Rule) or obj.module != collector.obj.__name__ or collector.path.name.startswith("test_"):
        return found
    tests = [("holds", _holds(obj))] + [
        (f"{'rejects' if fault.rules else 'accepts'} {fault.title}", _has_fault(obj, fault)) for fault in obj.faults
    ]
    return [pytest.Function.from_parent(collector, name=f"{name} {title}", callobj=test) for title, test in tests]


def _holds(rule: Rule) -> Any:
    def holds(projects: Projects, request: pytest.FixtureRequest) -> None:
        projects.exhaustive = bool(request.config.getoption("exhaustive"))
        if failed := report(projects, rule, rule.run(projects)):
            pytest.fail(failed, pytrace=False)

    return holds


def _has_fault(rule: Rule, fault: Fault) -> Any:
    def has_fault(references: Mapping[str, Files]) -> None:
        try:
            fault.test(rules_of_subject(sys.modules[rule.module]), references)
        except AssertionError as error:
            message = f"{rule.name}: the fault {fault.title!r}: {error}"
            raise pytest.fail.Exception(message, pytrace=False) from None

    return has_fault


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose a rule, the tests of a file or folder, or the rules that read what a file of the template renders."""
    if only := config.getoption("only"):
        keep = _chosen(only, items)
        if not keep:
            close = difflib.get_close_matches(only, {name for item in items for name in _names(item)}, 1)
            raise pytest.UsageError(
                "ONLY must be a rule, a file below tests/rules or a file below template/: "
                f"{only} is none of them.{f' Did you mean {close[0]}?' if close else ''}"
            )
        config.hook.pytest_deselected(items=[item for item in items if item not in keep])
        items[:] = keep


def _chosen(only: str, items: list[pytest.Item]) -> list[pytest.Item]:
    path = Path(only).resolve()
    if not path.exists():
        return [item for item in items if only in _names(item)]
    if path.is_relative_to(ROOT / "template"):
        rendered = _rendered(path.relative_to(ROOT / "template"))
        # Faults test the rule, not the template.
        return [item for item in items if item.name.endswith(" holds") and _reads(_rule(item), rendered)]
    return [item for item in items if item.path.is_relative_to(path) and path != ROOT]


def _rule(item: pytest.Item) -> Rule | None:
    found = getattr(getattr(item.getparent(pytest.Module), "obj", None), item.name.split(" ")[0], None)
    return found if isinstance(found, Rule) else None


def _names(item: pytest.Item) -> set[str]:
    rule = _rule(item)
    return {item.name.split(" ")[0], rule.name} if rule else {item.name}


def _rendered(path: Path) -> tuple[str, ...]:
    """Patterns of what a file of the template renders; of an expression in a name any text may come."""
    texts = ["*" if "{{" in part else part for part in str(path).removesuffix(".jinja").split("/")]
    return ("/".join(texts), "/".join(text for text in texts if text != "*"))


def _reads(rule: Rule | None, names: tuple[str, ...]) -> bool:
    return rule is not None and any(
        matches(name, rule.patterns) or any(matches(pattern, names) for pattern in rule.patterns) for name in names
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what a worker counted to the process that prints it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput.update(counts=counts, notes=sorted(notes))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker counted and noted."""
    counts.update(getattr(node, "workeroutput", {}).get("counts", {}))
    notes.update(getattr(node, "workeroutput", {}).get("notes", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was counted and noted, and the seconds of each module."""
    seconds: dict[str, float] = {}
    for outcome in ("passed", "failed", "error", ""):
        for done in terminalreporter.stats.get(outcome, []):
            if isinstance(done, pytest.TestReport):
                name = str(Path(done.nodeid.split("::")[0]))
                seconds[name] = seconds.get(name, 0) + done.duration
    if counts:
        terminalreporter.section("what was rendered and checked")
        for what, number in counts.items():
            terminalreporter.write_line(f"{number:>12}  {what}")
        for name, spent in sorted(seconds.items(), key=lambda item: -item[1]):
            terminalreporter.write_line(f"{spent:>10.1f} s  {name}")
    for note in sorted(notes):
        terminalreporter.write_line(note)
