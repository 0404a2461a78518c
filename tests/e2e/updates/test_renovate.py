"""A proposal to a project whose versions Renovate has pinned and raised: both own the same lines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.e2e.updates.host import Host
from tests.e2e.updates.project import NOW, History, commit
from tests.e2e.updates.test_propose import TEXT, TITLE, Checkout
from tests.harness_tests.test_projects import git
from tests.languages import LANGUAGES

LOCKS = ("*go.sum", "*package-lock.json", "*requirements*.txt")
MANIFESTS = ("*go.mod", "*package.json", "*package.json.jinja", "*pyproject.toml", "*pyproject.toml.jinja")
PINS = ("extensions/versions.jinja", "*Dockerfile", "*.yml", "*.yaml", "*.sh", "*.mk")
NUMBER = re.compile(r"(?<![\w.])(v?\d+\.\d+\.)(\d+)(?![\w.])")
COMMIT = re.compile(r"\b[0-9a-f]{40}\b")
IMAGE = re.compile(r"(?m)\b((?:docker|ghcr|gcr)\.io/[\w./-]+:[\w.-]+)(?=[\s'\"]|$)")
NEXT = f"v{NOW.replace('999', '1000')}"


def raised(text: str, patches: Callable[[str], int]) -> str:
    """A text with later versions: as many patches as the rest of their line decides, and other commits with them."""

    def raise_line(line: str) -> str:
        if not (by := patches(NUMBER.sub("", COMMIT.sub("", line)))):
            return line
        line = NUMBER.sub(lambda found: f"{found[1]}{int(found[2]) + by}", line)
        return COMMIT.sub(lambda found: hashlib.sha256(f"{found[0]}{by}".encode()).hexdigest()[:40], line)

    return "".join(map(raise_line, text.splitlines(keepends=True)))


def rewrite(folder: Path, patterns: tuple[str, ...], edit: Callable[[str], str]) -> None:
    """Edit the files of these names."""
    for path in git(folder, "ls-files").splitlines():
        if any(fnmatch(path, pattern) for pattern in patterns) and "copier" not in path:
            (folder / path).write_text(edit((folder / path).read_text()))


def versions(text: str) -> dict[str, list[tuple[int, ...]]]:
    """The versions of each line, which the rest of the line names."""
    found: dict[str, list[tuple[int, ...]]] = {}
    for line in text.splitlines():
        numbers = [tuple(map(int, re.findall(r"\d+", "".join(parts)))) for parts in NUMBER.findall(line)]
        if numbers:
            found[re.sub(r"@sha256:\w+", "", NUMBER.sub("", COMMIT.sub("", line)))] = numbers
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_versions_of_renovate_and_of_a_release_do_not_conflict(
    history: History, host: Host, tmp_path: Path, language: str
) -> None:
    """A release raises every version by a patch; Renovate has raised none, one or two, and pinned each image."""
    repository = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(history.repository), str(repository))
    rewrite(repository, (*LOCKS, *MANIFESTS, PINS[0]), lambda text: raised(text, lambda _: 1))
    commit(repository)
    git(repository, "tag", NEXT)
    checkout = Checkout(
        repository, host, tmp_path / "shop", "github", NOW, {"language": language, "database": "postgres"}
    )
    digest = f"@sha256:{'5' * 64}"
    (checkout.path / f"{language}.mk").write_text(".PHONY: lock\nlock: ;\n")
    commit(checkout.path)
    rewrite(
        checkout.path,
        (*LOCKS, *MANIFESTS, *PINS),
        lambda text: raised(IMAGE.sub(rf"\1{digest}", text), lambda line: len(line) % 3),
    )
    checkout.push()
    status, printed = checkout.propose()
    assert (status, checkout.proposed()[TITLE][:6]) == (0, "Update"), printed + checkout.proposed()[TEXT]
    paths = git(checkout.path, "ls-files").splitlines()
    pinned = [path for path in paths if any(fnmatch(path, pattern) for pattern in (*MANIFESTS, *PINS))]
    assert sum(digest in git(checkout.path, "show", f"main:{path}") for path in pinned) > 5
    for path in pinned:
        ours = versions(git(checkout.path, "show", f"main:{path}"))
        proposed = versions(git(host.repository, "show", f"template-{NEXT}:{path}"))
        lower = {line: (ours[line], now) for line, now in proposed.items() if line in ours and now < ours[line]}
        assert not lower, path
