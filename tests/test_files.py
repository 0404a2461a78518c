"""Every rendered file is well-formed in its own format, and looks hand-written."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.judge import Judge
from tests.render import Rendered, Renderer
from tests.template import Template
from tests.validators import go_code, makefiles, python_code, text, typescript_code, yaml_files

LOCKS = ("pyproject.toml", "requirements*.txt", "package*.json", "*go.mod", "*go.sum")
"""What every language names its dependencies in."""

LOCKED = {
    "pyproject.toml": python_code.check_project,
    "package.json": typescript_code.check_lock,
    "go.mod": go_code.check_modules,
}
"""What looks whether the dependencies that such a file names are locked."""


def test_every_yaml_file_means_the_same_to_every_reader(renderer: Renderer, judge: Judge) -> None:
    judge(renderer.each("*.yml", "*.yaml"), yaml_files.check)


def test_every_file_looks_hand_written(renderer: Renderer, judge: Judge) -> None:
    judge.count("distinct files", sum(1 for _ in renderer.each("*")))
    judge(renderer.neighbours("*"), text.check)


def test_nothing_of_the_template_is_left(renderer: Renderer, judge: Judge) -> None:
    judge(renderer.neighbours("*", awkward=False), text.check_markers)


def test_every_file_of_another_format_parses(renderer: Renderer, judge: Judge) -> None:
    judge(renderer.each(*text.FORMATS), text.check_formats)


def test_every_target_of_the_makefile_can_be_made(renderer: Renderer, judge: Judge, tmp_path: Path) -> None:
    distinct = renderer.distinct("Makefile", "*.mk", *LOCKS, "scripts/*")
    sets = list({makefiles.read_by_make(one.files): one for one in distinct}.values())
    judge.count("sets of Makefiles", len(sets))
    judge.found(zip(sets, makefiles.check_all((one.files for one in sets), tmp_path), strict=True))


def test_every_script_is_clean_to_shellcheck(renderer: Renderer, judge: Judge, tmp_path: Path) -> None:
    scripts = list(renderer.each("*.sh"))
    judge.found(zip(scripts, makefiles.check_scripts([one.files for one in scripts], tmp_path), strict=True))


def test_what_is_a_program_and_nothing_else_is_executable(renderer: Renderer, template: Template) -> None:
    for source in template.sources:
        if source.content is not None and "_copier_answers" not in source.reads:
            for rendered in renderer.alone(source):
                starts = {content.startswith(b"#!") for content in rendered.files.values()}
                assert starts == {bool(source.mode & 0o111)}, f"template/{source.path} with {rendered}"


def test_the_projects_own_linter_and_formatter_change_no_python(
    renderer: Renderer, judge: Judge, tmp_path: Path
) -> None:
    def what_ruff_reads(one: Rendered) -> tuple[object, ...]:
        code = tuple(content for path, content in one.files.items() if path.endswith(".py"))
        return (str(tomllib.loads(one.files["pyproject.toml"].decode())["tool"]["ruff"]), *code)

    sets = list({what_ruff_reads(one): one for one in renderer.distinct("pyproject.toml", "*.py")}.values())
    judge.count("sets of Python files", len(sets))
    judge.found(zip(sets, python_code.lint([one.files for one in sets], tmp_path), strict=True))


def test_the_projects_own_linter_and_formatter_change_no_typescript(
    renderer: Renderer, judge: Judge, tmp_path: Path
) -> None:
    sets = list(renderer.distinct("*.ts", "*.json", "*.jsonc"))
    sets = [one for one in sets if "package.json" in one.files]
    judge.count("sets of TypeScript files", len(sets))
    found = typescript_code.lint([one.files for one in sets], typescript_code.install(sets[0].files), tmp_path)
    judge.found(zip(sets, found, strict=True))


def test_gofmt_changes_no_go(renderer: Renderer, judge: Judge, tmp_path: Path) -> None:
    sets = list(renderer.distinct("*.go"))
    judge.count("sets of Go files", len(sets))
    judge.found(zip(sets, go_code.lint([one.files for one in sets], tmp_path), strict=True))


def test_every_dependency_is_locked(renderer: Renderer, judge: Judge) -> None:
    distinct = list(renderer.distinct(*LOCKS))
    for name, check in LOCKED.items():
        judge([one for one in distinct if name in one.files], check)
    judge(renderer.each("requirements*.txt"), python_code.check_locks)


def test_every_project_wants_the_oldest_version_that_it_says(renderer: Renderer, template: Template) -> None:
    oldest = {name: language["oldest"] for name, language in template.table("versions", "languages").items()}
    wanted = {
        "package.json": f'"node": ">={oldest["typescript"]}"',
        "*go.mod": f"\ngo {oldest['go']}.0\n",
        "pyproject.toml": f'requires-python = ">={oldest["python"]}"',
    }
    for pattern, line in wanted.items():
        for one in renderer.each(pattern):
            for path, content in one.files.items():
                assert line in content.decode(), f"{path} with {one}"
