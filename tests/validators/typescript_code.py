"""TypeScript: the rendered project's own Biome changes nothing, and its lock holds what it needs."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests import toolchains
from tests.e2e.locks import exclusive_lock
from tests.template import ROOT
from tests.validators import Files, Finding

ATTEMPTS = 4


def install(files: Files) -> Path:
    """The folder of the programs that a project's lock names, installed once for each lock."""
    folder = ROOT / ".cache/npm" / hashlib.sha256(files["package-lock.json"]).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(folder.name):
        if not (folder / "installed").exists():
            for name in ("package.json", "package-lock.json"):
                (folder / name).write_bytes(files[name])
            environment = os.environ | {"PATH": toolchains.path()}
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
            for attempt in range(1, ATTEMPTS + 1):
                done = subprocess.run(command, cwd=folder, env=environment, check=attempt == ATTEMPTS)
                if done.returncode == 0:
                    break
                time.sleep(10 * attempt)
            (folder / "installed").touch()
    return folder / "node_modules/.bin"


def lint(sets: Sequence[Files], programs: Path, scratch: Path) -> list[list[Finding]]:
    """What Biome says of each set of files, with that set's own configuration."""
    return [list(_lint(files, programs, scratch / str(index))) for index, files in enumerate(sets)]


def _lint(files: Files, programs: Path, folder: Path) -> Iterator[Finding]:
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    done = subprocess.run(
        [programs / "biome", "ci", "--colors=off", "--reporter=json", "--max-diagnostics=none", "."],
        cwd=folder,
        env=os.environ | {"PATH": toolchains.path()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(done.stderr)
    for item in json.loads(done.stdout)["diagnostics"]:
        place = item["location"]
        line = str((place.get("start") or {}).get("line", 1))
        yield Finding(str(place["path"]), line, f"biome {item['category']}", str(item["message"]))


def check_lock(files: Files) -> Iterator[Finding]:
    """The lock holds just what package.json wants, with hashes and without addresses."""
    wanted = json.loads(files["package.json"])
    for where, message in _unlocked(files["package-lock.json"], json.dumps(_wants(wanted), sort_keys=True)):
        yield Finding("package-lock.json", where, "lock", message)


def _wants(package: dict[str, object]) -> dict[str, object]:
    return {
        name: package.get(name, {})
        for name in ("name", "version", "engines", "dependencies", "devDependencies", "optionalDependencies")
    }


@functools.cache
def _unlocked(lock: bytes, wanted: str) -> tuple[tuple[str, str], ...]:
    packages = json.loads(lock)["packages"]
    found = []
    if json.dumps(_wants(packages[""]), sort_keys=True) != wanted:
        found.append(("1", "was not made for this package.json"))
    for name, package in packages.items():
        if name and not package.get("integrity", "").startswith("sha512-"):
            found.append((name, "has no hash"))
        if "resolved" in package:
            found.append((name, f"has the address {package['resolved']}"))
    return tuple(found)
