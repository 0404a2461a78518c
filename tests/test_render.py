"""Rendering in memory is rendering with Copier: the same paths, bytes and modes, from a folder and from git."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import copier
import pytest

from tests.render import ANSWERS_FILE, File, Renderer
from tests.space import Answers, Space
from tests.template import Template
from tests.validators.kustomize import WORKERS


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
    """Some combinations and some awkward answers, drawn by a fixed seed."""
    draw = random.Random(1)  # noqa: S311
    drawn = [*draw.sample(space.pairs(awkward=False), 6), *draw.sample(space.pairs(), 3)]
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
    renderer: Renderer, template: Template, sample: list[Answers], tmp_path: Path
) -> None:
    folders = [tmp_path / str(index) for index in range(len(sample))]
    with ProcessPoolExecutor(WORKERS) as pool:
        copies = pool.map(copy, [template.folder] * len(sample), folders, sample)
        for answers, found in zip(sample, copies, strict=True):
            assert comparable(found, modes=False) == comparable(renderer.project(answers), modes=False), answers


def test_modes_are_those_of_the_template(renderer: Renderer, template: Template, tmp_path: Path) -> None:
    files = copy(template.folder, tmp_path / "project", {"project_name": "Shop"})
    expected = renderer.project({"project_name": "Shop"})
    for path, file in files.items():
        if not path.endswith("/"):
            assert oct(file.mode) == oct(expected[path].mode), path


def test_a_tag_renders_to_disk_as_in_memory(
    renderer: Renderer, template: Template, sample: list[Answers], tmp_path: Path
) -> None:
    repository = tagged(template.folder, tmp_path / "repository")
    for index, answers in enumerate(sample[:: len(sample) // 3]):
        expected = comparable(renderer.project(answers), modes=False)
        found = copy(repository, tmp_path / str(index), answers, "v1.0.0")
        assert comparable(found, modes=False) == expected, answers


def tagged(folder: Path, repository: Path) -> Path:
    subprocess.run(["cp", "-a", folder, repository], check=True)
    for command in ("init -q -b main", "add -A", "commit -q -m 1", "tag v1.0.0"):
        git(repository, *command.split())
    return repository


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.com", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
    ).stdout


def test_what_is_put_together_from_parts_is_what_copiers_worker_renders(renderer: Renderer, space: Space) -> None:
    """`every` renders each file with the few answers that it reads; `project` gives it all that Copier knows."""
    for answers, context in space.some(50):
        whole = renderer.project(dict(answers))
        files = {path: file.content for path, file in whole.items() if path != ANSWERS_FILE and path[-1] != "/"}
        assert dict(renderer.one(answers, context, "*").files) == files


def test_rendering_twice_gives_the_same(template: Template) -> None:
    answers: Answers = {"project_name": "Shop"}
    assert Renderer(template, Space(template)).project(answers) == Renderer(template, Space(template)).project(answers)


def test_the_answers_file_holds_every_answer(renderer: Renderer, space: Space) -> None:
    import yaml  # noqa: PLC0415

    (source,) = [source for source in renderer.template.sources if "_copier_answers" in source.reads]
    for answers, _ in itertools.islice(space.pairs(), 0, None, 5):
        stored = yaml.safe_load(renderer._whole(source, renderer.context(answers)))
        assert {name: value for name, value in stored.items() if not name.startswith("_")} == answers


@pytest.mark.parametrize(
    ("path", "text", "error"),
    [
        ("template/{% yield x from [1] %}{{ x }}{% endyield %}", "", NotImplementedError),
        ("template/a.txt.jinja", "{% include service_name %}", NotImplementedError),
        ("template/a.txt.jinja", "{{ servce_name }}", ValueError),
        ("template/Makefile", "", NotImplementedError),
        ("template/README.md/{{ python }}", "", NotImplementedError),
    ],
    ids=["a yield tag", "a computed include", "an unknown name", "two files of one name", "a folder beside a file"],
)
def test_what_the_renderer_does_not_implement_is_refused(
    template: Template, tmp_path: Path, path: str, text: str, error: type[Exception]
) -> None:
    folder = tmp_path / "template"
    subprocess.run(["cp", "-a", template.folder, folder], check=True)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)
    with pytest.raises(error):
        Template(folder)


def test_two_sources_of_one_path_are_refused(template: Template, tmp_path: Path) -> None:
    folder = tmp_path / "template"
    subprocess.run(["cp", "-a", template.folder, folder], check=True)
    (folder / "template/Dockerfile").write_text("FROM scratch\n")
    broken = Template(folder)
    renderer = Renderer(broken, Space(broken))
    with pytest.raises(ValueError, match="two files of template/ render Dockerfile"):
        renderer.distinct("Dockerfile", awkward=False)
    with pytest.raises(ValueError, match="two files of template/ render Dockerfile"):
        renderer.refuse_two_of_one_path()


def test_two_sources_of_one_path_are_refused_if_any_answers_bring_both(template: Template, tmp_path: Path) -> None:
    folder = tmp_path / "template"
    subprocess.run(["cp", "-a", template.folder, folder], check=True)
    for name in ("{{ kops }}", "{{ if_log_agent }}"):
        (folder / "template" / name).mkdir()
        (folder / "template" / name / "a.txt").write_text("a\n")
    broken = Template(folder)
    with pytest.raises(ValueError, match=r"two files of template/ render a.txt with .*'kops'.*'log_agent': True"):
        Renderer(broken, Space(broken)).refuse_two_of_one_path()


def test_a_symbolic_link_is_refused(template: Template, tmp_path: Path) -> None:
    folder = tmp_path / "template"
    subprocess.run(["cp", "-a", template.folder, folder], check=True)
    (folder / "template/link").symlink_to("Makefile.jinja")
    with pytest.raises(NotImplementedError, match="symbolic link"):
        Template(folder)


def test_an_answer_that_the_analysis_overlooks_is_an_error(
    renderer: Renderer, template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, part = next(
        (source, part) for source in template.sources for part in source.parts if "service_name" in part.reads
    )
    blind = replace(part, reads=tuple(name for name in part.reads if name != "service_name"))
    monkeypatch.setattr(template, "sources", [replace(source, parts=(blind,))])
    _, context = renderer.space.complete({})
    with pytest.raises(Exception, match="'service_name' is undefined"):
        list(Renderer(template, renderer.space)._parts(template.sources[0], context))
