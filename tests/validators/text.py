"""What a person who writes a file with care leaves out: stray blanks, markers, dead lines, endings of two systems."""

from __future__ import annotations

import ast
import configparser
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath

import sqlglot
from sqlglot.errors import SqlglotError
from sqlglot.expressions import Alter, Create, Drop

from tests.validators import Files, Finding, lines

# A comment that is a line of the file's own language, kept for somebody to uncomment.
_DEAD = {
    ".yml": r"\s*#\s*(- )?[\"']?[A-Za-z_][\w./-]*[\"']?:(\s+\S+)?|\s*#\s*- \S+",
    ".toml": r"\s*#\s*(\[[\w.\"-]+\]|[\w.-]+ = .+)",
    ".env": r"\s*#\s*[A-Z_]+=.*",
    ".mk": r"\s*#\s*([A-Za-z_]+ [:?+]?= .*|[a-z-]+:( [a-z-]+)*|\t.*)",
    "Dockerfile": r"\s*#\s*(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|RUN|USER|VOLUME|WORKDIR) .*",
}
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
