"""What a person who writes a file with care leaves out: stray blanks, markers, dead lines, endings of two systems."""

from __future__ import annotations

import ast
import configparser
import functools
import itertools
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import sqlglot
from markdown_it import MarkdownIt
from sqlglot.errors import SqlglotError
from sqlglot.expressions import Alter, Create, Drop

from tests.rules.ignore_patterns import ignoring
from tests.validators import Files, Finding, Piecewise, derive, each_once, is_at, lines, named

# A comment that is a line of the file's own language, kept for somebody to uncomment.
_DEAD = {
    ".yml": r"\s*#\s*(- )?[\"']?[A-Za-z_][\w./-]*[\"']?:(\s+\S+)?|\s*#\s*- \S+",
    ".toml": r"\s*#\s*(\[[\w.\"-]+\]|[\w.-]+ = .+)",
    ".env": r"\s*#\s*[A-Z_]+=.*",
    ".mk": r"\s*#\s*([A-Za-z_]+ [:?+]?= .*|[a-z-]+:( [a-z-]+)*|\t.*)",
    "Dockerfile": r"\s*#\s*(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|RUN|USER|VOLUME|WORKDIR) .*",
}
# Text between backticks that names a file or folder of the project.
_PATH = re.compile(
    r"(\.circleci|\.github|app|cmd|internal|kubernetes|migrations|reports|scripts|secrets|src|tests)/[\w./-]*"
    r"|(?!\.copier-answers)[\w.-]+\.(md|mk|toml|txt|ya?ml)"
)
_DEAD |= {".yaml": _DEAD[".yml"], "Makefile": _DEAD[".mk"]}


def check(files: Files) -> Iterator[Finding]:
    for path, content in files.items():
        for where, name, message in _problems(PurePosixPath(path), content):
            yield Finding(path, where, name, message)


def _problems(path: PurePosixPath, content: bytes) -> Iterator[tuple[str, str, str]]:
    text = content.decode()
    if "\r" in text or text.startswith("\ufeff"):
        yield "1", "encoding", "has carriage returns or a byte order mark"
    if text and (not text.endswith("\n") or text.endswith("\n\n")):
        yield str(text.count("\n")), "end", "does not end in exactly one newline"
    if text.startswith("\n"):
        yield "1", "blank", "starts with a blank line"
    blank, most = 0, 2 if path.suffix in (".py", ".mako") else 1
    dead = _DEAD.get(path.suffix) or _DEAD.get(path.name)
    for where, line in lines(content):
        blank = 0 if line else blank + 1
        if blank == most + 1:
            yield where, "blank", "one blank line too many"
        if line != line.rstrip():
            yield where, "blank", "blanks at the end of the line"
        if "\t" in line and path.suffix in (".yml", ".yaml", ".py", ".toml", ".md"):
            yield where, "tab", "a tab"
        if dead and re.fullmatch(dead, line):
            yield where, "dead", f"commented out: {line.strip()}"


MARKDOWN = re.compile(r".*\.md")
ALERTS = {"kubernetes/overlays/production/prometheusrule.yaml"}


def check_markers(files: Files) -> Iterator[Finding]:
    """Nothing of the template's own language is left. For plain answers only: people may type such text."""
    for path, content in files.items():
        for where, line in lines(content):
            # Prometheus has a template language of its own for the texts of alerts.
            rest = re.sub(r"{{ \$(value|labels\.[a-z_]+)( \| [a-zA-Z]+)? }}", "", line) if path in ALERTS else line
            if path.startswith(".github/"):
                rest = re.sub(r"\${{ !?[a-z_]+(\.\w+)*(\(\))?( \|\| [a-z_]+(\.\w+)+)? }}", "", rest)
            if marker := re.search(r"{{|{%|{#|%}|\.jinja\b|copier\.yml", rest):
                yield Finding(path, where, "marker", f"{marker[0]} is left in: {line.strip()}")


FORMATS = (
    "*.json", "*.toml", "*.ini", "*.cfg", "*.env", "*.mako", "*.sql", ".editorconfig", ".npmrc",
)  # fmt: skip
"""The files that `check_formats` reads."""


def check_formats(files: Files) -> Iterator[Finding]:
    for path, content in files.items():
        try:
            match PurePosixPath(path).suffix or path:
                case ".json":
                    json.loads(content)
                case ".toml":
                    tomllib.loads(content.decode())
                case ".ini" | ".cfg":
                    configparser.ConfigParser(strict=True).read_string(content.decode())
                case ".editorconfig" | ".npmrc":
                    configparser.ConfigParser(strict=True).read_string(f"[top]\n{content.decode()}")
                case ".env":
                    _read_env(content)
                case ".mako":
                    _read_mako(content.decode())
                case ".sql":
                    _read_sql(content.decode())
        except (ValueError, SyntaxError, configparser.Error, SqlglotError) as error:
            yield Finding(path, "", "format", str(error))


def _read_env(content: bytes) -> None:
    seen = set()
    for where, line in lines(content):
        name = line.partition("=")[0]
        if line and (not re.fullmatch(r"[A-Z_][A-Z0-9_]*=\S*", line) or name in seen):
            raise ValueError(f"line {where}, {line!r}, is no setting, or stands twice")
        seen.add(name)


def _read_mako(text: str) -> None:
    """Python, with expressions of Python between braces; each stands where a value or a statement can."""
    for expression in re.findall(r"\$\{(.*?)\}", text):
        ast.parse(expression, mode="eval")
    ast.parse(re.sub(r"\$\{.*?\}", "None", text))


def _read_sql(text: str) -> None:
    """Statements that any reader of SQL knows; the servers read them when the applications are tested."""
    if others := [str(found) for found in sqlglot.parse(text) if not isinstance(found, (Create, Drop, Alter))]:
        raise ValueError(f"{others[0]} changes no schema")


def check_documentation(files: Files) -> Iterator[Finding]:
    for path in named(files, MARKDOWN.fullmatch):
        yield from check_document(path, files)


def check_document(path: str, files: Files) -> Iterator[Finding]:
    """Links and paths lead to files, and headings make one tree."""
    unusual = derive(files, path, _unusual_headings) or ()
    if len(unusual) != 1 or unusual[0][:1] != (1,) or unusual[0].count(1) != 1 or _leaps(unusual[0]):
        yield Finding(path, "1", "links", f"not one section, the first, starts with its only title: {unusual}")
    for how, name in derive(files, path, _names) or ():
        if not _is_there(str(PurePosixPath(path).parent / name) if how == "links to" else name, files):
            for line in _lines_of(how, name, files[path].decode()):
                yield Finding(path, str(line), "links", f"{how} {name}, which does not exist")


class _Section(NamedTuple):
    levels: tuple[int, ...]  # of its headings
    names: tuple[tuple[int, str, str], ...]  # what it names: the line, how, and the path
    length: int


def _leaps(levels: tuple[int, ...]) -> bool:
    return any(after > before + 1 for before, after in itertools.pairwise(levels))


def _by_section(
    function: Callable[[_Section], Iterable[Any]], join: Callable[[Iterable[tuple[Any, ...]]], tuple[Any, ...]]
) -> Piecewise[tuple[Any, ...]]:
    return Piecewise(
        lambda content: tuple(item for text in sections(content.decode()) for item in function(_section(text))),
        join,
        rb"(?<=\n)(?=## )",
        lambda piece: piece.count(b"\n```") % 2 == 0,
    )


def _unusual(section: _Section) -> Iterator[tuple[int, ...]]:
    """The levels of its headings, unless they are one of the second level, and others below it."""
    if section.levels and (section.levels[0] != 2 or 1 in section.levels or _leaps(section.levels)):
        yield section.levels


_unusual_headings = _by_section(_unusual, lambda found: tuple(itertools.chain(*found)))
# Without the lines: many files have the same.
_names = _by_section(lambda section: (tuple(named) for _, *named in section.names), each_once)


def _lines_of(how: str, name: str, text: str) -> Iterator[int]:
    start = 1
    for section in map(_section, sections(text)):
        yield from (start + line for line, *named in section.names if named == [how, name])
        start += section.length


def sections(text: str) -> Iterator[str]:
    """Each is read once, however many files it is in; a heading inside a block of code starts none."""
    section = ""
    for piece in re.split("(?m)^(?=## )", text):
        section += piece
        if section.count("\n```") % 2 == 0:
            yield section
            section = ""
    if section:
        yield section


@functools.cache
def _section(text: str) -> _Section:
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    levels = tuple(int(token.tag[1]) for token in tokens if token.type == "heading_open")
    names = []
    for token in tokens:
        line = token.map[0] if token.map else 0
        for child in token.children or []:
            target = child.attrGet("href") or child.attrGet("src")
            if isinstance(target, str) and not re.match(r"https?:|mailto:|#", target):
                names.append((line, "links to", target.partition("#")[0]))
            if child.type == "code_inline" and _PATH.fullmatch(child.content):
                names.append((line, "names", child.content))
    return _Section(levels, tuple(names), text.count("\n"))


def _is_there(path: str, files: Files) -> bool:
    """Whether the project has a file or folder, or git ignores it, so that it may come to be there."""
    path = path.rstrip("/")
    return (
        path in ("", ".")
        or is_at(files, path)
        or any(derive(files, ".gitignore", ignoring(path + end)) for end in ("", "/"))
    )
