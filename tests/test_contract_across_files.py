"""Ports, images, names, users and settings are the same in every file that tells of them."""

from __future__ import annotations

from tests.conftest import Judge
from tests.render import Renderer
from tests.validators import contract


def test_all_files_agree(renderer: Renderer, judge: Judge) -> None:
    judge(renderer.every("*"), contract.check)
