"""The texts of this repository have none of the patterns that docs/style.md forbids."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.harness import ROOT

STYLE = "docs/style.md"
PATTERNS = re.findall(r"(?s)## Forbidden patterns.*?```text\n(.*?)```", (ROOT / STYLE).read_text())[0].splitlines()
EXCEPT = [
    f":!{STYLE}",
    ":!CHANGELOG.md",
    ":!tests/releases",
    ":!*-lock.json",
    ":!*.lock",
    ":!*.sum",
    ":!LICENSE",
    ":!requirements*.txt",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_forbidden_pattern_is_nowhere(pattern: str) -> None:
    command = ["git", "grep", "--line-number", "--perl-regexp", "--untracked", "-I", pattern, "--", ".", *EXCEPT]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout == ""


def test_the_patterns_are_found_where_they_are_listed() -> None:
    assert len(PATTERNS) > 10
    command = ["git", "grep", "--perl-regexp", r"\bstays as it is\b", "--", STYLE]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
