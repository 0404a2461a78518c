"""What `make docs` writes is current, and what the documents name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness import ROOT, Projects, Template
from tests.harness.template import COMPANY, copy_working_tree
from tests.options import space_of
from tests.rules.syntax import is_readable
from tests.tools.docs import generated


def test_what_is_generated_is_current(projects: Projects, tmp_path: Path) -> None:
    if COMPANY:
        template = Template(copy_working_tree(tmp_path, company=""))
        projects = Projects(template, space_of(template), is_readable)
    for path, text in generated(projects).items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path}: run `make docs`"


@pytest.mark.parametrize("document", ["AGENTS.md", "CONTRIBUTING.md", "docs/platform-teams.md"])
def test_targets_exist(document: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE)
    assert {*named} - {*targets} == set()


@pytest.mark.parametrize(
    "document", [path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))], ids=str
)
def test_links_lead_to_files(document: Path) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / document).parent.joinpath(link).exists(), link
