"""Every project as a whole: its files agree, and its documentation, image and folders hold what they name."""

from __future__ import annotations

from collections.abc import Iterable

from tests.judge import Judge, findings
from tests.render import Renderer
from tests.template import Template
from tests.validators import Check, Files, Finding, Once, contract, dockerfile, ignore, text


def check_folders(files: Files) -> Iterable[Finding]:
    """No folder is empty."""
    full = {path.rpartition("/")[0] for path in files if not path.endswith("/")}
    above = {folder[: index + 1] for folder in full for index, letter in enumerate(f"{folder}/") if letter == "/"}
    for path in files:
        if path.endswith("/") and path != "./" and path not in above and path.rstrip("/") not in full:
            yield Finding(path, "", "empty", "is an empty folder")


def check_ignored(files: Files) -> Iterable[Finding]:
    """Git ignores no rendered file that an update would overwrite."""
    for path in ignore.git_ignored(files[".gitignore"], [path for path in files if not path.endswith("/")]):
        yield Finding(path, "", "ignored", "is ignored by git, so `copier update` overwrites it silently")


CHECKS: list[Check] = [
    contract.check,
    Once(text.check_documentation),
    Once(dockerfile.check),
    Once(check_folders),
    Once(check_ignored),
]


def test_every_project_holds_together(renderer: Renderer, judge: Judge) -> None:
    """In one walk through all combinations, which takes longer than most checks.

    The renderer refuses two files of one path, of which Copier would silently keep one.
    """
    judge.found(
        (one, [finding for check in CHECKS for finding in findings(check, one.files)])
        for one in renderer.every("*", "*/")
    )


def test_broken_folders() -> None:
    good = {"a/": b"", "a/b/": b"", "a/b/c.txt": b"", "./": b"", ".gitignore": b"*.log\n"}
    assert list(check_folders(good)) == list(check_ignored(good)) == []
    assert [finding.path for finding in check_folders({**good, "d/": b"", "a/e/": b""})] == ["d/", "a/e/"]
    assert [finding.path for finding in check_ignored({**good, "a/b.log": b""})] == ["a/b.log"]


def test_nothing_that_git_ignores_is_skipped_on_update(template: Template) -> None:
    """So that `check_ignored` need not know of any file that is kept."""
    assert not template.settings.get("skip_if_exists")
