"""No text has a forbidden pattern of docs/style.md, and `make texts` lists those that users see."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.harness import ROOT
from tests.tools.texts import pairs, texts

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
def test_forbidden_pattern_is_absent(pattern: str) -> None:
    command = ["git", "grep", "--line-number", "--perl-regexp", "--untracked", "-I", pattern, "--", ".", *EXCEPT]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout == ""


def test_patterns_match_their_list() -> None:
    assert len(PATTERNS) > 10
    command = ["git", "grep", "--perl-regexp", r"\bstays as it is\b", "--", STYLE]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("kind", "place", "text"),
    [
        ("Prompts", "service_name", "Service name (service_name)"),
        ("Prompts", "ci_provider", "GitLab      GitLab CI/CD"),
        ("Targets", "drain", "Drain NODE, respecting PodDisruptionBudgets"),
        ("Messages of targets and scripts", "kubernetes.mk.jinja", "ENVIRONMENT must be local, staging or production."),
        ("Headings", "README.md.jinja", "## Requirements"),
        ("CI, API document, alerts", "{{ circleci }}/config.yml.jinja", "job propose-update"),
        ("Programs", "{{ go }}/internal/problem/problem.go", "The request is invalid."),
    ],
)
def test_a_text_of_each_kind_is_listed(kind: str, place: str, text: str) -> None:
    assert text in texts(ROOT)[kind][place]


def test_changed_texts_are_paired_in_their_order() -> None:
    before, after = {"up": ["a", "b", "c"], "down": ["d"]}, {"up": ["a", "x", "y", "c"]}
    assert [*pairs(before, after)] == [("up", "b", "x"), ("up", "", "y"), ("down", "d", "")]
