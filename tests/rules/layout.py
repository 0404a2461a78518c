"""Files look as if someone wrote them by hand with care, and nothing of the template is left in them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import polars as pl

from tests.harness import Failure, Problem, Projects, file_rule, rejects, replace
from tests.harness.projects import CONTENT, matches
from tests.harness.rules import FileRule
from tests.harness.space import IS_EDGE_CASE

# A commented-out line of the file's language.
_YAML = r"\s*#\s*(- )?[\"']?[A-Za-z_][\w./-]*[\"']?:(\s+\S+)?|\s*#\s*- \S+"
_MAKE = r"\s*#\s*([A-Za-z_]+ [:?+]?= .*|[a-z-]+:( [a-z-]+)*|\t.*)"
_COMMENTED_OUT = {
    ".yml": _YAML,
    ".yaml": _YAML,
    ".toml": r"\s*#\s*(\[[\w.\"-]+\]|[\w.-]+ = .+)",
    ".env": r"\s*#\s*[A-Z_]+=.*",
    ".mk": _MAKE,
    "Makefile": _MAKE,
    "Dockerfile": r"\s*#\s*(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|RUN|USER|VOLUME|WORKDIR) .*",
}
_COMMENTED_OUT_LINE = {name: re.compile(f"^(?:{line})$", re.MULTILINE) for name, line in _COMMENTED_OUT.items()}
# Other languages of templates that files speak: Prometheus' for the texts of alerts, and GitHub's expressions.
_ALERT = re.compile(r"{{ \$(value|labels\.[a-z_]+)( \| [a-zA-Z]+)? }}")
_WORKFLOW = re.compile(r"\${{ !?[a-z_]+(\.\w+)*(\(\))?( \|\| [a-z_]+(\.\w+)+)? }}")
_GO_TEMPLATE = re.compile("--format='{{json [.A-Za-z]+}}'")
_OTHER_LANGUAGES = {
    "Makefile": _GO_TEMPLATE,
    "kubernetes/chart/templates/*": re.compile(r"{{.*?}}", re.DOTALL),
    "kubernetes/overlays/production/prometheusrule.yaml": _ALERT,
    ".github/*": _WORKFLOW,
}


def _kind(path: str) -> str:
    return PurePosixPath(path).suffix or PurePosixPath(path).name


def _at(path: str, text: str, start: int, message: str) -> Problem:
    return Problem(path, message, str(text.count("\n", 0, start) + 1))


@rejects("carriage returns", "common.yml", replace("services:\n", "services:\r\n"))
@rejects("a byte order mark", "common.yml", replace("services:\n", "\ufeffservices:\n"))
@file_rule("*")
def lines_end_as_on_unix(path: str, content: bytes) -> Iterator[Problem]:
    """A file has neither carriage returns nor a byte order mark."""
    if b"\r" in content or content.startswith("\ufeff".encode()):
        yield Problem(path, "has carriage returns or a byte order mark", "1")


@rejects("no newline at the end", "common.yml", replace("grace_period: 2m\n", "grace_period: 2m"))
@rejects("two newlines at the end", "common.yml", replace("_period: 2m\n", "_period: 2m\n\n"))
@file_rule("*")
def files_end_in_one_newline(path: str, content: bytes) -> Iterator[Problem]:
    """A file that is not empty ends in exactly one newline."""
    if content and (not content.endswith(b"\n") or content.endswith(b"\n\n")):
        yield Problem(path, "does not end in exactly one newline", str(content.count(b"\n")))


@rejects("two blank lines", "common.yml", replace("\n\n", "\n\n\n"))
@rejects("a blank line at the start", "common.yml", replace("services:\n", "\nservices:\n"))
@file_rule("*")
def blank_lines_are_single(path: str, content: bytes) -> Iterator[Problem]:
    """No blank line is first or follows another; in Python there may be two."""
    text, most = content.decode(), 2 if _kind(path) in (".py", ".mako") else 1
    if text.startswith("\n"):
        yield Problem(path, "starts with a blank line", "1")
    for found in re.finditer("\n" * (most + 2), text):
        yield _at(path, text, found.end() - 1, "one blank line too many")


@rejects("a blank at the end of a line", "common.yml", replace("services:\n", "services: \n"))
@file_rule("*")
def lines_have_no_trailing_blanks(path: str, content: bytes) -> Iterator[Problem]:
    """No line ends in blanks or tabs."""
    text = content.decode()
    for found in re.finditer(r"[^\S\r\n]+$", text, re.MULTILINE):
        yield _at(path, text, found.start(), "blanks at the end of the line")


@rejects("a tab", "README.md", replace("## Run", "##\tRun"))
@file_rule("*.yml", "*.yaml", "*.py", "*.toml", "*.md")
def indents_are_blanks(path: str, content: bytes) -> Iterator[Problem]:
    """Formats without tabs have none."""
    text = content.decode()
    for found in re.finditer("\t", text):
        yield _at(path, text, found.start(), "a tab")


@rejects("a key", "common.yml", replace("    read_only: true", "    # read_only: true"))
@rejects("an item", "common.yml", replace("      - ALL", "      # - ALL"))
@rejects("an instruction", "Dockerfile", replace("USER 65532:65532", "# USER 65532:65532"))
@rejects("a setting", "kubernetes/base/config.env", replace("LOG_LEVEL=info", "# LOG_LEVEL=info"))
@rejects("a variable", "Makefile", replace("SERVICE :=", "# SERVICE :="))
@rejects("a setting of a tool", "pyproject.toml", replace("line-length = 120", "# line-length = 120"))
@file_rule("*.yml", "*.yaml", "*.toml", "*.env", "*.mk", "Makefile", "Dockerfile")
def nothing_is_commented_out(path: str, content: bytes) -> Iterator[Problem]:
    """No comment is a line of the file's own language: what a project does not use is not there."""
    text = content.decode()
    for found in _COMMENTED_OUT_LINE[_kind(path)].finditer(text):
        yield _at(path, text, found.start(), f"commented out: {found[0].strip()}")


class _TypicalFileRule(FileRule):
    """Ignores the output of edge cases, which can be any text."""

    def run(self, projects: Projects) -> Iterator[Failure]:
        """What it finds in the files of typical answers."""
        failures = super().run(projects)
        typical = (failure._replace(rows=_typical(projects, failure.rows)) for failure in failures)
        return (failure for failure in typical if failure.rows.height)


def _typical(projects: Projects, rows: pl.DataFrame) -> pl.DataFrame:
    names = [name for name in rows.columns if name]
    table = projects.space.rows(names, IS_EDGE_CASE).filter(~pl.col(IS_EDGE_CASE))
    return rows.join(table, on=names, how="semi", nulls_equal=True) if names else rows


@rejects("an expression", "README.md", replace("## Run", "## {{ service_name }}"))
@rejects("a block", "README.md", replace("## Run", "{% if x %}"))
@rejects("no expression of GitHub", ".github/workflows/service.yml", replace("# A push replaces", "# A {{ push }}"))
@rejects("GitHub's expression elsewhere", "Makefile", replace("# The commit, marked", "# The ${{ github.sha }}"))
@functools.partial(_TypicalFileRule, patterns=["*"])
def nothing_of_the_template_is_left(path: str, content: bytes) -> Iterator[Problem]:
    """With typical answers, no expression, block or file name of the template is in a project."""
    text = content.decode()
    for pattern, language in _OTHER_LANGUAGES.items():
        text = language.sub("", text) if matches(path, (pattern,)) else text
    for found in re.finditer(r"{{|{%|{#|%}|\.jinja\b|copier\.yml", text):
        yield _at(path, text, found.start(), f"{found[0]} is left in")


def test_only_programs_are_executable(projects: Projects) -> None:
    """A file is executable if, and only if, it starts with the program that runs it."""
    for path in projects.paths("*"):
        for source in projects.sources[path]:
            numbers = projects.column(path).table[CONTENT].drop_nulls().unique().to_list() if path[-1] != "/" else []
            starts = {projects.contents[number].startswith(b"#!") for number in numbers}
            assert not numbers or starts == {bool(source.mode & 0o111)}, f"template/{source.path}"
