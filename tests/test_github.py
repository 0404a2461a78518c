"""GitHub's workflows fit their schema, are clean to their linters, and do no more than they have to."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from tests.judge import Judge
from tests.render import Renderer
from tests.template import Template
from tests.validators import github

WORKFLOWS = f"{github.FOLDER}/*"


def test_every_workflow_is_valid_and_may_do_only_what_it_has_to(
    renderer: Renderer, judge: Judge, template: Template
) -> None:
    pins = template.table("versions", "github")
    judge(renderer.each(WORKFLOWS), functools.partial(github.check, pins=pins))


def test_linters_of_workflows_find_nothing(renderer: Renderer, judge: Judge, tmp_path: Path) -> None:
    each = list(renderer.each(WORKFLOWS))
    judge.count("distinct workflows of GitHub", len(each))
    judge.found(zip(each, github.lint([one.files for one in each], tmp_path), strict=True))


def test_every_pinned_action_is_used(renderer: Renderer, template: Template) -> None:
    texts = [content.decode() for one in renderer.each(WORKFLOWS) for content in one.files.values()]
    used = {name for text in texts for name in re.findall(r"uses: ([^@]+)@", text)}
    assert used == template.table("versions", "github")["actions"].keys()
