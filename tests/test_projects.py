"""Every project as a whole: its files agree, and its documentation, image and folders hold what they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from tests.judge import Judge
from tests.reach import Reach
from tests.render import Renderer
from tests.rules.ignore_patterns import ignoring
from tests.template import Template
from tests.validators import Check, Files, Finding, contract, derive, dockerfile, is_at, text


def check_folder(folder: str, files: Files) -> Iterable[Finding]:
    """No folder is empty."""
    if folder in files and not is_at(files, folder.rstrip("/")):
        yield Finding(folder, "", "empty", "is an empty folder")


def check_ignored(path: str, files: Files) -> Iterable[Finding]:
    """Git ignores no rendered file that an update would overwrite."""
    if path in files and derive(files, ".gitignore", ignoring(path)):
        yield Finding(path, "", "ignored", "is ignored by git, so `copier update` overwrites it silently")


def checks(paths: Iterable[str]) -> Iterator[Check]:
    """Those of projects that hold some of these files and folders; the less each looks at, the less decides it."""
    yield from contract.CHECKS
    yield dockerfile.check
    for path in paths:
        if text.MARKDOWN.fullmatch(path):
            yield partial(text.check_document, path)
        if path != "./":
            yield partial(check_folder if path.endswith("/") else check_ignored, path)


def test_every_project_holds_together(renderer: Renderer, judge: Judge) -> None:
    renderer.refuse_two_of_one_path()
    reach = Reach(renderer)
    paths = sorted({path for source in renderer._everything() for path in renderer.targets(source)})
    judge.found(result for check in checks(paths) for result in reach.every(check))
    judge.count("different things that the checks of whole projects are told", reach.runs)


def test_broken_folders() -> None:
    good = {"a/": b"", "a/b/": b"", "a/b/c.txt": b"", "./": b"", ".gitignore": b"*.log\n"}
    assert not [*check_folder("a/", good), *check_folder("a/b/", good), *check_ignored("a/b/c.txt", good)]
    assert [finding.path for finding in check_folder("a/e/", {**good, "a/e/": b""})] == ["a/e/"]
    assert [finding.path for finding in check_ignored("a/b.log", {**good, "a/b.log": b""})] == ["a/b.log"]


def test_nothing_that_git_ignores_is_skipped_on_update(template: Template) -> None:
    """So that `check_ignored` need not know of any file that is kept."""
    assert not template.settings.get("skip_if_exists")
