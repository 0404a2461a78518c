"""Shows what the working tree's template changes in rendered projects, against a commit: `make diff`."""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

import polars as pl

from tests.harness import ANSWERS_FILE, File, Projects, Template
from tests.harness.projects import CONTENT, Column, joined
from tests.harness.template import ROOT, copy_working_tree
from tests.options import space_of
from tests.rules.references import REFERENCES
from tests.tools import release


def projects_of(folder: Path) -> Projects:
    template = Template(folder)
    return Projects(template, space_of(template))


def unpack(commit: str, folder: Path) -> Path:
    """Write the template as a commit or a release has it into a folder."""
    if commit in {f"v{version}" for version in release.released()}:
        return release.unpack(commit.removeprefix("v"), folder)
    done = subprocess.run(["git", "archive", commit, *release.TEMPLATE], cwd=ROOT, check=False, capture_output=True)
    if done.returncode:
        sys.exit(f"COMMIT must be a release, or a commit of this clone: {commit} is neither.")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


def changes(before: Projects, after: Projects) -> Iterator[str]:
    """A unified diff of each changed file of the reference projects, printed once if several have the same."""
    seen: dict[str, list[str]] = {}
    for name, answers in REFERENCES.items():
        old, new = before.render(answers), after.render(answers)
        for path in sorted(old.keys() | new.keys()):
            one, other = (_text(files, path) for files in (old, new))
            if one != other:
                lines = difflib.unified_diff(
                    one.splitlines(), other.splitlines(), f"a/{path}", f"b/{path}", lineterm="", n=2
                )
                seen.setdefault("\n".join(lines), []).append(name)
    for text, names in seen.items():
        yield f"# {', '.join(names)}\n{text}"


def _text(files: Mapping[str, File], path: str) -> str:
    """A file without the line with the template's folder."""
    text = files[path].content.decode() if path in files else ""
    return re.sub(r"(?m)^_src_path: .*\n", "", text) if path == ANSWERS_FILE else text


def changed_files(before: Projects, after: Projects) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each path whose content changes, and the answers with which it does."""
    asked = set(after.space.asked)
    for path in sorted(before.sources.keys() | after.sources.keys()):
        columns = [_contents(projects, path, asked) for projects in (before, after)]
        reads = sorted({name for column in columns for name in column.reads})
        table = after.space.product.select(reads).unique() if reads else pl.DataFrame({"": [0]})
        for name, (known, contents) in zip(("old", "new"), columns, strict=True):
            table = joined(table, Column(known, contents.rename({CONTENT: name})))
        changed = table.filter(pl.col("old").ne_missing(pl.col("new")))
        if changed.height:
            yield path, changed.select(reads or [""])


def _contents(projects: Projects, path: str, known: set[str]) -> Column:
    """The contents of a file by the known questions: each version has other computed values."""
    if path not in projects.sources or path.endswith("/"):
        return Column([], pl.DataFrame({"": [0], CONTENT: [None]}, schema={"": pl.Int32, CONTENT: pl.Binary}))
    column = projects.column(path)
    contents = [None if number is None else projects.contents[number] for number in column.table[CONTENT].to_list()]
    by_content = Column(column.reads, column.table.with_columns(pl.Series(CONTENT, contents, dtype=pl.Binary)))
    asked = sorted({question.name for question in projects.space.closure(frozenset(column.reads))} & known)
    if not asked:
        return Column([], by_content.table.select(pl.lit(0).alias(""), CONTENT).head(1))
    axes = sorted({*asked, *column.reads})
    whole = joined(projects.space.product.select(axes).unique(), by_content)
    return Column(asked, whole.select(*asked, CONTENT).unique(asked))


def main(commit: str = "HEAD") -> None:
    with tempfile.TemporaryDirectory() as scratch:
        before = projects_of(unpack(commit, Path(scratch) / "before"))
        after = projects_of(copy_working_tree(Path(scratch) / "after"))
        for text in changes(before, after):
            print(text)
        files = dict(changed_files(before, after))
        product = after.space.product
        rows = [
            product.with_row_index().join(changed, on=changed.columns, how="semi", nulls_equal=True)["index"]
            if changed.columns != [""]
            else product.with_row_index()["index"]
            for changed in files.values()
        ]
        number = pl.concat(rows).n_unique() if rows else 0
        if not files:
            print("No rendered file changes.")
        else:
            count = "1 file changes" if len(files) == 1 else f"{len(files)} files change"
            print(f"{count}, in {number:,} of {product.height:,} projects: {', '.join(files)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
