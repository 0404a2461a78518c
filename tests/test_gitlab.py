"""GitLab's pipeline fits its schema, every name in it exists, and every job has a script that is sound shell."""

from __future__ import annotations

from pathlib import Path

from tests.judge import Judge
from tests.render import Renderer
from tests.validators import gitlab, makefiles


def test_every_pipeline_is_valid_and_every_name_in_it_exists(renderer: Renderer, judge: Judge) -> None:
    judge(renderer.each(gitlab.PATH), gitlab.check)


def test_every_script_of_a_job_is_clean_to_shellcheck(renderer: Renderer, judge: Judge, tmp_path: Path) -> None:
    pipelines = list(renderer.each(gitlab.PATH))
    results = makefiles.check_scripts([gitlab.scripts(one.files) for one in pipelines], tmp_path)
    judge.found(zip(pipelines, results, strict=True))
