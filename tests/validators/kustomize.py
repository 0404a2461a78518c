"""Builds the manifests with kubectl's own Kustomize, and checks what it silently accepts."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.validators import Files, Finding, yaml_files
from tests.validators.kubernetes_schema import Resource

FILE = "kustomization.yaml"
WORKERS = 2
SCALABLE = {"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"}


def tool(name: str) -> str:
    """A program that a locked package brought, not one that the machine happens to have."""
    found = shutil.which(name, path=sysconfig.get_path("scripts"))
    if not found:
        raise FileNotFoundError(f"{name} is not in {sysconfig.get_path('scripts')}: run `make test`, which installs it")
    return found


def kustomizations(files: Files) -> dict[str, dict[str, Any]]:
    return {
        path.removesuffix(f"/{FILE}"): yaml_files.load(files[path])[0] for path in files if path.endswith(f"/{FILE}")
    }


def entry_points(files: Files) -> list[str]:
    """The folders that people build: those that no other kustomization takes as a resource."""
    found = kustomizations(files)
    used = {join(folder, item) for folder, content in found.items() for item in content.get("resources", [])}
    return sorted(found.keys() - used)


def build(files: Files, scratch: Path, *folders: str) -> list[Resource]:
    """Builds these folders, or all entry points, in one run: their namespaces keep them apart."""
    with tempfile.TemporaryDirectory(dir=memory(scratch)) as top:
        for path, content in files.items():
            target = Path(top, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return run(Path(top), folders or entry_points(files))


def memory(scratch: Path) -> Path:
    """A folder for many small files that live for a moment: in memory, if the machine has one."""
    shared = Path("/dev/shm")  # noqa: S108
    return shared if os.access(shared, os.W_OK) else scratch


def run(top: Path, folders: Sequence[str]) -> list[Resource]:
    """What one run builds of these folders together."""
    Path(top, FILE).write_text(yaml.safe_dump({"resources": list(folders)}))
    done = subprocess.run(
        [tool("kubectl"), "kustomize", top],
        capture_output=True,
        check=False,
        env={"HOME": str(top), "GOGC": "400", "GOMAXPROCS": "1", "PATH": os.defpath},
    )
    if done.returncode:
        raise ValueError(done.stderr.decode().replace(f"{top}/", "").strip())
    try:
        return yaml_files.load(done.stdout)
    except yaml.YAMLError as error:
        raise ValueError(f"what Kustomize builds is not YAML to every reader: {error}") from error


class Thing(NamedTuple):
    """A resource, as far as a kustomization can mean it."""

    group: str
    version: str
    kind: str
    name: str
    images: tuple[str, ...] = ()


def check_sources(files: Files) -> Iterator[Finding]:
    """Every file is listed, and every patch, image and number of replicas of a kustomization meets something."""
    found = kustomizations(files)
    beside: dict[str, list[str]] = {folder: [] for folder in found}
    for path in files:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            folder = folder.rpartition("/")[0]
        if folder:
            beside[folder].append(path[len(folder) + 1 :])
    for folder, content in found.items():
        patches = tuple(
            files.get(join(folder, patch["path"])) for patch in content.get("patches", []) if "path" in patch
        )
        below = dict.fromkeys(_below(folder, files, found))
        yield from _problems(folder, files[f"{folder}/{FILE}"], patches, tuple(beside[folder]), tuple(below))


@functools.cache
def _problems(
    folder: str, written: bytes, patches: tuple[bytes | None, ...], beside: tuple[str, ...], below: tuple[Thing, ...]
) -> list[Finding]:
    return list(_find_problems(folder, yaml_files.load(written)[0], iter(patches), beside, below))


def _find_problems(
    folder: str,
    content: dict[str, Any],
    patches: Iterator[bytes | None],
    beside: tuple[str, ...],
    below: tuple[Thing, ...],
) -> Iterator[Finding]:
    path = f"{folder}/{FILE}"
    for name in sorted({*beside} - {*_listed(content)} - {FILE}):
        yield Finding(f"{folder}/{name}", "1", "listed", f"{path} does not list it")
    if content.get("apiVersion") != "kustomize.config.k8s.io/v1beta1" or content.get("kind") != "Kustomization":
        yield Finding(path, "1", "kustomization", "is not a kustomize.config.k8s.io/v1beta1 Kustomization")
    for key in content.keys() & {"commonLabels", "bases", "patchesStrategicMerge", "patchesJson6902", "vars"}:
        yield Finding(path, key, "kustomization", f"{key} is deprecated")
    if any(item.get("includeSelectors") for item in content.get("labels", [])):
        yield Finding(
            path, "labels", "kustomization", "includeSelectors rewrites the selectors of network policies too"
        )
    for patch in content.get("patches", []):
        documents = yaml_files.load((next(patches) or b"") if "path" in patch else patch["patch"].encode())
        for target in [patch["target"]] if "target" in patch else map(identity, documents):
            if not any(meets(target, thing) for thing in below):
                yield Finding(path, "patches", "patch", f"no resource is a {target}")
    scalable = {thing.name for thing in below if thing.kind in SCALABLE}
    for entry in content.get("replicas", []):
        if entry["name"] not in scalable:
            yield Finding(path, "replicas", "replicas", f"nothing that has replicas is called {entry['name']}")
    images = {image for thing in below for image in thing.images}
    for image in content.get("images", []):
        if image["name"] not in images:
            yield Finding(path, "images", "image", f"no container runs {image['name']}")


def _listed(content: dict[str, Any]) -> Iterator[str]:
    yield from content.get("resources", [])
    for patch in content.get("patches", []):
        if "path" in patch:
            yield patch["path"]
    for generator in [*content.get("configMapGenerator", []), *content.get("secretGenerator", [])]:
        yield from inputs_of(generator)


def inputs_of(generator: Mapping[str, Any]) -> Iterator[str]:
    """The files that a generator reads."""
    for key in ("envs", "files"):
        yield from (item.rpartition("=")[2] for item in generator.get(key, []))


@functools.cache
def join(folder: str, item: str) -> str:
    return os.path.normpath(f"{folder}/{item}")


def _below(folder: str, files: Files, found: dict[str, dict[str, Any]], above: tuple[str, ...] = ()) -> Iterator[Thing]:
    if folder in above:
        raise ValueError(f"{folder} is a resource of itself")
    for item in found[folder].get("resources", []):
        path = join(folder, item)
        if path in found:
            yield from _below(path, files, found, (*above, folder))
        elif path in files:
            yield from things(files[path])
    for generator in found[folder].get("configMapGenerator", []):
        yield generated(generator["name"])


@functools.cache
def things(content: bytes) -> tuple[Thing, ...]:
    """What a file of resources holds."""
    return tuple(map(thing, yaml_files.load(content)))


def thing(resource: Resource) -> Thing:
    group, _, version = str(resource["apiVersion"]).rpartition("/")
    images = tuple(image.rsplit(":", 1)[0] for image in _images(resource))
    return Thing(group, version, resource["kind"], resource["metadata"]["name"], images)


def generated(name: str) -> Thing:
    """A generated ConfigMap."""
    return Thing("", "v1", "ConfigMap", name)


def meets(target: dict[str, str], thing: Thing) -> bool:
    """Whether a patch with this target changes it."""
    if target.keys() - {"group", "version", "kind", "name"}:
        raise NotImplementedError(f"a patch with the target {target}")
    return all(re.fullmatch(str(pattern), getattr(thing, key)) for key, pattern in target.items())


def identity(resource: Resource) -> dict[str, str]:
    """What a patch without a target means by itself."""
    known = thing(resource)
    return {key: re.escape(getattr(known, key)) for key in ("group", "version", "kind", "name")}


def _images(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "image" and isinstance(item, str):
                yield item
            else:
                yield from _images(item)
    elif isinstance(value, list):
        for item in value:
            yield from _images(item)
