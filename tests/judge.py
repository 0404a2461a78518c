"""How a finding becomes a failure that names the smallest answers, both files and lines, the check, and a command."""

from __future__ import annotations

import functools
import itertools
import os
import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from tests.render import Rendered, Renderer
from tests.space import Answers
from tests.validators import Files, Finding

_SHOWN = 10  # findings; to find the smallest answers of one takes a second


class Judge:
    """Runs a check over rendered files and fails once for all findings."""

    def __init__(self) -> None:
        self.renderer: Renderer | None = None  # of the template that is judged
        self.counts: dict[str, str] = {}
        self.seconds: dict[str, float] = {}

    def __call__(self, rendered: Iterable[Rendered], check: Callable[[Files], Iterable[Finding]]) -> None:
        """Fail if the check finds anything in any of these."""
        self.found((one, findings(check, one.files)) for one in rendered)

    def found(self, results: Iterable[tuple[Rendered, Iterable[Finding]]]) -> None:
        """Fail if anything was found, or nothing was looked at."""
        checked = 0
        first: dict[tuple[str, str, str], tuple[Finding, Rendered]] = {}
        times: dict[tuple[str, str, str], int] = {}
        for rendered, findings in results:
            checked += 1
            for finding in findings:
                key = (finding.path, finding.where, finding.message)
                if key not in first or self._unusual(rendered) < self._unusual(first[key][1]):
                    first[key] = (finding, rendered)
                times[key] = times.get(key, 0) + 1
        assert checked, "nothing was rendered to check"
        if first:
            shown = itertools.islice(first.values(), _SHOWN)
            told = "\n".join(self._tell(finding, rendered) for finding, rendered in shown)
            more = f"\n  … and {len(first) - _SHOWN} more" if len(first) > _SHOWN else ""
            test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
            pytest.fail(
                f"{len(first)} different findings, {sum(times.values())} in all, in {checked} renders:\n{told}{more}\n"
                f"Check again: .venv/bin/pytest '{test}'",
                pytrace=False,
            )

    def count(self, what: str, number: int | str) -> None:
        """Have a number printed at the end."""
        self.counts[what] = number if isinstance(number, str) else f"{number:,}"

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Have the time printed that this takes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - start

    def _unusual(self, rendered: Rendered) -> int:
        """How many answers are not the defaults."""
        return sum(self._defaults.get(name) != value for name, value in rendered.answers.items())

    @functools.cached_property
    def _defaults(self) -> Mapping[str, Any]:
        return self.renderer.context({}) if self.renderer else {}

    def _tell(self, finding: Finding, rendered: Rendered) -> str:
        if self.renderer is None:
            return f"  {finding}\n    with      {rendered}"
        answers = smallest(self.renderer, finding, rendered)
        project = self.renderer.project(dict(answers))
        context = self.renderer.context(dict(answers))
        lines = [str(finding)]
        place = place_of(finding, {path: file.content for path, file in project.items()})
        if place:
            path, line = place
            if path != finding.path:
                lines.append(f"rendered  {path}:{line}")
            lines.append(f"template  {self.renderer.origin(path, line, context)}")
        data = [f"--data={name}={_text(value)}" for name, value in answers.items()]
        command = [".venv/bin/copier", "copy", "--vcs-ref=HEAD", "--defaults", "--quiet", *data, ".", "../project"]
        given = " ".join(f"{name}={value!r}" for name, value in answers.items())
        lines += [f"answers   {given or 'any'}", f"render    {shlex.join(command)}"]
        return "  " + "\n    ".join(lines)


def place_of(finding: Finding, files: Mapping[str, bytes]) -> tuple[str, int] | None:
    """The file and line that a finding is about, also when it is about a resource that Kustomize has built of them."""
    if finding.path in files:
        return finding.path, int(finding.where) if finding.where.isdecimal() else 1
    kind, _, name = finding.where.partition("/")
    for path, content in files.items():
        text = content.decode()
        found = re.search(rf"^kind: {re.escape(kind)}$", text, re.MULTILINE) if path.endswith(".yaml") else None
        if found and re.search(rf"^  name: \"?{re.escape(name)}\"?$", text, re.MULTILINE):
            return path, text.count("\n", 0, found.start()) + 1
    return None


def smallest(renderer: Renderer, finding: Finding, rendered: Rendered) -> Answers:
    """The fewest answers that render the same as these, each other at its default.

    The same is the file of the finding, or all files that were checked if it has none.
    """
    paths = [finding.path] if finding.path in rendered.files else [path for path in rendered.files if path[-1] != "/"]
    wanted = {path: rendered.files[path] for path in paths}
    kept: Answers = dict(rendered.answers)
    for name in reversed(list(kept)):
        fewer = {other: value for other, value in kept.items() if other != name}
        if _renders(renderer, fewer, wanted):
            kept = fewer
    return kept


def _renders(renderer: Renderer, answers: Answers, wanted: Mapping[str, bytes]) -> bool:
    try:
        project = renderer.project(dict(answers))
    except ValueError:  # an answer that is allowed only together with the one that was left out
        return False
    return all(path in project and project[path].content == content for path, content in wanted.items())


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def findings(check: Callable[[Files], Iterable[Finding]], files: Files) -> list[Finding]:
    """What the check finds; a file that it cannot even read is a finding too."""
    try:
        return list(check(files))
    except yaml.YAMLError as error:
        return [Finding(next(iter(files)), "", "unreadable", " ".join(str(error).split()))]
