"""Every set of compose files is what Docker Compose reads, and its services can find and wait for each other."""

from __future__ import annotations

import pytest

from tests.judge import Judge
from tests.render import Renderer
from tests.validators import compose


def test_every_set_of_compose_files_works(
    renderer: Renderer, judge: Judge, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sets = renderer.distinct(
        compose.COMMON, compose.DEVELOPMENT, compose.PRODUCTION, "Dockerfile", ".gitignore", "scripts/*"
    )
    judge.count("compose sets, each for development and production", len(sets))
    results = compose.check_all((one.files for one in sets), tmp_path_factory.mktemp("compose"))
    judge.found(zip(sets, results, strict=True))
