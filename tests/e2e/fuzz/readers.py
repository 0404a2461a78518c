"""What each format's own parser reads from a file: lists, texts and numbers, to be compared place by place."""

from __future__ import annotations

import ast
import functools
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.harness import load_all
from tests.languages import LANGUAGES
from tests.rules.dockerfile import instructions
from tests.rules.documentation import sections

Tree = Any  # a list of trees, or a text, a number, a truth value or nothing


def tree(value: Any) -> Tree:
    """A parsed document, its mappings as lists of pairs, so that a key is compared like a value."""
    if isinstance(value, dict):
        return [[tree(key), tree(item)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [tree(item) for item in value]
    if isinstance(value, ast.AST):
        return [type(value).__name__, *(tree(item) for _, item in ast.iter_fields(value))]
    return value


def _markdown(text: str) -> Tree:
    return [block for section in sections(text) for block in _section(section)]


@functools.lru_cache(maxsize=2000)
def _section(text: str) -> list[Tree]:
    return [_block(token) for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)]


def _block(token: Token) -> Tree:
    if token.type != "inline":
        return [token.type, token.tag, token.info, token.content]
    pieces: list[list[Any]] = []
    for child in token.children or []:
        kind = "text" if child.type.startswith("text") else child.type
        if kind == "text" and pieces and pieces[-1][0] == "text":
            pieces[-1][-1] += child.content
        else:
            pieces.append([kind, tree(child.attrs), child.content])
    return pieces


def _dockerfile(text: str) -> Tree:
    return [[item.name, item.flags, shlex.split(item.text)] for item in instructions(text.encode())]


def _settings(text: str) -> Tree:
    return [line.split("=", 1) for line in text.splitlines()]


def _logical_lines(text: str) -> Tree:
    """What make takes for one line; how make and the shell then read it takes a run of both."""
    return text.replace("\\\n", "\0").split("\n")


_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`|\w+|\S')


def _tokens(text: str) -> Tree:
    """What compilers take apart, with the text that quotation marks hold."""
    return [json.loads(token) if token[0] == '"' else token for token in _TOKEN.findall(text)]


READERS: dict[str, Callable[[str], Tree]] = {
    **{PurePosixPath(language.source).suffix: _tokens for language in LANGUAGES.values()},
    ".env": _settings,
    ".json": lambda text: tree(json.loads(text)),
    ".md": _markdown,
    ".mk": _logical_lines,
    ".py": lambda text: tree(ast.parse(text)),
    ".toml": lambda text: tree(tomllib.loads(text)),
    ".yaml": lambda text: tree(load_all(text.encode())),
    ".yml": lambda text: tree(load_all(text.encode())),
    "Dockerfile": _dockerfile,
    "Makefile": _logical_lines,
}


@functools.lru_cache(maxsize=2000)
def read(path: str, content: bytes) -> Tree:
    """What the parser of its format makes of a file."""
    place = PurePosixPath(path)
    reader = READERS.get(place.name) or READERS.get(place.suffix)
    if not reader:
        raise LookupError(f"no reader for {path}: add one to tests/e2e/fuzz/readers.py")
    return reader(content.decode())


def count(value: Tree, pattern: re.Pattern[str]) -> int:
    """How often a pattern stands in the texts and numbers of a tree."""
    if isinstance(value, list):
        return sum(count(item, pattern) for item in value)
    return len(pattern.findall(str(value)))


MARK, END = "=== ", " ==="


def run_by_make_and_bash(projects: Sequence[Mapping[str, bytes]], scratch: Path) -> list[Tree]:
    """The words of each command that a project's Makefile runs, as one make expands them and one bash reads them."""
    makefile = "\n".join(f"$(info {MARK})\n{_as_texts(files)}" for files in projects)
    (scratch / "Makefile").write_text(f"{makefile}\nall: ;\n")
    expanded = subprocess.run(
        ["make", "ENVIRONMENT=staging", "TAG=0", "all"], cwd=scratch, check=True, capture_output=True, text=True
    ).stdout
    commands = [section.split(f"{END}\n")[:-1] for section in re.split(rf"^{MARK}\n", expanded, flags=re.MULTILINE)[1:]]
    distinct = dict.fromkeys(command for section in commands for command in section)
    said = dict(zip(distinct, _words(list(distinct), scratch), strict=True))
    return [[said[command] for command in section] for section in commands]


def _as_texts(files: Mapping[str, bytes]) -> str:
    """A Makefile that prints the commands of all recipes instead of having targets."""

    def inlined(found: re.Match[str]) -> str:
        return "".join(files[name].decode() for name in found[1].split() if name in files)

    whole = re.sub(r"^include (.*)$", inlined, files["Makefile"].decode(), flags=re.MULTILINE)
    found = []
    for line in _logical_lines(whole):
        # The target's name, which only a running recipe has.
        text = line.replace("\0", "\\\n").replace("$@", "target")
        if text.startswith("\t"):
            found.append(f"define COMMAND\n{text[1:].lstrip('@')}\nendef\n$(info $(COMMAND){END})")
        elif re.match(r"(ifn?(eq|def) |else$|endif$|[A-Z_.]+ ([?:+]?=) )", text) and not text.startswith("."):
            found.append(text)
    names = {name[0] for text in found if (name := re.match(r"[A-Z_]+(?= )", text))}
    return "\n".join([*found, *(f"undefine {name}" for name in sorted(names))])


# No program is there, so bash gives every command's words to this function; builtins say what they are told to. A loop
# that waits for a Job is run once, and finds it complete.
_BASH = r"""
exec 3>&1 2>&1 < /dev/null
trap '' PIPE
sleep() { ended=Complete; }
command_not_found_handle() { printf -v words '<%s>' "$@"; printf '%s\n' "$words" >&3; }
"""


def _words(commands: list[str], scratch: Path) -> list[list[str]]:
    commands = [
        re.sub(r"(^|[;{(]\s+)until (.*?); do (.*?); done", r"\1{ \2; \3; }", command, flags=re.DOTALL | re.MULTILINE)
        for command in commands
    ]
    script = _BASH + "".join(
        f"( PATH=/nowhere; eval {shlex.quote(command)} )\nbuiltin echo '{MARK}'\n" for command in commands
    )
    (scratch / "commands").write_text(script)
    said = subprocess.run(["bash", "commands"], cwd=scratch, check=True, capture_output=True, text=True).stdout
    # Nothing of such a command is read.
    unreadable = [line for line in said.splitlines() if "syntax error" in line]
    assert not unreadable, unreadable
    outputs = said.split(f"{MARK}\n")[:-1]
    # The parts of a pipeline write in any order, and their reader may be gone.
    return [
        sorted(re.sub(r"^commands: line \d+: ", "", line) for line in output.splitlines() if "Broken pipe" not in line)
        for output in outputs
    ]
