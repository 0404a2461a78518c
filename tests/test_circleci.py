"""CircleCI's configuration fits its schema, and every name in it exists."""

from __future__ import annotations

from tests.judge import Judge
from tests.render import Renderer
from tests.validators import circleci


def test_every_configuration_is_valid_and_every_name_in_it_exists(renderer: Renderer, judge: Judge) -> None:
    judge(renderer.each(circleci.PATH), circleci.check)
