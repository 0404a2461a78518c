"""What all tests share: the rendered space, and how a finding becomes a failure that names answers, file and check."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render import Rendered, Renderer
from tests.space import Space, describe
from tests.template import Template, copy_working_tree
from tests.validators import Files, Finding

_seconds: dict[str, float] = {}
_counts: dict[str, str] = {}


class Judge:
    """Runs a check over rendered files and fails once for all findings."""

    def __call__(self, rendered: Iterable[Rendered], check: Callable[[Files], Iterable[Finding]]) -> None:
        self.found((one, findings(check, one.files)) for one in rendered)

    def found(self, results: Iterable[tuple[Rendered, Iterable[Finding]]], *, at_least: int = 1) -> None:
        checked = 0
        first: dict[tuple[str, str, str], tuple[Finding, Rendered]] = {}
        times: dict[tuple[str, str, str], int] = {}
        for rendered, findings in results:
            checked += 1
            for finding in findings:
                key = (finding.path, finding.where, finding.message)
                first.setdefault(key, (finding, rendered))
                times[key] = times.get(key, 0) + 1
        assert checked >= at_least, "nothing was rendered to check"
        if first:
            pytest.fail(
                f"{sum(times.values())} findings in {checked} renders, each with the first answers that show it:\n"
                + "\n".join(
                    f"  {finding}\n      with {rendered}" for finding, rendered in itertools.islice(first.values(), 40)
                ),
                pytrace=False,
            )

    def count(self, what: str, number: int | str) -> None:
        _counts[what] = number if isinstance(number, str) else f"{number:,}"

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            _seconds[name] = _seconds.get(name, 0) + time.perf_counter() - start


def findings(check: Callable[[Files], Iterable[Finding]], files: Files) -> list[Finding]:
    """What the check finds; a file that it cannot even read is a finding too."""
    try:
        return list(check(files))
    except yaml.YAMLError as error:
        return [Finding(next(iter(files)), "", "unreadable", " ".join(str(error).split()))]


@pytest.fixture(scope="session")
def judge() -> Judge:
    return Judge()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(copy_working_tree(tmp_path_factory.mktemp("template")))


@pytest.fixture(scope="session")
def space(template: Template, judge: Judge) -> Space:
    space = Space(template)
    judge.count("combinations of answers", describe(space.count()))
    return space


@pytest.fixture(scope="session")
def renderer(template: Template, space: Space) -> Renderer:
    """Everything that the template can render."""
    return Renderer(template, space)


@pytest.fixture(autouse=True)
def _no_settings_of_the_person_who_runs_the_tests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(tmp_path / "no-settings.yml"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


# The files with the longest tests start first, so that both workers end at about the same time.
FIRST = ("test_kubernetes", "test_render", "test_update", "test_files", "test_validators", "test_compose")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput.update(counts=_counts, seconds=_seconds)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker counted."""
    _counts.update(node.workeroutput.get("counts", {}))
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
