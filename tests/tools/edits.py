"""Edits every line of every file that an update changes, and looks where the edit is afterwards: `make test-edits`.

Copier puts a team's edits into the new files with `git apply`, which takes the nearest place that has the same lines
around it. Copier merges with `git merge-file` only what `git apply` rejects. So an edit is misplaced if it is
somewhere else than `git merge-file` puts it, without a conflict. Where both versions come from one template, an edit
also has to stay with the line of the template that renders its line: `git merge-file` itself can move it.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.harness import ANSWERS_FILE, Answers, Projects
from tests.harness.space import Value
from tests.harness.template import choices, copy_working_tree
from tests.languages import LANGUAGES
from tests.rules.references import REFERENCES
from tests.tools.diff import projects_of
from tests.tools.release import released, unpack

DEFAULT, DOCUMENTED = 3, 1000
"""Lines of context, of a bare `copier update` and of the documented command."""

CONTEXTS = (DEFAULT, DOCUMENTED)

LOCKS = {"requirements.txt", "requirements-dev.txt", "package-lock.json", "go.sum"}
"""Generated files, some longer than the documented context: not edited by hand."""

TEAM = b"# team"


@dataclass(frozen=True)
class Change:
    """What an update does to a file."""

    path: str
    before: bytes
    after: bytes
    # The template's line behind each line before and after, where both come from one template.
    origins: tuple[list[str], list[str]] | None = field(default=None, compare=False)


class Update(NamedTuple):
    title: str
    before: Projects
    old: Answers
    after: Projects
    new: Answers

    def changes(self) -> Iterator[Change]:
        """The changed files, without locks and those that only one of the projects has."""
        old, new = self.before.render(self.old), self.after.render(self.new)
        for path in sorted(old.keys() & new.keys()):
            if path != ANSWERS_FILE and Path(path).name not in LOCKS and old[path].content != new[path].content:
                yield Change(path, old[path].content, new[path].content, self._origins(path))

    def _origins(self, path: str) -> tuple[list[str], list[str]] | None:
        if self.before is not self.after:
            return None
        old, new = (_origins(self.after, path, answers) for answers in (self.old, self.new))
        return old, new


def _origins(projects: Projects, path: str, answers: Answers) -> list[str]:
    context = projects.space.complete(answers)[1]
    source = next(source for source in projects.sources[path] if projects.path(source, context) == path)
    return projects.origins(source, context)


class Edit(NamedTuple):
    line: int
    kind: str
    content: bytes  # of the file


def bases() -> dict[str, Answers]:
    """The answers of the projects that are updated."""
    pairs = itertools.product(LANGUAGES, ("none", "postgres", "mysql", "redis"))
    return REFERENCES | {
        f"{language} {database}": {"project_name": "Shop", "language": language, "database": database}
        for language, database in pairs
    }


def switches(projects: Projects, name: str, answers: Answers) -> Iterator[Update]:
    """Each answer of a project changed to each other one that decides what is rendered."""
    space = projects.space
    given, _ = space.complete(answers)
    for question, values in space.accepted(given).items():
        has_choices = space.questions[question].kind in ("choice", "bool")
        for value in values if has_choices else space.representatives.get(question, ()):
            if value != given[question] and value in values:
                title = f"{name}: {question} {given[question]!r} -> {value!r}"
                yield Update(title, projects, given, projects, space.complete({**given, question: value})[0])


def releases(projects: Projects, scratch: Path) -> Iterator[Update]:
    """Projects of each release brought to the working tree."""
    for version in released():
        before = projects_of(unpack(version, scratch / version))
        for name, answers in bases().items():
            known = {question: value for question, value in answers.items() if _is_known(before, question, value)}
            given, _ = before.space.complete(known)
            yield Update(f"{version}, {name}", before, given, projects, projects.space.complete(given)[0])


def _is_known(projects: Projects, name: str, value: Value) -> bool:
    """Whether a release has this answer."""
    details = projects.template.questions.get(name, {})
    return "choices" not in details or value in choices(details["choices"])


def edits(content: bytes) -> Iterator[Edit]:
    """The file with a line changed, or with one more before it, for each line."""
    lines = content.splitlines(keepends=True)
    for index, line in enumerate(lines):
        changed = line.rstrip(b"\n") + b" " + TEAM + b"\n"
        yield Edit(index + 1, "edit", b"".join([*lines[:index], changed, *lines[index + 1 :]]))
        yield Edit(index + 1, "insertion", b"".join([*lines[:index], TEAM + b"\n", *lines[index:]]))


def merge(change: Change, edited: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Each edited file after Copier's update, bare and documented, and after `git merge-file`.

    All are called as Copier's `_apply_update` does.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, content in (("old", change.before), ("new", change.after)):
            (folder / name).write_bytes(content)
        for name in ("before", "edited", "merged", *map(str, CONTEXTS)):
            (folder / name).mkdir()
        for number, content in enumerate(edited):
            (folder / f"edited/{number}").write_bytes(content)
            (folder / f"before/{number}").hardlink_to(folder / "old")
        for lines in CONTEXTS:
            for number in range(len(edited)):
                (folder / f"{lines}/{number}").hardlink_to(folder / "new")  # git apply writes another file in its place
            diff = ["git", "diff", "--no-index", "--no-prefix", f"--unified={lines}", "--inter-hunk-context=-1"]
            patch = subprocess.run([*diff, "before", "edited"], cwd=folder, check=False, capture_output=True).stdout
            apply = ["git", "apply", "--reject"]
            subprocess.run(apply, cwd=folder / str(lines), input=patch, check=False, capture_output=True)
        labels = "-L 'before updating' -L 'last update' -L 'after updating'"
        script = f'for name in *; do git merge-file -p {labels} "$name" ../old ../new > "../merged/$name"; done'
        subprocess.run(["sh", "-c", script], cwd=folder / "edited", check=False, capture_output=True)
        for number in range(len(edited)):
            merged = folder / f"merged/{number}"
            applied = [folder / f"{lines}/{number}" for lines in CONTEXTS]
            updated = [merged if path.with_suffix(".rej").exists() else path for path in applied]
            yield tuple(path.read_bytes() for path in (*updated, merged))


def misplaced(change: Change) -> dict[int, list[Edit]]:
    """The edits that an update moves, by lines of context."""
    tried = list(edits(change.before))
    found: dict[int, list[Edit]] = {lines: [] for lines in CONTEXTS}
    for edit, (*updated, merged) in zip(tried, merge(change, [edit.content for edit in tried]), strict=True):
        for lines, content in zip(CONTEXTS, updated, strict=True):
            if content != merged or not _stays(change, edit, content):
                found[lines].append(edit)
    return found


def _stays(change: Change, edit: Edit, content: bytes) -> bool:
    """Whether an edit is where the template renders its line, as far as one line of the template is one of the file."""
    places = [place for place, line in enumerate(content.splitlines()) if line.endswith(TEAM)]
    if change.origins is None or b"\n<<<<<<< before updating\n" in b"\n" + content:
        return True
    old, new = change.origins
    line, place = edit.line - 1, places[0]
    if not old.count(old[line]) == new.count(old[line]) == 1:
        return True
    # An inserted line belongs to the line after it, or to the one before.
    return new[place] == old[line] or (edit.kind == "insertion" and new[:place][-1:] == old[:line][-1:])


def distinct(updates: Iterable[Update]) -> dict[Change, str]:
    """The changes of all updates, each with the title of the first that makes it."""
    found: dict[Change, str] = {}
    for update in updates:
        for change in update.changes():
            found.setdefault(change, update.title)
    return found


def main() -> None:
    failed = False
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(2) as pool:
        projects = projects_of(copy_working_tree(Path(scratch) / "now"))
        updates = [update for name, answers in bases().items() for update in switches(projects, name, answers)]
        changes = distinct([*releases(projects, Path(scratch)), *updates])
        tried = sum(1 for change in changes for _ in edits(change.before))
        found = list(pool.map(misplaced, changes))
        for lines in CONTEXTS:
            for (change, title), moved in zip(changes.items(), found, strict=True):
                for edit in moved[lines]:
                    print(f"  {title}: {change.path}:{edit.line}: {edit.kind}")
            number = sum(len(moved[lines]) for moved in found)
            print(f"--context-lines={lines}: {number:,} of {tried:,} edits misplaced, {len(changes):,} changed files")
            failed |= lines == DOCUMENTED and number > 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
