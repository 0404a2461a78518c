"""Renders a Copier template for every combination of answers, and checks rules of what is rendered.

It knows Copier and its questions, and nothing of what a template renders.
"""

from tests.harness.documents import At, add, change, load, load_all, remove, replace, write
from tests.harness.projects import File, Files, Projects, Sample
from tests.harness.rules import (
    Fact,
    Failure,
    Problem,
    Rule,
    accepts,
    agreement,
    failures_of,
    file_rule,
    rejects,
    rule,
    tool_rule,
)
from tests.harness.space import Answers, Space
from tests.harness.template import ANSWERS_FILE, ROOT, Template

__all__ = [
    "ANSWERS_FILE", "ROOT", "Answers", "At", "Fact", "Failure", "File", "Files", "Problem", "Projects",
    "Rule", "Sample", "Space", "Template", "accepts", "add", "agreement", "change", "failures_of",
    "file_rule", "load", "load_all", "rejects", "remove", "replace", "rule", "tool_rule", "write",
]  # fmt: skip
