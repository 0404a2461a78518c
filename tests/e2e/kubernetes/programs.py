"""The programs of a cluster and of what reads rendered files, built once from Go modules whose hashes are locked."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.toolchains import go_cache, run_go

MODULES = Path(__file__).parent / "modules"

PACKAGES = {
    "etcd": ("kubernetes", "go.etcd.io/etcd/server/v3"),
    "kube-apiserver": ("kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-controller-manager": ("kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kube-scheduler": ("kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
    "kubelet": ("kubernetes", "k8s.io/kubernetes/cmd/kubelet"),
    "kube-proxy": ("kubernetes", "k8s.io/kubernetes/cmd/kube-proxy"),
    "kwok": ("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    "helm": ("helm", "helm.sh/helm/v4/cmd/helm"),
    "dns": ("node", "k8s-starter.test/node/dns"),
    "firewall": ("node", "k8s-starter.test/node/firewall"),
    "pod": ("node", "k8s-starter.test/node/pod"),
    "versitygw": ("s3", "github.com/versity/versitygw/cmd/versitygw"),
    "collector": ("collector", "k8s-starter.test/collector"),
    "kops": ("kops", "k8s-starter.test/kops"),
}
"""Each program, the folder of the module that pins it, and its package."""

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
SIMULATED_NODES = ("kwok",)
CLIENTS = ("helm",)
REAL_NODE = ("kubelet", "kube-proxy", "dns", "firewall", "pod")

UNOPTIMIZED = ("collector", "kops", "s3")
"""Modules whose programs do so little that compiling them quickly matters more."""

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


def find(names: Iterable[str], progress: Callable[[str], None] = print) -> dict[str, Path]:
    """The programs of these names, built where neither KUBEBUILDER_ASSETS nor the cache has them."""
    assets = Path(os.environ.get("KUBEBUILDER_ASSETS", os.devnull))
    use_assets = all((assets / name).exists() for name in ("etcd", "kube-apiserver"))
    found: dict[str, Path] = {}
    missing: dict[str, list[str]] = {}
    for name in names:
        module = PACKAGES[name][0]
        folder = assets if use_assets and name in ("etcd", "kube-apiserver") else go_cache(MODULES / module)
        found[name] = folder / name
        if not found[name].exists():
            missing.setdefault(module, []).append(name)
    if missing:
        building = ", ".join(name for module in missing.values() for name in module)
        progress(f"Building {building}: once, up to ten minutes on two cores.")
        # One module's programs are linked while the next one's packages compile.
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(_build, missing, missing.values()))
    return found


def definitions() -> list[Path]:
    """The files of the custom resources that rendered manifests use."""
    folder = go_cache(MODULES / "crds", repr(DEFINITIONS))
    if not folder.exists():
        found: list[Path] = []
        for module, files in DEFINITIONS:
            downloaded = json.loads(run_go(MODULES / "crds", "mod", "download", "-json", module))
            found += Path(downloaded["Dir"]).glob(files)
        with _part(folder) as part:
            for path in found:
                shutil.copyfile(path, part / path.name)
            part.rename(folder)
    return sorted(folder.iterdir())


def _build(module: str, names: Iterable[str]) -> None:
    """Build programs of a module, without what only a debugger reads."""
    linker = ["-s", "-w"]
    if module == "kubernetes":
        version = kubernetes_version()
        major, minor, _ = version.split(".")
        stamp = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
        linker += [f"-X=k8s.io/component-base/version.{key}={value}" for key, value in stamp.items()]
    compiler = ["-dwarf=0", *(["-N", "-l"] if module in UNOPTIMIZED else [])]
    flags = ("-trimpath", f"-ldflags={' '.join(linker)}", f"-gcflags=all={' '.join(compiler)}")
    folder = go_cache(MODULES / module)
    packages = {name: PACKAGES[name][1] for name in names}
    with _part(folder) as part:
        run_go(MODULES / module, "build", *flags, f"-o={part}/", *packages.values())
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


if __name__ == "__main__":
    find(PACKAGES)
    definitions()
