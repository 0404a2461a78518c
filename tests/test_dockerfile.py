"""Every Dockerfile is clean to hadolint."""

from __future__ import annotations

from pathlib import Path

from tests.judge import Judge
from tests.render import Renderer
from tests.validators import dockerfile


def test_hadolint_finds_nothing(renderer: Renderer, judge: Judge, tmp_path: Path) -> None:
    each = list(renderer.each("Dockerfile"))
    judge.found(zip(each, dockerfile.lint([one.files["Dockerfile"] for one in each], tmp_path), strict=True))
