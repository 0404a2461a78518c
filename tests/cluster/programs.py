"""The programs of a control plane, built once from Go modules whose hashes are locked."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from packaging.version import Version

from tests.apps.servers import MissingError

MODULES = Path(__file__).parent / "modules"
ATTEMPTS = 3  # a download may fail

PACKAGES = {
    "etcd": ("kubernetes", "go.etcd.io/etcd/server/v3"),
    "kube-apiserver": ("kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-controller-manager": ("kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kube-scheduler": ("kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
    "kwok": ("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
}
CONTROL_PLANE = tuple(sorted({module for module, _ in PACKAGES.values()}))

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


def find(progress: Callable[[str], None]) -> dict[str, Path]:
    """Every program, built where neither KUBEBUILDER_ASSETS nor the cache has it."""
    assets = Path(os.environ.get("KUBEBUILDER_ASSETS", os.devnull))
    if all((assets / name).exists() for name in ("etcd", "kube-apiserver")):
        found = {name: assets / name for name in ("etcd", "kube-apiserver")}
    else:
        found = {}
    for name in PACKAGES.keys() - found.keys():
        found[name] = _cache(*CONTROL_PLANE) / name
    missing = [name for name in PACKAGES if not found[name].exists()]
    if missing:
        progress(f"Building {', '.join(missing)}: once, about twelve minutes on two cores.")
        for name in missing:
            _build(name, found[name])
    return found


def reader(name: str) -> Path:
    """A program of ours, made of the code that reads rendered files in the field; built where the cache lacks it."""
    target = _cache(name) / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}")
        _go(name, "build", f"-o={part}", ".")
        part.rename(target)
    return target


def definitions() -> Iterator[Path]:
    """The files of the custom resources that rendered manifests use."""
    for module, files in DEFINITIONS:
        downloaded = json.loads(_go("crds", "mod", "download", "-json", module))
        yield from sorted(Path(downloaded["Dir"]).glob(files))


def _build(name: str, target: Path) -> None:
    module, package = PACKAGES[name]
    version = kubernetes_version()
    major, minor, _ = version.split(".")
    stamp = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor} if name.startswith("kube-") else {}
    flags = ["-s", "-w", *(f"-X=k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())]
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}")
    _go(module, "build", "-trimpath", f"-ldflags={' '.join(flags)}", f"-o={part}", package)
    part.rename(target)


@functools.cache
def _cache(*modules: str) -> Path:
    files = (path for module in modules for path in sorted((MODULES / module).glob("*.*")))
    contents = b"".join(path.read_bytes() for path in files)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "k8s-starter" / f"{modules[0]}-{sha256(contents).hexdigest()[:12]}"


def _go(module: str, *arguments: str) -> str:
    _require_go()
    for _ in range(ATTEMPTS):
        done = subprocess.run(["go", *arguments], cwd=MODULES / module, capture_output=True, text=True, check=False)
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
