"""Rendering in memory is rendering with Copier: the same paths, bytes and modes, from a folder and from git."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import copier
import polars as pl
import pytest
import yaml

from tests.harness import ANSWERS_FILE, Answers, File, Projects, Space, Template
from tests.harness.projects import CONTENT, covering


def on_disk(folder: Path) -> dict[str, File]:
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder)) + "/" * path.is_dir()
        found[name] = File(b"" if path.is_dir() else path.read_bytes(), path.stat().st_mode)
    return found


def copy(source: Path, destination: Path, answers: Answers, ref: str | None = None) -> dict[str, File]:
    copier.run_copy(
        str(source), destination, data=answers, defaults=True, quiet=True, settings=copier.Settings(), vcs_ref=ref
    )
    return on_disk(destination)


@pytest.fixture(scope="module")
def sample(space: Space) -> list[Answers]:
    """Some combinations and some edge cases, drawn by a fixed seed."""
    draw = random.Random(1)  # noqa: S311
    drawn = [*draw.sample(space.pairs(edge_cases=False), 6), *draw.sample(space.pairs(), 3)]
    return [answers for answers, _ in drawn]


def comparable(files: dict[str, File], *, modes: bool) -> dict[str, object]:
    """All but the answers file's lines about the template's own place."""
    found: dict[str, object] = {}
    for path, (content, mode) in files.items():
        if path != "./" and not path.startswith(".git/"):
            lines = content.split(b"\n")
            if path == ANSWERS_FILE:
                lines = [line for line in lines if not line.startswith((b"_src_path:", b"_commit:"))]
            found[path] = (lines, mode if modes else mode & 0o111 if not path.endswith("/") else 0)
    return found


def test_a_plain_folder_renders_to_disk_as_in_memory(
    projects: Projects, template: Template, sample: list[Answers], tmp_path: Path
) -> None:
    folders = [tmp_path / str(index) for index in range(len(sample))]
    with ProcessPoolExecutor(2) as pool:
        copies = pool.map(copy, [template.folder] * len(sample), folders, sample)
        for answers, found in zip(sample, copies, strict=True):
            assert comparable(found, modes=False) == comparable(projects.render(answers), modes=False), answers


def test_modes_are_those_of_the_template(projects: Projects, template: Template, tmp_path: Path) -> None:
    files = copy(template.folder, tmp_path / "project", {"project_name": "Shop"})
    expected = projects.render({"project_name": "Shop"})
    for path, file in files.items():
        if not path.endswith("/"):
            assert oct(file.mode) == oct(expected[path].mode), path


def test_a_tag_renders_to_disk_as_in_memory(
    projects: Projects, template: Template, sample: list[Answers], tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    subprocess.run(["cp", "-a", template.folder, repository], check=True)
    for command in ("init -q -b main", "add -A", "commit -q -m 1", "tag v1.0.0"):
        git(repository, *command.split())
    for index, answers in enumerate(sample[:: len(sample) // 3]):
        expected = comparable(projects.render(answers), modes=False)
        found = copy(repository, tmp_path / str(index), answers, "v1.0.0")
        assert comparable(found, modes=False) == expected, answers


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.com", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
    ).stdout


def test_columns_equal_the_output_of_copiers_worker(projects: Projects, space: Space) -> None:
    """A column renders each file with the few answers that it reads; `render` gives it all that Copier knows."""
    for row in space.table.sample(50, seed=1).iter_rows(named=True):
        whole = projects.render(space.given(row))
        files = {
            path: file.content for path, file in whole.items() if path not in (ANSWERS_FILE, "./") and path[-1] != "/"
        }
        assert _row_of(projects, row) == files


def _row_of(projects: Projects, row: Mapping[str, object]) -> dict[str, bytes]:
    found = {}
    for path in projects.paths("*"):
        reads, table = projects.column(path)
        same = [pl.col(name).eq_missing(pl.lit(row[name])) for name in reads] or [pl.lit(value=True)]
        number = table.filter(*same)[CONTENT].item()
        if number is not None:
            found[path] = projects.contents[number]
    return found


def test_rendering_is_deterministic(template: Template, space: Space) -> None:
    answers: Answers = {"project_name": "Shop"}
    assert Projects(template, space).render(answers) == Projects(template, space).render(answers)


def test_the_answers_file_holds_every_answer(projects: Projects, space: Space) -> None:
    for answers, _ in itertools.islice(space.pairs(), 0, None, 5):
        stored = yaml.safe_load(projects.render(answers)[ANSWERS_FILE].content)
        assert {name: value for name, value in stored.items() if not name.startswith("_")} == answers


def test_sample_holds_every_content_and_every_triple() -> None:
    rows = list(itertools.product(range(3), range(3), range(3), range(3)))
    table = pl.DataFrame(
        [{"a": a, "b": b, "c": c, "d": d, "x": a * 9 + b * 3 + c, "follows": a + 1} for a, b, c, d in rows]
    )
    chosen = table[covering(table, ["x"], 3)]
    assert chosen.height < len(rows)
    for names in itertools.combinations("abcd", 3):
        assert chosen.select(names).n_unique() == 27
    assert chosen["x"].n_unique() == 27


@pytest.mark.parametrize(
    ("path", "text", "error"),
    [
        ("template/{% yield x from [1] %}{{ x }}{% endyield %}", "", NotImplementedError),
        ("template/f.txt.jinja", "{% include database %}", NotImplementedError),
        ("template/f.txt.jinja", "{{ databse }}", ValueError),
        ("template/a.yml", "", NotImplementedError),
        ("template/a.yml/{{ redis }}", "", NotImplementedError),
    ],
    ids=["a yield tag", "a computed include", "an unknown name", "two files of one name", "a folder beside a file"],
)
def test_unsupported_template_features_are_refused(
    make: Callable[[Mapping[str, str]], Projects], path: str, text: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        make({path: text})


def test_two_sources_of_one_path_are_refused(make: Callable[[Mapping[str, str]], Projects]) -> None:
    projects = make({"template/{{ redis }}/b.yml": "port: 1\n"})
    with pytest.raises(ValueError, match=r"two files of template/ render b\.yml with .*redis"):
        projects.column("b.yml")


def test_a_symbolic_link_is_refused(make: Callable[[Mapping[str, str]], Projects]) -> None:
    folder = make({}).template.folder
    (folder / "template/link").symlink_to("b.yml.jinja")
    with pytest.raises(NotImplementedError, match="symbolic link"):
        Projects(Template(folder), Space(Template(folder), {}, {}))


def test_an_answer_that_the_analysis_overlooks_is_an_error(small: Projects) -> None:
    small.sources["b.yml"] = [replace(small.sources["b.yml"][0], reads=frozenset())]
    with pytest.raises(Exception, match="'port' is undefined"):
        small.column("b.yml")
