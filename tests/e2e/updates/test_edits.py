"""An update moves no edit: a sample of what `make test-edits` tries."""

from __future__ import annotations

import random
from pathlib import Path

import copier
import pytest

from tests.e2e.updates.fast_copier import FastCopier
from tests.e2e.updates.project import NOW, History, commit, start
from tests.harness import Projects
from tests.tools.edits import (
    CONTEXTS,
    DEFAULT,
    DOCUMENTED,
    Change,
    Update,
    bases,
    distinct,
    edits,
    merge,
    misplaced,
    switches,
)

BLOCK = b"image: shop\nresources:\n  cpu: 1\n  memory: 1\nsecurity:\n  strict: true\n  user: 1\n"


def test_an_edit_that_lands_in_another_block_is_found() -> None:
    before = b"name: web\n" + BLOCK + b"ports:\n  - 80\n"
    after = b"name: migrate\n" + BLOCK + b"args:\n  - migrate\nenv:\n  - A\n" + before
    found = misplaced(Change("deployment.yaml", before, after))
    assert {(edit.line, edit.kind) for edit in found[DEFAULT]} >= {(5, "edit"), (5, "insertion")}
    assert found[DOCUMENTED] == []


def test_an_edit_that_a_merge_moves_is_found() -> None:
    text = "import x\n{}\n\nclass Settings:\n    port: int\n"
    before, after = (text.format(more).encode() for more in ("", "\n\nclass Database:\n"))
    origins = [f"settings.py:{line}" for line in (1, 5, 6, 7, 8)], [f"settings.py:{line}" for line in range(1, 9)]
    found = misplaced(Change("settings.py", before, after, origins))
    assert (2, "edit") in [(edit.line, edit.kind) for edit in found[DOCUMENTED]]


@pytest.fixture(scope="module")
def database(projects: Projects) -> Update:
    """A project that gets a database."""
    none = switches(projects, "python none", bases()["python none"])
    return next(update for update in none if update.new["database"] == "postgres")


@pytest.mark.parametrize("context_lines", CONTEXTS)
def test_merge_equals_copiers(history: History, database: Update, tmp_path: Path, context_lines: int) -> None:
    """One edit in each file, brought to another answer by Copier itself."""
    project, fast, drawn = tmp_path / "shop", FastCopier(), random.Random(1)  # noqa: S311
    with fast():
        start(history.repository, project, database.old, NOW)
        chosen = {change: drawn.choice(list(edits(change.before))) for change in database.changes()}
        for change, edit in chosen.items():
            assert (project / change.path).read_bytes() == change.before
            (project / change.path).write_bytes(edit.content)
        commit(project)
        copier.run_update(
            project,
            data={"database": "postgres"},
            defaults=True,
            overwrite=True,
            quiet=True,
            context_lines=context_lines,
            settings=copier.Settings(),
        )
    fast.close()
    assert len(chosen) > 20
    for change, edit in chosen.items():
        [updates] = merge(change, [edit.content])
        updated = updates[CONTEXTS.index(context_lines)]
        assert (project / change.path).read_text() == updated.decode(), f"{change.path}:{edit.line}: {edit.kind}"


def test_an_update_moves_no_edit(projects: Projects) -> None:
    updates = [
        update
        for update in switches(projects, "ingress", bases()["ingress"])
        if update.old["database"] != update.new["database"]
    ]
    changes = {change: title for change, title in distinct(updates).items() if change.path.startswith("kubernetes/")}
    assert [
        f"--context-lines={lines}: {title}: {change.path}:{edit.line}: {edit.kind}"
        for change, title in changes.items()
        for lines, moved in misplaced(change).items()
        for edit in moved
    ] == []
