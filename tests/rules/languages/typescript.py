"""TypeScript: its own Biome finds nothing, and its lock holds what package.json names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests import toolchains
from tests.harness import ROOT, Fact, Files, Problem, change, file_rule, remove, replace, rule, tool_rule
from tests.rules.languages.folders import write_all

MANIFEST, LOCK, SETTINGS = "package.json", "package-lock.json", "biome.json"
METRICS = "src/metrics.ts"
_BIOME = "node_modules/@biomejs/"
_ATTEMPTS = 4


def _read_by_biome(files: Files) -> Hashable:
    return tuple(item for item in files.items() if item[0] != LOCK)


@tool_rule("*.ts", MANIFEST, LOCK, SETTINGS, "tsconfig*.json", sets="distinct", choose=_read_by_biome)
def biome(batch: Sequence[Files], scratch: Path) -> Iterator[list[Problem]]:
    """Biome, with the settings of the project, finds nothing and formats nothing."""
    found: list[list[Problem]] = [[] for _ in batch]
    for index, settings in enumerate({files[SETTINGS] for files in batch}):
        top = scratch / str(index)
        alike = [files if files[SETTINGS] == settings else {} for files in batch]
        # Only one folder may hold settings: those at the top are the same, for paths that are one folder deeper.
        write_all([{_TO_CHECK.get(path, path): content for path, content in files.items()} for files in alike], top)
        deeper = json.loads(settings)
        deeper["files"]["includes"] = [re.sub("!?", r"\g<0>*/", path, count=1) for path in deeper["files"]["includes"]]
        (top / SETTINGS).write_text(json.dumps(deeper))
        for item in _lint(top, _install(next(filter(None, alike))[LOCK])):
            number, _, path = str(item["location"]["path"]).partition("/")
            if path:  # of those at the top, the form is none of the project
                line = str((item["location"].get("start") or {}).get("line", 1))
                message = f"{item['category']}: {item['message']}"
                found[int(number)].append(Problem(_TO_CHECK.get(path, path), message, line))
    yield from found


_TO_CHECK = {SETTINGS: "settings.json", "settings.json": SETTINGS}  # and back


def _lint(folder: Path, program: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [program, "ci", "--colors=off", "--reporter=json", "--max-diagnostics=none", "."],
        cwd=folder,
        env=os.environ | {"PATH": toolchains.path()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(done.stderr)
    found: list[dict[str, Any]] = json.loads(done.stdout)["diagnostics"]
    return found


def _install(lock: bytes) -> Path:
    """Biome of the version that a project locks, installed once for each version."""
    locked = json.loads(lock)
    version = locked["packages"][f"{_BIOME}biome"]["version"]
    folder = ROOT / ".cache/npm" / f"biome-{version}"
    if not folder.exists():
        manifest = {"name": "app", "version": "0", "devDependencies": {"@biomejs/biome": version}}
        packages = {name: package for name, package in locked["packages"].items() if name.startswith(_BIOME)}
        fresh = folder.with_name(f"{folder.name}.{os.getpid()}")
        fresh.mkdir(parents=True, exist_ok=True)
        (fresh / MANIFEST).write_text(json.dumps(manifest))
        (fresh / LOCK).write_text(json.dumps(locked | {"packages": {"": manifest} | packages}))
        environment = os.environ | {"PATH": toolchains.path()}
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        for attempt in range(1, _ATTEMPTS + 1):
            done = subprocess.run(command, cwd=fresh, env=environment, check=attempt == _ATTEMPTS)
            if done.returncode == 0:
                break
            time.sleep(10 * attempt)
        # Another worker can have been faster.
        with suppress(OSError):
            fresh.rename(folder)
    return folder / "node_modules/.bin/biome"


biome.rejects("code that the formatter changes", METRICS, replace(" = ", "  =  "), message="format: ")
biome.rejects(
    "a variable that nothing uses", METRICS, replace("  return ", "  const unused = 1;\n  return "),
    message="noUnusedVariables",
)  # fmt: skip
biome.rejects(
    "code that does not parse", METRICS, replace("collectDefaultMetrics();", "collectDefaultMetrics(;"),
    message="parse: ",
)  # fmt: skip
biome.rejects("settings that the formatter changes", SETTINGS, replace("  ", "    "), message="format: ")


def _wants(package: Mapping[str, Any]) -> dict[str, Any]:
    dependencies = ("dependencies", "devDependencies", "optionalDependencies")
    return {name: package.get(name, {}) for name in ("name", "version", "engines", *dependencies)}


def _wanted(content: bytes) -> dict[str, Any]:
    return _wants(json.loads(content))


def _locked(content: bytes) -> dict[str, Any]:
    return _wants(json.loads(content)["packages"][""])


@file_rule(MANIFEST)
def the_usual_scripts_exist(path: str, content: bytes) -> Iterator[Problem]:
    """`npm start`, `npm test` and `npm run dev` work, which editors and platforms call."""
    for name in {"dev", "start", "test"} - json.loads(content).get("scripts", {}).keys():
        yield Problem(path, f"has no script {name}", '"scripts"')


the_usual_scripts_exist.rejects("no script of a developer", MANIFEST, remove("scripts.dev"))


@rule(wanted=Fact(MANIFEST, _wanted), locked=Fact(LOCK, _locked))
def the_lock_is_of_this_package(wanted: dict[str, Any] | None, locked: dict[str, Any] | None) -> Iterator[Problem]:
    """package-lock.json was made for this package.json, as `npm ci` requires."""
    if wanted != locked:
        yield Problem(LOCK, f"was made for {locked}, not for {wanted}")


the_lock_is_of_this_package.rejects("a lock of other packages", MANIFEST, change("dependencies.fastify", "^4"))


@file_rule(LOCK)
def packages_are_hashed(path: str, content: bytes) -> Iterator[Problem]:
    """Each package has a hash, from whatever registry the user has: a lock names no address."""
    for name, package in json.loads(content)["packages"].items():
        if name and not package.get("integrity", "").startswith("sha512-"):
            yield Problem(path, f"{name} has no hash", f'"{name}"')
        if "resolved" in package:
            yield Problem(path, f"{name} has the address {package['resolved']}", f'"{name}"')


packages_are_hashed.rejects("a package without a hash", LOCK, replace('"integrity": "sha512-', '"integrity": "sha1-'))
packages_are_hashed.rejects(
    "a package with an address", LOCK, replace('"integrity"', '"resolved": "https://example.com",\n      "integrity"')
)
