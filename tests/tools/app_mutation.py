"""Deletes each statement of a rendered server in turn, to see that the project's own tests fail: `make app-mutants`.

The service has PostgreSQL. The files are those of `Language.server`. A mutant that no test notices has to be in
app_mutation.yml, with a reason, and nothing else may be there.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import Enum
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import tree_sitter_go
import tree_sitter_python
import tree_sitter_typescript
import yaml
from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser

from tests.e2e.apps.project import QUICK_BUILDS, Project, clean_environment
from tests.e2e.apps.servers import SERVERS, Server
from tests.harness.template import copy_working_tree
from tests.languages import LANGUAGES

DATABASE = "postgres"
WORKERS = 2
FUNCTION = re.compile("function_de|method_de")
REVIEWED = Path(__file__).with_suffix(".yml")


class Syntax(NamedTuple):
    """How to delete the statements of a language, and how to test what is left."""

    grammar: object
    block: str  # the node whose children are statements
    kept: tuple[str, ...]  # statements without which nothing compiles, or that do nothing
    empty: bytes  # the replacement of a statement
    check: tuple[str, ...]  # compiles, or checks types: what fails is no mutant
    tests: str  # the variable that has the tests to run
    fail_fast: str  # arguments in front of the tests that stop at the first failure
    every: str  # the argument for all tests


SYNTAX: Mapping[str, Syntax] = {
    "python": Syntax(
        tree_sitter_python.language(),
        "block",
        (
            "function_definition",
            "decorated_definition",
            "import_statement",
            "import_from_statement",
            "pass_statement",
            "nonlocal_statement",
            "comment",
        ),
        b"pass",
        (".venv/bin/mypy", "app"),
        "PYTEST_ADDOPTS",
        "--exitfirst",
        "tests",
    ),
    "typescript": Syntax(
        tree_sitter_typescript.language_typescript(),
        "statement_block",
        ("function_declaration", "comment"),
        b"",
        ("node_modules/.bin/tsc",),
        "TESTS",
        "",
        "'tests/**/*.test.ts'",
    ),
    "go": Syntax(
        tree_sitter_go.language(),
        "statement_list",
        ("comment",),
        b"",
        ("go", "build", "./..."),
        "TESTS",
        "-failfast",
        "./...",
    ),
}


class Mutant(NamedTuple):
    """A source file without one of its statements."""

    language: str
    path: str
    line: int
    statement: str  # its function, the statement around it, and its own first line
    content: bytes

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.statement}"


class Outcome(Enum):
    """What the project's tests do with a mutant."""

    INVALID = "do not compile"
    KILLED = "killed"
    SURVIVED = "survived"


def mutants(language: str, path: str, content: bytes) -> Iterator[Mutant]:
    """Every mutant of a file, statements of nested blocks included."""
    syntax = SYNTAX[language]
    for node, where in _statements(Parser(Grammar(syntax.grammar)).parse(content).root_node, syntax, ()):
        deleted = content[: node.start_byte] + syntax.empty + content[node.end_byte :]
        yield Mutant(language, path, node.start_point.row + 1, ": ".join([*where, _first_line(node)]), deleted)


def _statements(node: Node, syntax: Syntax, where: tuple[str, ...]) -> Iterator[tuple[Node, tuple[str, ...]]]:
    """Each statement, with its function and the statement around it."""
    for child in node.named_children:
        inside = where
        if node.type == syntax.block and child.type not in syntax.kept and not _is_docstring(child):
            yield child, where
            inside = (*where[:1], _first_line(child))
        if FUNCTION.search(child.type) and (name := child.child_by_field_name("name")):
            inside = (_first_line(name),)
        yield from _statements(child, syntax, inside)


def _first_line(node: Node) -> str:
    return (node.text or b"").decode().splitlines()[0].rstrip(" {:")


def _is_docstring(node: Node) -> bool:
    return node.type == "expression_statement" and [child.type for child in node.named_children] == ["string"]


class Copy:
    """A project to mutate, with a database for its tests."""

    def __init__(self, template: Path, folder: Path, language: str, server: Server) -> None:
        self.project = Project(template, folder, language, DATABASE)
        self.project.make("build")
        self.syntax = SYNTAX[language]
        self.output = folder.with_suffix(".log")
        self.server = server
        self.database = f"{folder.name}_test"
        # Without Go's race detector, whose builds take longer.
        self.environment = clean_environment() | QUICK_BUILDS | {"CGO_ENABLED": "0"} | server.environment(self.database)

    def try_mutant(self, mutant: Mutant, timeout: float) -> Outcome:
        """Return what the tests do with a mutant, those nearest to its file first."""
        source = self.project.path / mutant.path
        before = source.read_bytes()
        source.write_bytes(mutant.content)
        try:
            if not self.passes(*self.syntax.check, timeout=timeout):
                return Outcome.INVALID
            nearest = LANGUAGES[mutant.language].server[mutant.path]
            passes = self.tests_pass(nearest, timeout) and self.tests_pass(self.syntax.every, timeout)
            return Outcome.SURVIVED if passes else Outcome.KILLED
        finally:
            source.write_bytes(before)

    def tests_pass(self, tests: str, timeout: float) -> bool:
        """Run tests of the project with a new database."""
        toolchain = [f"{name}={value}" for name, value in self.project.toolchain.items()]
        self.server.execute(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")
        self.server.create_database(self.database)
        self.environment[self.syntax.tests] = f"{self.syntax.fail_fast} {tests}"
        return self.passes("make", "test", *toolchain, timeout=timeout)

    def passes(self, *command: str, timeout: float) -> bool:
        """Tell whether a command succeeds in time. What it started ends with it."""
        with self.output.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.project.path,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            return process.wait(timeout) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            # A service of a test that was cut off may still run.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def outcomes(language: str) -> Iterator[tuple[Mutant, Outcome]]:
    """Every mutant of a language's server, with what its tests do."""
    with tempfile.TemporaryDirectory() as scratch, SERVERS[DATABASE]() as server:
        folder = Path(scratch)
        template = copy_working_tree(folder / "template")
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(WORKERS):
            copy = Copy(template, folder / f"copy{number}", language, server)
            copies.put(copy)
        every = [
            mutant
            for path in LANGUAGES[language].server
            for mutant in mutants(language, path, (copy.project.path / path).read_bytes())
        ]
        began = time.monotonic()
        if not copy.tests_pass(copy.syntax.every, timeout=3600):
            raise RuntimeError(f"The tests fail without a mutant:\n{copy.output.read_text(errors='replace')[-8000:]}")
        timeout = 60 + 2 * (time.monotonic() - began)

        def try_mutant(mutant: Mutant) -> Outcome:
            copy = copies.get()
            try:
                return copy.try_mutant(mutant, timeout)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(WORKERS) as pool:
            for number, found in enumerate(zip(every, pool.map(try_mutant, every), strict=True), 1):
                print(f"\r{language}: {number} of {len(every)}\033[K", end="", file=sys.stderr, flush=True)
                yield found


def reviewed(language: str) -> dict[tuple[str, str], str]:
    """The mutants that may survive: the reason for each path and statement."""
    files = yaml.safe_load(REVIEWED.read_text(encoding="utf-8"))[language] or {}
    return {(path, statement): reason for path, reasons in files.items() for statement, reason in reasons.items()}


def main(languages: list[str]) -> int:
    """Print the survivors of each language, and fail if they are not those that were reviewed."""
    status = 0
    for language in languages or LANGUAGES:
        expected = reviewed(language)
        survivors: set[tuple[str, str]] = set()
        counts: Counter[Outcome] = Counter()
        for mutant, outcome in outcomes(language):
            counts[outcome] += 1
            if outcome is Outcome.SURVIVED:
                key = (mutant.path, mutant.statement)
                survivors.add(key)
                print(
                    f"\r{mutant}\033[K\n  {expected.get(key, f'survived, and is not in {REVIEWED.name}')}", flush=True
                )
        for path, statement in expected.keys() - survivors:
            print(f"\r{path}: {statement}\033[K\n  did not survive, but is in {REVIEWED.name}")
        status |= survivors != expected.keys()
        print(f"\r{language}: {', '.join(f'{counts[kind]} {kind.value}' for kind in Outcome)}\033[K")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
