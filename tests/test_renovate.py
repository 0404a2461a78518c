"""Renovate finds every image that a project pins."""

from __future__ import annotations

from tests.judge import Judge, findings
from tests.render import Rendered, Renderer
from tests.validators import renovate


def test_every_image_is_found(renderer: Renderer, judge: Judge) -> None:
    projects = [
        Rendered(answers, context, {path: file.content for path, file in renderer.project(answers).items()})
        for answers, context in renderer.space.pairs(awkward=False)
    ]
    judge.found((project, findings(renovate.check, project.files)) for project in projects)
