"""Go: its own formatter changes nothing, and what go.mod requires is in go.sum."""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from tests import toolchains
from tests.validators import Files, Finding, named

_MODULE = re.compile(r"(.*/)?go\.mod")


def lint(sets: Sequence[Files], scratch: Path) -> list[list[Finding]]:
    """What gofmt says of each set of files, in one call."""
    for index, files in enumerate(sets):
        for path, content in files.items():
            target = scratch / str(index) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    done = subprocess.run(
        [toolchains.folder() / "gofmt", "-l", "."], cwd=scratch, capture_output=True, text=True, check=False
    )
    found: list[list[Finding]] = [[] for _ in sets]
    for line in done.stdout.splitlines():
        folder, _, path = line.partition("/")
        found[int(folder)].append(Finding(path, "1", "gofmt", "is not formatted"))
    for line in done.stderr.splitlines():
        if not (told := re.fullmatch(r"(\d+)/(.+?):(\d+):\d+: (.+)", line)):
            raise RuntimeError(done.stderr)
        found[int(told[1])].append(Finding(told[2], told[3], "go syntax", told[4]))
    return found


def check_modules(files: Files) -> Iterator[Finding]:
    """Each module that a go.mod requires has the hashes of its files and of its own go.mod."""
    for path in named(files, _MODULE.fullmatch):
        text = files[path].decode()
        lock = str(PurePosixPath(path).with_name("go.sum"))
        hashed = _hashed(files[lock].decode()) if lock in files else frozenset()
        if not re.search(r"^go \d+\.\d+\.\d+$", text, re.MULTILINE):
            yield Finding(path, "1", "module", "does not say which Go it needs")
        for module, version in re.findall(
            r"^\t?(?:require )?(\S+\.\S+/?\S*) (v\S+)(?: // indirect)?$", text, re.MULTILINE
        ):
            for what in (version, f"{version}/go.mod"):
                if (module, what) not in hashed:
                    yield Finding(lock, "1", "module", f"has no hash of {module} {what}")


@functools.cache
def _hashed(text: str) -> frozenset[tuple[str, str]]:
    return frozenset(
        (module, what) for module, what in re.findall(r"^(\S+) (\S+) h1:[A-Za-z0-9+/]{43}=$", text, re.MULTILINE)
    )
