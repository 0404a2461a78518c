"""The programs of a control plane, built once from Go modules whose hashes are locked."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from packaging.version import Version

from tests.e2e.apps.servers import MissingError

MODULES = Path(__file__).parent / "modules"
ATTEMPTS = 3  # a download may fail

PACKAGES = {
    "etcd": ("kubernetes", "go.etcd.io/etcd/server/v3"),
    "kube-apiserver": ("kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-controller-manager": ("kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kube-scheduler": ("kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
    "kwok": ("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    "kubelet": ("kubernetes", "k8s.io/kubernetes/cmd/kubelet"),
    "kube-proxy": ("kubernetes", "k8s.io/kubernetes/cmd/kube-proxy"),
    "dns": ("node", "k8s-starter.test/node/dns"),
    "firewall": ("node", "k8s-starter.test/node/firewall"),
    "pod": ("node", "k8s-starter.test/node/pod"),
}
"""Each program, the folder of the module that pins it, and its package."""

SERVERS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
PLAYED_NODES = ("kwok",)
REAL_NODE = ("kubelet", "kube-proxy", "dns", "firewall", "pod")

DEFINITIONS = (
    ("sigs.k8s.io/gateway-api", "config/crd/standard/*.yaml"),
    ("github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd/*monitors.yaml"),
    ("github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd/*rules.yaml"),
    ("github.com/external-secrets/external-secrets", "config/crds/bases/external-secrets.io_*.yaml"),
)
"""Modules and their files that define the custom resources which rendered manifests may use."""


def kubernetes_version() -> str:
    """The version of Kubernetes that the tools module pins, without its v."""
    found = re.search(r"^\tk8s\.io/kubernetes v(\S+)", (MODULES / "kubernetes/go.mod").read_text(), re.MULTILINE)
    assert found
    return found[1]


def find(progress: Callable[[str], None], nodes: Iterable[str] = PLAYED_NODES) -> dict[str, Path]:
    """The programs of servers and nodes, built where neither KUBEBUILDER_ASSETS nor the cache has them."""
    found = {name: _cache(PACKAGES[name][0]) / name for name in (*SERVERS, *nodes)}
    assets = Path(os.environ.get("KUBEBUILDER_ASSETS", os.devnull))
    if all((assets / name).exists() for name in ("etcd", "kube-apiserver")):
        found |= {name: assets / name for name in ("etcd", "kube-apiserver")}
    missing: dict[str, list[str]] = {}
    for name, path in found.items():
        if not path.exists():
            missing.setdefault(PACKAGES[name][0], []).append(name)
    if missing:
        names = ", ".join(name for name, path in found.items() if not path.exists())
        progress(f"Building {names}: once, ten to fifteen minutes on two cores.")
        for module, programs in missing.items():
            _build(module, programs)
    return found


def reader(name: str) -> Path:
    """A program of ours, made of the code that reads rendered files in the field; built where the cache lacks it."""
    target = _cache(name) / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}")
        _go(name, "build", "-ldflags=-s -w", f"-o={part}", ".")
        part.rename(target)
    return target


def definitions() -> list[Path]:
    """The files of the custom resources that rendered manifests use."""
    folder = _cache("crds", repr(DEFINITIONS))
    if not folder.exists():
        found: list[Path] = []
        for module, files in DEFINITIONS:
            downloaded = json.loads(_go("crds", "mod", "download", "-json", module))
            found += Path(downloaded["Dir"]).glob(files)
        with _part(folder) as part:
            for path in found:
                shutil.copyfile(path, part / path.name)
            part.rename(folder)
    return sorted(folder.iterdir())


def _build(module: str, names: Iterable[str]) -> None:
    """Build programs of a module in one go, which links some while others compile."""
    flags = ["-s", "-w"]
    if module == "kubernetes":
        version = kubernetes_version()
        major, minor, _ = version.split(".")
        stamp = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
        flags += [f"-X=k8s.io/component-base/version.{key}={value}" for key, value in stamp.items()]
    folder = _cache(module)
    packages = {name: PACKAGES[name][1] for name in names}
    with _part(folder) as part:
        _go(module, "build", "-trimpath", f"-ldflags={' '.join(flags)}", f"-o={part}/", *packages.values())
        folder.mkdir(exist_ok=True)
        for name, package in packages.items():
            # Go names a program after the last part of its package that is no version.
            (part / re.sub(r"/v\d+$", "", package).rpartition("/")[2]).rename(folder / name)


@contextmanager
def _part(folder: Path) -> Iterator[Path]:
    """Give a folder for what is to stand in another one when it is whole; it goes if it is still there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


@functools.cache
def _cache(module: str, use: str = "") -> Path:
    """Return the folder for what is made of a module as it is, in this use."""
    contents = b"".join(path.read_bytes() for path in sorted((MODULES / module).rglob("*.*"))) + use.encode()
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "k8s-starter" / f"{module}-{sha256(contents).hexdigest()[:12]}"


def _go(module: str, *arguments: str) -> str:
    _require_go()
    # Without C, programs are static: they run on every Debian, and in images that hold nothing else.
    environment = os.environ | {"CGO_ENABLED": "0"}
    for _ in range(ATTEMPTS):
        done = subprocess.run(
            ["go", *arguments], cwd=MODULES / module, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return done.stdout
    raise RuntimeError(f"go {' '.join(arguments)} failed in {MODULES / module}:\n{done.stdout}{done.stderr}")


@functools.cache
def _require_go() -> None:
    """Refuse a Go that is too old; one that fetches newer toolchains answers as the newer one."""
    wanted = re.search(r"^go (\S+)", (MODULES / "kubernetes/go.mod").read_text(), re.MULTILINE)
    assert wanted
    printed = ""
    if shutil.which("go"):
        done = subprocess.run(
            ["go", "version"], cwd=MODULES / "kubernetes", capture_output=True, text=True, check=False
        )
        printed = done.stdout
    found = re.search(r"\bgo(\d+(\.\d+)+)", printed)
    if not found or Version(found[1]) < Version(wanted[1]):
        raise MissingError(f"Go {wanted[1]} or newer is missing: https://go.dev/dl/ has it, Debian's may be older")


if __name__ == "__main__":
    find(print, (*PLAYED_NODES, *REAL_NODE))
    definitions()
