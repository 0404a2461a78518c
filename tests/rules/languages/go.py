"""Go: its own formatter changes nothing, and what go.mod requires is in go.sum."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from tests import toolchains
from tests.harness import Fact, Files, Problem, file_rule, replace, rule, tool_rule
from tests.rules.languages.folders import write_all

METRICS = "internal/metrics/metrics.go"


@tool_rule("*.go")
def gofmt(batch: Sequence[Files], scratch: Path) -> Iterator[list[Problem]]:
    """Go can parse the code, and gofmt formats nothing."""
    write_all(batch, scratch)
    done = subprocess.run(
        [toolchains.folder() / "gofmt", "-l", "."], cwd=scratch, capture_output=True, text=True, check=False
    )
    found: list[list[Problem]] = [[] for _ in batch]
    for line in done.stdout.splitlines():
        number, _, path = line.partition("/")
        found[int(number)].append(Problem(path, "is not formatted"))
    for line in done.stderr.splitlines():
        syntax = re.fullmatch(r"(\d+)/(.+?):(\d+):\d+: (.+)", line)
        if not syntax:
            raise RuntimeError(done.stderr)
        found[int(syntax[1])].append(Problem(syntax[2], f"does not parse: {syntax[4]}", syntax[3]))
    yield from found


gofmt.rejects("code that the formatter changes", METRICS, replace("\treturn ", "\t  return "), message="not formatted")
gofmt.rejects("code that does not parse", METRICS, replace("\treturn ", "\t)return "), message="does not parse")


@file_rule("*go.mod")
def modules_name_their_go(path: str, content: bytes) -> Iterator[Problem]:
    """A go.mod names the Go that it needs, to the last number."""
    if not re.search(r"^go \d+\.\d+\.\d+$", content.decode(), re.MULTILINE):
        yield Problem(path, "does not say which Go it needs")


modules_name_their_go.rejects("any version of Go", "go.mod", replace("\ngo 1.", "\n// go 1."))


def _required(content: bytes) -> list[tuple[str, str]]:
    return re.findall(r"^\t?(?:require )?(\S+\.\S+/?\S*) (v\S+)(?: // indirect)?$", content.decode(), re.MULTILINE)


def _hashed(content: bytes) -> frozenset[tuple[str, str]]:
    return frozenset(re.findall(r"^(\S+) (\S+) h1:[A-Za-z0-9+/]{43}=$", content.decode(), re.MULTILINE))


@rule(required=Fact("*go.mod", _required), hashed=Fact("*go.sum", _hashed))
def modules_are_locked(
    required: Mapping[str, list[tuple[str, str]]], hashed: Mapping[str, frozenset[tuple[str, str]]]
) -> Iterator[Problem]:
    """For each module of a go.mod, its go.sum has the hashes of the module's files and go.mod."""
    for path, modules in required.items():
        lock = str(PurePosixPath(path).with_name("go.sum"))
        for module, version in modules:
            for what in (version, f"{version}/go.mod"):
                if (module, what) not in hashed.get(lock, frozenset()):
                    yield Problem(lock, f"has no hash of {module} {what}", f"{module} ")


modules_are_locked.rejects(
    "a module whose files have no hash", "go.sum", replace("jackc/pgx/v5 v5.", "jackc/pgx/v5 v6.")
)
modules_are_locked.rejects(
    "a module whose go.mod has no hash",
    "go.sum",
    replace("/go.mod h1:", "/go.mod h2:"),
)
modules_are_locked.rejects(
    "a tool that has no hash", "tools/go.mod", replace("gotest.tools/gotestsum v1.", "gotest.tools/gotestsum v9.")
)
modules_are_locked.rejects(
    "a newer module than the lock has", "go.mod", replace("jackc/pgx/v5 v5.", "jackc/pgx/v5 v9.")
)
