"""Every project as a whole: its files agree, and its documentation, image and folders hold what they name."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.judge import Judge, findings
from tests.render import Rendered, Renderer
from tests.template import Template
from tests.validators import Check, Files, Finding, Once, contract, dockerfile, ignore, text

Found = dict[str, list[tuple[Rendered, list[Finding]]]]


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


CHECKS: dict[str, Check] = {
    "all files agree": contract.check,
    "the documentation names only files that exist": Once(text.check_documentation),
    "the Dockerfile takes only what the build context holds": Once(dockerfile.check),
    "no folder is empty": Once(check_folders),
    "git ignores no rendered file": Once(check_ignored),
}


@pytest.fixture(scope="module")
def found(renderer: Renderer, judge: Judge) -> Found:
    """What each check finds, of one walk through all combinations: a walk takes longer than most checks."""
    results: Found = {name: [] for name in CHECKS}
    walked = 0
    for one in renderer.every("*", "*/"):
        walked += 1
        for name, check in CHECKS.items():
            if wrong := findings(check, one.files):
                results[name].append((one, wrong))
    judge.count("projects checked as a whole", walked)
    assert walked
    return results


@pytest.mark.parametrize("name", CHECKS)
def test_in_every_project(found: Found, judge: Judge, name: str) -> None:
    judge.found(found[name], at_least=0)


def test_broken_folders() -> None:
    good = {"a/": b"", "a/b/": b"", "a/b/c.txt": b"", "./": b"", ".gitignore": b"*.log\n"}
    assert list(check_folders(good)) == list(check_ignored(good)) == []
    assert [finding.path for finding in check_folders({**good, "d/": b"", "a/e/": b""})] == ["d/", "a/e/"]
    assert [finding.path for finding in check_ignored({**good, "a/b.log": b""})] == ["a/b.log"]


def test_nothing_that_git_ignores_is_skipped_on_update(template: Template) -> None:
    """So that `check_ignored` need not know of any file that is kept."""
    assert not template.settings.get("skip_if_exists")
