"""What `make docs` writes is current, and what the documents name exists."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from tests.e2e import newcomer
from tests.harness import ROOT, Projects, Space, Template
from tests.harness.dialog import Dialog
from tests.harness.template import COMPANY, copy_working_tree
from tests.options import space_of
from tests.rules.syntax import is_readable
from tests.tools.docs import SESSION, generated


def test_generated_documents_are_current(projects: Projects, tmp_path: Path) -> None:
    if COMPANY:
        template = Template(copy_working_tree(tmp_path, company=""))
        projects = Projects(template, space_of(template), is_readable)
    for path, text in generated(projects).items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path}: run `make docs`"


def test_picture_shows_the_questions_and_the_message(space: Space) -> None:
    texts = re.findall("<text[^>]*>(.*?)</text>", (ROOT / SESSION).read_text(encoding="utf-8"))
    picture = html.unescape("".join(texts)).replace("\xa0", " ")
    for name in Dialog(space).asked({}):
        question = space.template.questions[name]
        for line in (*question["help"].splitlines(), *question.get("choices", ())):
            assert line in picture, f"{line}: run `make docs`"
    message = (ROOT / "extensions/after_copy.jinja").read_text(encoding="utf-8")
    for line in re.findall("^  make .*?  +#", message, re.MULTILINE):
        assert line in picture, f"{line}: run `make docs`"


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


def test_newcomer_runs_commands_unless_they_are_exceptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: set[str] = set()
    monkeypatch.setattr(newcomer, "notes", notes)
    table, ran = tmp_path / "table.yml", list[str]()
    table.write_text("page: {Run: {make a: 'not run: slow', 'make {name}': 'run as: make {name}2'}}")
    reader = newcomer.Newcomer("here", table, {"name": "b"}, ran.append)
    reader.follow("page", "## Run\n```sh\nmake a   # first\n\nmake b\nmake \\\n  c\n```\n```\nmake d\n```\n")
    assert ran == ["make b2", "make c"]
    assert notes == {
        "First hour here: page, Run: `make a` not run: slow",
        "First hour here: page, Run: `make b` run as: make {name}2",
    }
    with pytest.raises(AssertionError, match=r"page has no commands {.'Run', 'make b'.}"):
        reader.follow("page", "## Run\n```sh\nmake a\nmake c\n```\n")
