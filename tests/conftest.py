"""What all tests share: the template, its space and renderer, and what need not be looked at again."""

from __future__ import annotations

import gc
import os
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests import passed, verdicts
from tests.e2e.requirements import notes
from tests.judge import Judge
from tests.render import Renderer
from tests.space import Space, describe
from tests.template import Template, copy_working_tree

_judge = Judge()
_counts, _seconds = _judge.counts, _judge.seconds
_outcomes: dict[str, set[str]] = {}
_before: set[str] = set()  # the tests that passed earlier


@pytest.fixture(scope="session")
def judge() -> Judge:
    return _judge


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(copy_working_tree(tmp_path_factory.mktemp("template")))


@pytest.fixture(scope="session")
def space(template: Template, judge: Judge) -> Space:
    space = Space(template)
    judge.count("combinations of answers", describe(space.count()))
    return space


@pytest.fixture(scope="session")
def renderer(template: Template, space: Space, judge: Judge) -> Renderer:
    """Everything that the template can render."""
    judge.renderer = Renderer(template, space)
    return judge.renderer


@pytest.fixture(autouse=True)
def _no_settings_of_the_person_who_runs_the_tests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(tmp_path / "no-settings.yml"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


# The files with the longest tests start first, so that both workers end at about the same time.
FIRST = (
    "test_kubernetes",
    "test_files",
    "test_render",
    "test_compose",
    "test_questions",
    "test_validators",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fresh", action="store_true", help="run every test, and forget what earlier runs have found")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("fresh") or os.environ.get("CI"):
        verdicts.forget()
    passed.look()
    # Millions of objects live to the end: to look through them for garbage took a third of the time.
    gc.set_threshold(1_000_000, 50, 50)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))
    keys = {item.nodeid: passed.key(item.nodeid) for item in items if _is_decided_by_files(item.nodeid)}
    before = verdicts.passed(keys.values())
    if known := [item for item in items if keys.get(item.nodeid) in before]:
        _before.update(item.nodeid for item in known)
        config.hook.pytest_deselected(items=known)
        items[:] = [item for item in items if item.nodeid not in _before]


def _is_decided_by_files(test: str) -> bool:
    """Real toolchains, servers, engines and clusters are the machine's: their tests run each time."""
    return PurePosixPath(test.partition("::")[0]).parts[1] not in ("apps", "cluster", "engine", "scan")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _outcomes.setdefault(report.nodeid, set()).add(report.outcome)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput.update(
            counts=_counts, seconds=_seconds, before=sorted(_before), notes=sorted(notes)
        )
        return
    well = [test for test, outcomes in _outcomes.items() if outcomes == {"passed"} and _is_decided_by_files(test)]
    verdicts.note_passed(map(passed.key, well))
    key = passed.key_of_counts(session.config.args)
    (earlier,) = verdicts.known([key]) or [{}]
    for what, number in earlier.items():
        _counts.setdefault(what, number)
    verdicts.note({key: _counts})
    if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and _before:
        session.exitstatus = pytest.ExitCode.OK


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker counted and noted."""
    _counts.update(node.workeroutput.get("counts", {}))
    _before.update(node.workeroutput.get("before", []))
    notes.update(node.workeroutput.get("notes", []))
    for name, seconds in node.workeroutput.get("seconds", {}).items():
        _seconds[name] = _seconds.get(name, 0) + seconds


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed", "error", ""):
        for report in terminalreporter.stats.get(outcome, []):
            if isinstance(report, pytest.TestReport):
                name = Path(report.nodeid.split("::")[0]).stem
                _seconds[name] = _seconds.get(name, 0) + report.duration
    if _counts:
        terminalreporter.section("what was rendered and checked")
        for what, number in _counts.items():
            terminalreporter.write_line(f"{number:>12}  {what}")
        for name, seconds in sorted(_seconds.items(), key=lambda item: -item[1]):
            terminalreporter.write_line(f"{seconds:>10.1f} s  {name}")
    if _before:
        terminalreporter.write_line(
            f"{len(_before)} tests passed before with the same files and were not run again; --fresh runs them too."
        )
