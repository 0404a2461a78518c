"""Every rendered file is well-formed in its own format, and looks hand-written."""

from __future__ import annotations

from tests.conftest import Judge
from tests.render import Renderer
from tests.validators import yaml_files


def test_every_yaml_file_means_the_same_to_every_reader(renderer: Renderer, judge: Judge) -> None:
    judge(renderer.each("*.yml", "*.yaml"), yaml_files.check)
