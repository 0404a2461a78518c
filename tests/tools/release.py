"""Releases the template, `python -m tests.tools.release 0.1.0`, and reads what has been released."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
import yaml

from tests.harness import ROOT
from tests.harness.template import choices

SNAPSHOTS = "tests/releases"
TEMPLATE = ("copier.yml", "extensions", "template")
CHANGELOG = "CHANGELOG.md"
VERSION = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(\.post[1-9]\d*)?")
"""A fork releases 0.2.0.post1 after 0.2.0: PEP 440, as Copier sorts tags."""
KNOWN_QUESTIONS = "extensions/known_questions.jinja"
UNRELEASED = re.compile(r"^## Unreleased\n(?P<entries>.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)

Questions = dict[str, dict[str, Any]]


class Refused(Exception):  # noqa: N818
    """Why a version cannot be released, in a sentence."""


def released(root: Path = ROOT) -> list[str]:
    """The versions of which there is a snapshot, oldest first."""
    versions = (path.stem.removeprefix("v") for path in (root / SNAPSHOTS).glob("v*.tar"))
    return sorted(versions, key=_numbers)


def unpack(version: str, destination: Path, root: Path = ROOT) -> Path:
    """Write a released version of the template into a folder."""
    with tarfile.open(_snapshot(version, root)) as archive:
        for member in archive:
            if member.isfile():
                path = destination / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(_read(archive, member))
                path.chmod(member.mode)
    return destination


def released_questions(version: str, root: Path = ROOT) -> Questions:
    """The questions of a released version."""
    with tarfile.open(_snapshot(version, root)) as archive:
        return questions(_read(archive, archive.getmember("copier.yml")))


def questions(text: str | bytes) -> Questions:
    """The questions of this copier.yml."""
    loaded = yaml.load(text, yaml.CSafeLoader)
    return {name: item for name, item in loaded.items() if name[0] != "_" and item.get("when") is not False}


def known_names(root: Path = ROOT) -> set[str]:
    """The names that the first question does not refuse: those that are asked, and those that were."""
    tables: Any = jinja2.Environment(autoescape=True).from_string((root / KNOWN_QUESTIONS).read_text()).module
    return {*tables.conditions, *tables.retired}


def broken_promises(before: Questions, now: Questions, known: set[str]) -> Iterator[str]:
    """Changes by which an update would lose or refuse an answer of an earlier version."""
    for name, old in before.items():
        new = now.get(name)
        if new is None:
            if name not in known:
                yield f"{name} is missing from {KNOWN_QUESTIONS}, and its old answers would be refused: run `make docs`"
            if not any(re.search(rf"\b{name}\b", str(item["default"])) for item in now.values()):
                yield f"{name} is gone, and no question's default takes its answers over"
            continue
        if _kind(new) != _kind(old):
            yield f"{name} was of type {_kind(old)} and is of type {_kind(new)}"
        elif lost := [value for value in choices(old.get("choices", [])) if value not in choices(new["choices"])]:
            yield f"{name} can no longer be {' or '.join(map(str, lost))}"


def release(version: str, root: Path = ROOT) -> None:
    """Move the changelog's entries under the version, write the snapshot, commit and tag it: all of it or nothing.

    Raises:
        Refused: why this cannot be released, in a sentence.

    """
    _refuse(version, root)
    head = _git(root, "rev-parse", "HEAD").strip()
    changelog, snapshot = root / CHANGELOG, _snapshot(version, root)
    with _all_or_nothing(root, head, changelog, snapshot):
        snapshot.parent.mkdir(exist_ok=True)
        _git(root, "-c", "tar.umask=0022", "archive", "--format=tar", f"--output={snapshot}", head, "--", *TEMPLATE)
        heading = f"## Unreleased\n\n## {version} - {datetime.now(UTC).date()}\n"
        changelog.write_text(changelog.read_text().replace("## Unreleased\n", heading, 1))
        _git(root, "add", "--", CHANGELOG, str(snapshot))
        _git(root, "commit", "--quiet", f"--message=Release {version}")
        _git(root, "tag", "--annotate", f"--message=Release {version}", f"v{version}")


def main(arguments: list[str], root: Path = ROOT) -> None:
    """Release the version that was named, and say what is left to do."""
    version = arguments[0] if arguments else ""
    try:
        release(version, root)
    except Refused as error:
        _fail(str(error))
    except subprocess.CalledProcessError as error:
        _fail(f"git has refused, and nothing is released:\n{error.stderr.strip()}")
    print(f"Released {version}. Publish it: git push --atomic origin HEAD v{version}")


def _refuse(version: str, root: Path) -> None:
    """Raises Refused when something speaks against the release."""
    if not version:
        raise Refused("VERSION is missing, as in: make release VERSION=0.2.0")
    if not VERSION.fullmatch(version):
        raise Refused(
            f"VERSION={version} is not of the form X.Y.Z, such as 0.2.0, or of a fork's, such as 0.2.0.post1."
        )
    tags = (tag.removeprefix("v") for tag in _git(root, "tag", "--list", "v*").split())
    versions = {*released(root), *(tag for tag in tags if VERSION.fullmatch(tag))}
    if version in versions:
        raise Refused(f"{version} is released already.")
    newest = max(versions, key=_numbers, default="0.0.0")
    if _numbers(version) <= _numbers(newest):
        raise Refused(f"{version} is not newer than {newest}, the newest release.")
    if _git(root, "status", "--porcelain"):
        raise Refused("There are changes that are not committed: commit or remove what `git status` lists.")
    found = UNRELEASED.search((root / CHANGELOG).read_text())
    if not found or not found["entries"].strip():
        raise Refused(f"{CHANGELOG} says nothing under `## Unreleased`: say what this version brings.")
    now = questions((root / "copier.yml").read_bytes())
    broken = {
        promise: earlier
        for earlier in reversed(released(root))
        for promise in broken_promises(released_questions(earlier, root), now, known_names(root))
    }
    if broken:
        listed = "; ".join(f"{promise} (released with {earlier})" for promise, earlier in broken.items())
        raise Refused(f"Projects could not update and keep their answers: {listed}.")


@contextmanager
def _all_or_nothing(root: Path, head: str, changelog: Path, snapshot: Path) -> Iterator[None]:
    """Put everything back on failure."""
    text = changelog.read_bytes()
    try:
        yield
    except BaseException:
        changelog.write_bytes(text)
        snapshot.unlink(missing_ok=True)
        # Which fails where nothing was added because the index is locked.
        subprocess.run(["git", "reset", "--quiet", head], cwd=root, check=False, capture_output=True)
        raise


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file, f"{member.name} is no file"
    return file.read()


def _kind(question: dict[str, Any]) -> str:
    return f"{question['type']}{' with choices' if 'choices' in question else ''}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def _snapshot(version: str, root: Path) -> Path:
    return root / SNAPSHOTS / f"v{version}.tar"


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def _fail(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
