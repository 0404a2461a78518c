"""Makefiles: every documented target can be made, and what it runs is sound shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.validators import Files, Finding, by_line, derive, named, unread
from tests.validators.kustomize import WORKERS, memory, tool
from tests.verdicts import remember

# Given by people and CI, or by the Makefile in some projects only.
MAY_BE_UNDEFINED = {
    "BACKUP", "BUILD_FLAGS", "CI", "CONFIRM", "DATABASE_HOST", "ENVIRONMENT", "NODE", "REPLICAS", "REVISION",
    "RUN_ENVIRONMENT", "TEST_ENVIRONMENT", "VERSION",
}  # fmt: skip
_MAKEFILE = re.compile(r"Makefile|.*\.mk")
_ENVIRONMENTS = ("staging", "", "local")
_TARGETS = ".targets"
_SHARE = 200  # sets that lie on the disk, or in memory, at once
# A dry run does run what calls make again, and what that would print is printed by the target itself.
_DRY_RUN = f"""
shopt -s dotglob
for output in */*.out; do
  folder=${{output%/*}} environment=${{output##*/}}
  environment=${{environment%.out}}
  read -r targets < "$folder/{_TARGETS}"
  make --directory="$folder" --no-print-directory --dry-run --always-make --warn-undefined-variables \\
    MAKE=: TAG=0123456789 ENVIRONMENT="$environment" $targets \\
    > "$output" 2> "${{output%.out}}.err" || true
done
"""
_Run = tuple[str, list[str], list[str]]
_Input = tuple[tuple[str, bytes | tuple[bytes, ...]], ...]


def paths(files: Files) -> list[str]:
    return named(files, _MAKEFILE.fullmatch)


def targets(files: Files) -> dict[str, str]:
    """What `make help` lists, with what it says of each."""
    found: dict[str, str] = {}
    for path in paths(files):
        found.update(derive(files, path, _targets) or ())
    return found


def documented(files: Files) -> set[str]:
    """The names of what `make help` lists."""
    return {name for path in paths(files) for name in derive(files, path, _documented) or ()}


@by_line
def _documented(content: bytes) -> tuple[str, ...]:
    return tuple(name for name, _ in _targets.function(content))


@by_line
def _targets(content: bytes) -> tuple[tuple[str, str], ...]:
    return tuple(re.findall(r"^([a-z-]+):.*?## (.+)$", content.decode(), re.MULTILINE))


def check(files: Files, scratch: Path) -> list[Finding]:
    return check_all([files], scratch)[0]


def check_all(sets: Iterable[Files], scratch: Path) -> list[list[Finding]]:
    """What `make --dry-run` says of all targets at once, and what shellcheck says of the commands that it prints."""
    taken = list(sets)
    read = [read_by_make(files) for files in taken]
    environments = list(_environments(read))
    runs: list[list[_Run]] = remember(
        "make --dry-run",
        subprocess.run(["make", "--version"], capture_output=True, text=True, check=True).stdout,
        list(zip(read, environments, strict=True)),
        lambda missing: _dry_runs([(taken[index], environments[index]) for index in missing], scratch),
    )
    commands = list(dict.fromkeys(command for run in runs for _, _, found in run for command in found))
    findings = dict(zip(commands, shellcheck(commands, scratch, expanded=True), strict=True))
    return [
        [
            *_not_phony(files),
            *_not_there(files),
            *(Finding("Makefile", where, "make", line) for where, lines, _ in run for line in lines),
            *(
                finding._replace(path="Makefile", where=where)
                for where, _, found in run
                for command in found
                for finding in findings[command]
            ),
        ]
        for files, run in zip(taken, runs, strict=True)
    ]


def read_by_make(files: Files) -> _Input:
    """Make reads its own files, and of others whether they are there."""
    own = set(paths(files))
    return tuple((path, content if path in own else b"") for path, content in unread(files).items())


def _environments(sets: Iterable[_Input]) -> Iterator[tuple[str, ...]]:
    """All for the first set with a stretch that none before it has: what each means to one no other stretch changes."""
    seen: set[object] = set()
    known: dict[_Input, tuple[str, ...]] = {}
    for read in sets:
        if read not in known:
            own = {
                (path, stretch)
                for path, content in read
                for stretch in (content if isinstance(content, tuple) else (content,))
            }
            known[read] = _ENVIRONMENTS if own - seen else _ENVIRONMENTS[:1]
            seen |= own
        yield known[read]


def _not_phony(files: Files) -> Iterator[Finding]:
    phony = {name for path in paths(files) for name in derive(files, path, _phony) or ()}
    for name in sorted(targets(files).keys() - phony):
        yield Finding("Makefile", name, "phony", f"a file named {name} would stop `make {name}` from doing anything")


def _not_there(files: Files) -> Iterator[Finding]:
    own = paths(files)
    there = {name for path in own for name in derive(files, path, _rules) or ()}
    for path in own:
        for name in derive(files, path, _called) or ():
            if name not in there:
                yield Finding("Makefile", path, "make", f"calls make {name}, which is no target")


@by_line
def _rules(content: bytes) -> tuple[str, ...]:
    return tuple(re.findall(r"^([a-z-]+):", content.decode(), re.MULTILINE))


@by_line
def _called(content: bytes) -> tuple[str, ...]:
    return tuple(re.findall(r"\$\(MAKE\) ([a-z-]+)", content.decode()))


@by_line
def _phony(content: bytes) -> tuple[str, ...]:
    return tuple(
        name for line in re.findall(r"^\.PHONY: (.*)$", content.decode(), re.MULTILINE) for name in line.split()
    )


def _dry_runs(sets: Sequence[tuple[Files, Sequence[str]]], scratch: Path) -> list[list[_Run]]:
    """What make says of each set in its environments."""
    shares = [sets[start : start + _SHARE] for start in range(0, len(sets), _SHARE)]
    with ThreadPoolExecutor(WORKERS) as pool:
        return [run for share in pool.map(lambda share: _dry_runs_of(share, scratch), shares) for run in share]


def _dry_runs_of(sets: Sequence[tuple[Files, Sequence[str]]], scratch: Path) -> list[list[_Run]]:
    with tempfile.TemporaryDirectory(dir=memory(scratch)) as top:
        for index, (files, environments) in enumerate(sets):
            own = set(paths(files))
            for path in files:
                target = Path(top, str(index), path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(files[path] if path in own else b"")
            Path(top, str(index), _TARGETS).write_text(" ".join(sorted(targets(files))) + "\n")
            for environment in environments:
                Path(top, str(index), f"{environment}.out").touch()
        # One shell for all, because to start a process from Python takes longer than make itself.
        subprocess.run(["bash", "-c", _DRY_RUN], cwd=top, check=True, env={"PATH": os.environ["PATH"], "HOME": top})
        return [
            [_run(Path(top, str(index)), environment) for environment in environments]
            for index, (_, environments) in enumerate(sets)
        ]


def _run(folder: Path, environment: str) -> _Run:
    """The environment, what make complains of, and the commands that would run."""
    said = dict.fromkeys((folder / f"{environment}.err").read_text().splitlines())
    printed = (folder / f"{environment}.out").read_text().replace(str(folder), "/project")
    commands = "\n".join(line for line in printed.split("\n") if line[:5] != "make:")
    return (
        f"ENVIRONMENT={environment}",
        [line for line in said if (_undefined(line) or "?") not in MAY_BE_UNDEFINED],
        re.findall(r"(?:.*\\\n)*.+\n", commands),
    )


def _undefined(line: str) -> str | None:
    found = re.search(r"undefined variable '(\w+)'", line)
    return found[1] if found else None


def check_scripts(sets: Sequence[Files], scratch: Path) -> list[list[Finding]]:
    """What shellcheck finds in sets of shell scripts."""
    scripts = [(index, path, content.decode()) for index, files in enumerate(sets) for path, content in files.items()]
    found: list[list[Finding]] = [[] for _ in sets]
    for (index, path, _), findings in zip(scripts, shellcheck([text for _, _, text in scripts], scratch), strict=True):
        found[index] += [finding._replace(path=path) for finding in findings]
    return found


def shellcheck(scripts: Sequence[str], scratch: Path, *, expanded: bool = False) -> list[list[Finding]]:
    """What shellcheck finds in each script, or in each command whose variables `make` has expanded."""
    excluded = "SC2050,SC2148,SC2194" if expanded else "SC1091"
    found = remember(
        f"shellcheck without {excluded}",
        "",
        scripts,
        lambda missing: _shellcheck([scripts[index] for index in missing], excluded, scratch),
    )
    return [[Finding(*finding) for finding in findings] for findings in found]


def _shellcheck(scripts: Sequence[str], excluded: str, scratch: Path) -> list[list[Finding]]:
    with tempfile.TemporaryDirectory(dir=memory(scratch)) as top:
        names = {Path(top, f"{index}.sh"): index for index in range(len(scripts))}
        for name, index in names.items():
            name.write_text(scripts[index])
        done = subprocess.run(
            [tool("shellcheck"), "--shell=bash", "--format=json", f"--exclude={excluded}", *names],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr)
    found: list[list[Finding]] = [[] for _ in scripts]
    for item in json.loads(done.stdout):
        index = names[Path(item["file"])]
        line = [*scripts[index].splitlines(), ""][item["line"] - 1].strip()
        message = f"{item['message']} In: {line}"
        found[index].append(Finding("", str(item["line"]), f"shellcheck SC{item['code']}", message))
    return found
