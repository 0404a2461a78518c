"""The files that git and Docker ignore, and folders without files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.harness import Failure, Files, Problem, Projects, Rule, Template, accepts, file_rule, rejects, replace, write
from tests.harness.rules import rows_with
from tests.rules.ignore_patterns import docker_ignored, git_ignored
from tests.rules.presence import Need, need_rule, rows_where

DOCKERIGNORE = ".dockerignore"


@rejects("a folder without a file", "docs/", write(""))
@rejects("a folder that holds only a folder", "docs/", write(""), "docs/images/", write(""))
@accepts("a folder whose files are in a folder of it", "docs/", write(""), "docs/a/b.md", write("b\n"))
@need_rule("*/")
def folders_hold_files(path: str, _: bytes) -> Iterator[Need]:
    """No folder is empty: git would not keep it."""
    if path != "./":
        yield Need(f"^{re.escape(path)}", Problem(path, "is an empty folder"))


class _IgnoredFiles(Rule):
    def check(self, files: Files) -> list[Problem]:
        return list(self.function(files[".gitignore"], list(files)))

    def run(self, projects: Projects) -> Iterator[Failure]:
        for path, number in projects.each(".gitignore"):
            for problem in self.function(projects.contents[number], list(projects.sources)):
                rows = rows_with(projects, path, number)
                rows = rows_where(projects, rows, projects.presence(problem.path), 1)
                yield from [Failure(problem, rows)] if rows.height else ()


def _no_file_is_ignored(patterns: bytes, paths: list[str]) -> Iterator[Problem]:
    """Git ignores no file of the template: `copier update` would overwrite it silently."""
    for path in git_ignored(patterns, [path for path in paths if path[-1] != "/"]):
        yield Problem(path, "is ignored by git, so `copier update` overwrites it silently")


no_file_is_ignored = _IgnoredFiles(_no_file_is_ignored, [".gitignore"])
no_file_is_ignored.rejects("a file that git ignores", ".gitignore", replace("reports/\n", "reports/\nscripts/\n"))


def test_no_two_files_of_the_template_have_one_path(projects: Projects) -> None:
    """Of which Copier would silently keep one: a column refuses that."""
    assert all(projects.column(path).table.height for path in projects.paths("*") if path[-1] != "/")


def test_nothing_that_git_ignores_is_skipped_on_update(template: Template) -> None:
    """So that `no_file_is_ignored` needs no exceptions."""
    assert not template.settings.get("skip_if_exists")


@rejects("an image with everything in it", DOCKERIGNORE, replace("*\n", ""))
@rejects("an image with .env", DOCKERIGNORE, replace("*\n", "*\n!.env\n"))
@rejects("an image with .git", DOCKERIGNORE, replace("*\n", "*\n!.git\n"))
@rejects("an image with secrets", DOCKERIGNORE, replace("*\n", "*\n!secrets\n"))
@rejects("an image with .copier-answers.yml", DOCKERIGNORE, replace("*\n", "*\n!.copier-answers.yml\n"))
@file_rule(DOCKERIGNORE)
def private_files_stay_out_of_the_image(path: str, content: bytes) -> Iterator[Problem]:
    """Docker ignores passwords, the answers and the history: whoever pulls an image can read its files."""
    for private in (".env", ".git/config", "secrets/database-password", ".copier-answers.yml"):
        if not docker_ignored(content, private):
            yield Problem(path, f"lets {private} into the image")
