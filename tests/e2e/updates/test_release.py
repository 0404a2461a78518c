"""A release is refused for a reason, or made whole; and every release's answers stay good."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.updates.project import MYSQL
from tests.harness import ROOT
from tests.harness.template import copy_working_tree
from tests.harness_tests.test_projects import comparable, git, on_disk
from tests.tools.release import (
    TEMPLATE,
    Refused,
    broken_promises,
    known_names,
    main,
    questions,
    release,
    released,
    released_questions,
    unpack,
)

CHANGELOG = "# Changelog\n\nWords.\n\n## Unreleased\n\nMore colours.\n"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one release, and something to release since."""
    folder = copy_working_tree(tmp_path_factory.mktemp("clone") / "k8s-starter")
    git(folder, "init", "-q", "-b", "main")
    for setting in ("user.name=A", "user.email=a@example.com", "commit.gpgSign=false"):
        git(folder, "config", *setting.split("="))
    (folder / "CHANGELOG.md").write_text(CHANGELOG)
    (folder / "tests/releases").mkdir(parents=True)
    commit(folder)
    release("0.9.0", folder)
    (folder / "CHANGELOG.md").write_text((folder / "CHANGELOG.md").read_text().replace("\n\n## 0", "\n\nLess.\n\n## 0"))
    commit(folder)
    return folder


@pytest.fixture
def repository(clone: Path) -> Iterator[Path]:
    """The same for one test, which may do with it what it likes."""
    head = git(clone, "rev-parse", "HEAD").strip()
    tags = git(clone, "tag").split()
    settings = (clone / ".git/config").read_text()
    yield clone
    (clone / ".git/config").write_text(settings)
    for name in ("index.lock", "hooks/pre-commit"):
        (clone / ".git" / name).unlink(missing_ok=True)
    git(clone, "reset", "-q", "--hard", head)
    git(clone, "clean", "-fdq")
    for tag in git(clone, "tag").split():
        if tag not in tags:
            git(clone, "tag", "-d", tag)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "work")


def state(folder: Path) -> tuple[str, ...]:
    """All that a release changes."""
    commands = ("rev-parse HEAD", "status --porcelain", "diff HEAD", "tag", "ls-files tests")
    return tuple(git(folder, *command.split()) for command in commands)


def change(path: str, old: str, new: str, *, committed: bool = True) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        text = (folder / path).read_text() if old else ""
        assert old in text
        (folder / path).write_text(text.replace(old, new, 1) if old else new)
        if committed:
            commit(folder)

    return do


def nothing(_: Path) -> None:
    """Leave it as it is."""


REFUSED: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "no version": ("", nothing, r"VERSION is missing, as in: make release VERSION=0\.2\.0$"),
    "two numbers": ("1.0", nothing, r"VERSION=1\.0 is not of the form X\.Y\.Z"),
    "a tag": ("v1.0.0", nothing, "not of the form"),
    "a leading zero": ("1.01.0", nothing, "not of the form"),
    "a prerelease": ("1.0.0rc1", nothing, "not of the form"),
    "a newline": ("1.0.0\n", nothing, "not of the form"),
    "released": ("0.9.0", nothing, r"0\.9\.0 is released already\.$"),
    "tagged": ("1.2.3", lambda folder: print(git(folder, "tag", "v1.2.3")), r"1\.2\.3 is released already\.$"),
    "older": ("0.8.9", nothing, r"0\.8\.9 is not newer than 0\.9\.0, the newest release\.$"),
    "a changed file": ("0.10.0", change("copier.yml", "80", "81", committed=False), "not committed"),
    "a new file": ("0.10.0", change("new", "", "new", committed=False), "not committed"),
    "no entries": ("0.10.0", change("CHANGELOG.md", "Less.", ""), "says nothing under `## Unreleased`"),
    "no section": ("0.10.0", change("CHANGELOG.md", "## Unreleased", "## Later"), "says nothing under `## Unreleased`"),
    "a lost choice": (
        "0.10.0",
        change("copier.yml", MYSQL, ""),
        r"database can no longer be mysql \(released with 0\.9\.0\)\.$",
    ),
}


@pytest.mark.parametrize(("version", "do", "reason"), REFUSED.values(), ids=REFUSED)
def test_invalid_release_is_refused(repository: Path, version: str, do: Callable[[Path], None], reason: str) -> None:
    do(repository)
    before = state(repository)
    with pytest.raises(Refused, match=reason) as refused:
        release(version, repository)
    assert len(str(refused.value).splitlines()) == 1 or "\n" in version
    assert state(repository) == before


def test_a_release_is_a_section_a_snapshot_a_commit_and_a_tag(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = git(repository, "rev-parse", "HEAD")
    main(["0.10.0"], repository)
    assert capsys.readouterr().out == "Released 0.10.0. Publish it: git push --atomic origin HEAD v0.10.0\n"

    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "rev-parse", "HEAD^") == before
    assert git(repository, "rev-parse", "v0.10.0^{commit}") == git(repository, "rev-parse", "HEAD")
    assert git(repository, "show", "--format=%s", "--name-only").split("\n\n") == [
        "Release 0.10.0",
        "CHANGELOG.md\ntests/releases/v0.10.0.tar\n",
    ]
    day = git(repository, "show", "--no-patch", "--format=%cd", "--date=format-local:%F")
    changelog = (repository / "CHANGELOG.md").read_text()
    assert changelog.startswith(
        f"# Changelog\n\nWords.\n\n## Unreleased\n\n## 0.10.0 - {day.strip()}\n\nLess.\n\n## 0.9.0"
    )
    assert released(repository) == ["0.9.0", "0.10.0"]
    snapshot = comparable(on_disk(unpack("0.10.0", tmp_path, repository)), modes=False)
    assert {path.split("/")[0] for path in snapshot} == set(TEMPLATE)
    tree = comparable(on_disk(repository), modes=False)
    assert snapshot == {path: file for path, file in tree.items() if path.split("/")[0] in TEMPLATE}


def test_a_fork_releases_between_two_versions(repository: Path) -> None:
    release("0.9.0.post1", repository)
    assert released(repository) == ["0.9.0", "0.9.0.post1"]
    change("CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\nMore.\n")(repository)
    with pytest.raises(Refused, match=r"0\.9\.0\.post1 is released already"):
        release("0.9.0.post1", repository)
    release("0.9.0.post2", repository)
    change("CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\nMore.\n")(repository)
    release("0.9.1", repository)
    assert released(repository) == ["0.9.0", "0.9.0.post1", "0.9.0.post2", "0.9.1"]


def test_a_snapshot_of_the_same_commit_is_the_same(repository: Path) -> None:
    snapshots = []
    head = git(repository, "rev-parse", "HEAD").strip()
    for _ in range(2):
        release("0.10.0", repository)
        snapshots.append((repository / "tests/releases/v0.10.0.tar").read_bytes())
        git(repository, "reset", "-q", "--hard", head)
        git(repository, "tag", "-d", "v0.10.0")
    assert snapshots[0] == snapshots[1]


def a_locked_index(folder: Path) -> None:
    (folder / ".git/index.lock").touch()


def a_commit_that_a_hook_refuses(folder: Path) -> None:
    hook = folder / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)


def a_tag_that_cannot_be_signed(folder: Path) -> None:
    git(folder, "config", "tag.gpgSign", "true")
    git(folder, "config", "gpg.program", "false")


@pytest.mark.parametrize("failure", [a_locked_index, a_commit_that_a_hook_refuses, a_tag_that_cannot_be_signed])
def test_a_release_that_fails_leaves_nothing_behind(
    repository: Path, failure: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failure(repository)
    before = state(repository)
    with pytest.raises(SystemExit, match="2"):
        main(["0.10.0"], repository)
    assert capsys.readouterr().err.startswith("git has refused, and nothing is released:\n")
    assert state(repository) == before


def test_refusal_is_one_line(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([""], repository)
    assert capsys.readouterr().err == "VERSION is missing, as in: make release VERSION=0.2.0\n"


def test_answers_of_every_release_remain_valid() -> None:
    assert released(), "there is no release to compare with"
    now = questions((ROOT / "copier.yml").read_bytes())
    assert [
        f"{version}: {promise}"
        for version in released()
        for promise in broken_promises(released_questions(version), now, known_names())
    ] == []


GROWN = "volume_size"
BROKEN: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "nothing": ([], []),
    "a choice more": ([(MYSQL, MYSQL + '    "CockroachDB": cockroach\n')], []),
    "a question more": (
        [("port:\n", "colour:\n  type: str\n  default: red\n\nport:\n")],
        [],
    ),
    "a retired question": (
        [("\nstorage_size:", f"\n{GROWN}:"), ("default: 10Gi", "default: \"{{ storage_size | default('10Gi') }}\"")],
        [],
    ),
    "a renamed question": (
        [("\nstorage_size:", f"\n{GROWN}:")],
        ["storage_size is gone, and no question's default takes its answers over"],
    ),
    "a question that is computed": (
        [('  default: 10Gi\n  when: "{{', '  default: 10Gi\n  when: false\n  was: "{{')],
        ["storage_size is gone, and no question's default takes its answers over"],
    ),
    "a dropped choice": ([(MYSQL, "")], ["database can no longer be mysql"]),
    "a renamed choice": ([("{value: mysql,", "{value: mariadb,")], ["database can no longer be mysql"]),
    "a changed type": ([("port:\n  type: int", "port:\n  type: str")], ["port was of type int and is of type str"]),
    "a text that becomes a choice": (
        [("  default: 10Gi\n", "  default: 10Gi\n  choices: [10Gi]\n")],
        ["storage_size was of type str and is of type str with choices"],
    ),
}


@pytest.mark.parametrize(("changes", "promises"), BROKEN.values(), ids=BROKEN)
def test_answers_that_an_update_would_lose_are_found(changes: list[tuple[str, str]], promises: list[str]) -> None:
    text = (ROOT / "copier.yml").read_text()
    before = questions(text)
    for old, new in changes:
        assert old in text, f"copier.yml no longer holds {old!r}: fix the table of this test"
        text = text.replace(old, new, 1)
    assert list(broken_promises(before, questions(text), set(before))) == promises


def test_a_retired_name_that_would_be_refused_is_found() -> None:
    now = questions((ROOT / "copier.yml").read_text())
    now["volume_size"] = now.pop("storage_size") | {"default": "{{ storage_size | default('10Gi') }}"}
    before = questions((ROOT / "copier.yml").read_text())
    (promise,) = broken_promises(before, now, set(now))
    assert promise.startswith("storage_size is missing from extensions/known_questions.jinja")
    assert promise.endswith("run `make docs`")
