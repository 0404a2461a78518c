"""What Kustomize builds of thousands of trees, put together from what it builds of each resource file alone.

Every transformation that the manifests use looks at one resource at a time, apart from two: a reference to a generated
ConfigMap takes the hash of its content, and a subject of a RoleBinding takes the namespace of its ServiceAccount. So a
fragment is a resource file with the kustomizations above it, of which only what meets the file is left, and with the
generators and ServiceAccounts that it names. What a generator reads is left empty there: its ConfigMap is a fragment of
its own, whose name then takes the place of the one that the empty ConfigMap has. The namespace gives way to a mark for
each fragment, so that one run of Kustomize builds many and every resource tells of which it is a part.
"""

from __future__ import annotations

import functools
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.validators import Files, unread, yaml_files
from tests.validators.kubernetes import Built
from tests.validators.kubernetes_schema import Resource
from tests.validators.kustomize import (
    FILE,
    SCALABLE,
    WORKERS,
    Thing,
    entry_points,
    generated,
    identity,
    inputs_of,
    join,
    kustomizations,
    meets,
    memory,
    run,
    things,
)
from tests.verdicts import remember

# What is known to treat each resource apart; anything else is refused.
_KEYS = {
    "apiVersion", "kind", "metadata", "namespace", "resources", "labels", "commonAnnotations", "configMapGenerator",
    "generatorOptions", "patches", "replicas", "images",
}  # fmt: skip
_WITHOUT_NAMESPACE = {
    "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "IngressClass", "PersistentVolume",
    "PriorityClass", "StorageClass",
}  # fmt: skip
_MARK = "mark-of-a-fragment"
_BATCH = 100  # for one, a run takes a while to start; for many, it compares all with all

Inputs = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, eq=False)
class _Plan:
    """An entry point, as far as its kustomizations decide it."""

    folder: str
    found: Mapping[str, dict[str, Any]]  # its own kustomization and all below
    namespace: str | None
    items: tuple[str, ...]  # the resource files
    generators: Mapping[str, tuple[str, ...]]  # by name, the files that they read
    patches: tuple[str, ...]  # the files that hold patches

    def written(self, files: Files) -> Inputs:
        return ((self.folder, b""), *((path, files[f"{path}/{FILE}"]) for path in self.found))


@dataclass(eq=False)
class _Fragment:
    folder: str
    inputs: Inputs
    alone: bool  # its resources bear no mark
    companions: frozenset[str]  # the kinds that it takes along without being asked for them
    built: list[Resource] | ValueError | None = None
    beside: list[str] = field(default_factory=list)  # the names of the ConfigMaps that it took along

    def decided_by(self) -> tuple[Any, ...]:
        """All that decides what is built."""
        return (self.folder, self.inputs, "alone" if self.alone else "marked", sorted(self.companions))


@dataclass(eq=False)
class _Placed:
    """A fragment as a part of an entry point, with the generators that it names."""

    fragment: _Fragment
    namespace: str | None
    generators: tuple[tuple[str, _Fragment], ...] = ()
    resources: list[Resource] | None = None


@dataclass(eq=False)
class _Entry:
    """An entry point with the files that it takes."""

    parts: tuple[_Placed, ...]
    resources: list[Resource] | ValueError | None = None


@dataclass(frozen=True)
class _Needs:
    """What a resource file depends on beside its kustomizations."""

    items: tuple[str, ...]
    generators: tuple[str, ...]
    paths: tuple[str, ...]
    empty: tuple[str, ...] = ()  # paths whose content makes no difference


class Fragments:
    def __init__(self, scratch: Path, batch: int = _BATCH) -> None:
        self._batch = batch
        self._scratch = scratch
        self._plans: dict[tuple[Any, ...], list[_Plan]] = {}
        self._alike: dict[Inputs, _Plan] = {}
        self._binds: dict[object, bool] = {}
        self._needs: dict[tuple[Any, ...], _Needs] = {}
        self._memo: dict[tuple[Any, ...], _Fragment] = {}
        self.distinct: dict[tuple[str, Inputs], _Fragment] = {}
        self._placed: dict[tuple[Any, ...], _Placed] = {}
        self._entries: dict[tuple[_Placed, ...], _Entry] = {}
        self._simple: dict[tuple[Any, ...], dict[Any, _Placed]] = {}
        self._resources: dict[str, Resource] = {}

    def build_all(self, sets: Iterable[Files]) -> list[Built | ValueError]:
        """What all entry points of each set build; equal resources are one object."""
        planned = [self._plan(files) for files in sets]
        waiting = [fragment for fragment in self.distinct.values() if fragment.built is None]
        known = remember(
            "kustomize",
            "",
            [fragment.decided_by() for fragment in waiting],
            lambda missing: self._build_missing([waiting[index] for index in missing]),
        )
        for fragment, (error, built, beside) in zip(waiting, known, strict=True):
            fragment.built = ValueError(error) if error else built
            fragment.beside = beside
        return [result if isinstance(result, ValueError) else self._compose(result) for result in planned]

    def _build_missing(self, waiting: list[_Fragment]) -> list[tuple[str, list[Resource], list[str]]]:
        """What is wrong with each, or what it builds and the names of the ConfigMaps that it took along."""
        alone = [fragment for fragment in waiting if fragment.alone]
        marked = [fragment for fragment in waiting if not fragment.alone]
        batches = [[fragment] for fragment in alone]
        batches += [marked[start : start + self._batch] for start in range(0, len(marked), self._batch)]
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(self._build, batches))
        return [
            (str(one.built), [], []) if isinstance(one.built, ValueError) else ("", one.built or [], one.beside)
            for one in waiting
        ]

    def _plan(self, files: Files) -> list[_Entry] | ValueError:
        try:
            return [self._entry(plan, files) for plan in self._entry_points(files)]
        except (ValueError, yaml.YAMLError) as error:
            return ValueError(str(error))

    def _entry(self, plan: _Plan, files: Files) -> _Entry:
        """What an entry point is made of: the same for all trees with the same files for it."""
        parts = tuple(self._of(plan, files))
        return self._entries.setdefault(parts, _Entry(parts))

    def _compose(self, entries: list[_Entry]) -> Built | ValueError:
        for entry in entries:
            if entry.resources is None:
                entry.resources = self._resources_of(entry.parts)
            if isinstance(entry.resources, ValueError):
                return entry.resources
        return Built(entry.resources for entry in entries if isinstance(entry.resources, list))

    def _resources_of(self, parts: tuple[_Placed, ...]) -> list[Resource] | ValueError:
        found: list[Resource] = []
        for part in parts:
            if not isinstance(part.fragment.built, list):
                return part.fragment.built or ValueError("was not built")
            if part.resources is None:
                names = dict(_names(part))
                part.resources = [self._place(resource, part.namespace, names) for resource in part.fragment.built]
            found += part.resources
        return found

    def _place(self, resource: Resource, namespace: str | None, names: Mapping[str, str]) -> Resource:
        text = json.dumps(resource, sort_keys=True)
        for empty, name in names.items():
            text = text.replace(f'"{empty}"', f'"{name}"')
        text = text if namespace is None else text.replace(_MARK, namespace)
        return self._resources.setdefault(text, json.loads(text))

    def _entry_points(self, files: Files) -> list[_Plan]:
        contents = unread(files)
        key = tuple((path, contents[path]) for path in contents if path.endswith(f"/{FILE}"))
        if key not in self._plans:
            found = kustomizations(files)
            plans = [_plan_of(folder, found, files) for folder in entry_points(files)]
            # One for all trees in which what the entry point reaches is the same.
            self._plans[key] = [self._alike.setdefault(plan.written(files), plan) for plan in plans]
        return self._plans[key]

    def _of(self, plan: _Plan, files: Files) -> Iterator[_Placed]:
        contents = unread(files)
        patches = tuple([contents[path] for path in plan.patches])
        made: dict[str, _Fragment] = {}
        for name, paths in plan.generators.items():
            whole = (id(plan), name, *[contents.get(path) for path in paths], patches)
            if whole not in self._memo:
                self._memo[whole] = self._fragment(plan, None, _Needs((), (name,), paths), files)
            made[name] = self._memo[whole]
        # What a file depends on is looked up step by step: most depend on no other.
        simple = self._simple.setdefault((id(plan), patches), {})
        for item in plan.items:
            if item not in contents:
                raise ValueError(f"{item}, which a kustomization lists, is no file and no folder with a {FILE}")
            placed = simple.get((item, contents[item]))
            if placed is None:
                needs = self._needs_of(plan, item, files, patches)
                key = (id(plan), item, contents[item], patches, *[contents.get(path) for path in needs.paths])
                if key not in self._memo:
                    self._memo[key] = self._fragment(plan, item, needs, files)
                placed = self._place_once(
                    _Placed(self._memo[key], plan.namespace, tuple((name, made[name]) for name in needs.generators))
                )
                if not needs.items and not needs.paths and not needs.generators and not self._binds[contents[item]]:
                    simple[item, contents[item]] = placed
            yield placed
        yield from (self._place_once(_Placed(fragment, plan.namespace)) for fragment in made.values())

    def _place_once(self, placed: _Placed) -> _Placed:
        return self._placed.setdefault((placed.fragment, placed.namespace, placed.generators), placed)

    def _needs_of(self, plan: _Plan, item: str, files: Files, patches: tuple[Any, ...]) -> _Needs:
        contents = unread(files)
        if contents[item] not in self._binds:
            self._binds[contents[item]] = b"RoleBinding" in files[item]
        key: tuple[Any, ...] = (id(plan), item, contents[item], patches)
        if self._binds[contents[item]]:  # whose ServiceAccounts may be in any other file
            key += tuple([contents.get(path) for path in plan.items])
        if key not in self._needs:
            self._needs[key] = _needs_of(plan, item, files)
        return self._needs[key]

    def _fragment(self, plan: _Plan, item: str | None, needs: _Needs, files: Files) -> _Fragment:
        wanted = {*needs.items, *([item] if item else [])}
        resources = {path: yaml_files.load(files[path]) for path in wanted}
        inputs = dict(_reduced(plan, plan.folder, resources, needs.generators, files))
        inputs.update((path, files[path]) for path in (*wanted, *needs.paths) if path in files)
        inputs.update((path, b"") for path in needs.empty if path in files)
        own = {resource["kind"] for resource in resources.get(item or "", [])}
        companions = {"ServiceAccount"} if needs.items else set[str]()
        companions |= {"ConfigMap"} if needs.generators and item else set()
        if own & companions:
            raise NotImplementedError(f"{item} holds a {' and a '.join(sorted(own & companions))} beside what names it")
        # Environments that do the same to a resource share it: the folder of each gets the same name.
        folder = _renamed(plan.folder, plan.folder)
        key = (folder, tuple(sorted((_renamed(path, plan.folder), content) for path, content in inputs.items())))
        alone = plan.namespace is None or bool(own & _WITHOUT_NAMESPACE)
        return self.distinct.setdefault(key, _Fragment(*key, alone, frozenset(companions)))

    def _build(self, batch: list[_Fragment]) -> None:
        marks = {f"{_MARK}-{index}": fragment for index, fragment in enumerate(batch)}
        with tempfile.TemporaryDirectory(dir=memory(self._scratch)) as top:
            for mark, fragment in marks.items():
                for path, content in fragment.inputs:
                    target = Path(top, mark, path)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(
                        content.replace(f'"{_MARK}"'.encode(), f'"{mark}"'.encode()) if target.name == FILE else content
                    )
            folders = [f"{mark}/{fragment.folder}" for mark, fragment in marks.items()]
            try:
                resources = run(Path(top), folders)
            except ValueError as error:
                if len(batch) > 1:
                    named = [fragment for mark, fragment in marks.items() if f"{mark}/" in str(error)]
                    wrong = named if 0 < len(named) < len(batch) else batch[: len(batch) // 2]
                    self._build(wrong)
                    self._build([fragment for fragment in batch if fragment not in wrong])
                else:
                    batch[0].built = ValueError(str(error).replace(f"{_MARK}-0/", ""))
                return
        built: dict[str, list[Resource]] = {mark: [] for mark in marks}
        for resource in resources:
            metadata = resource["metadata"]
            mark = metadata["name"] if resource["kind"] == "Namespace" else metadata.get("namespace")
            mark = next(iter(marks)) if batch[0].alone else mark
            if resource["kind"] not in marks[mark].companions:
                built[mark].append(_replaced(resource, mark, _MARK))
            elif resource["kind"] == "ConfigMap":
                marks[mark].beside.append(metadata["name"])
        for mark, fragment in marks.items():
            fragment.built = built[mark]


def _names(part: _Placed) -> Iterator[tuple[str, str]]:
    """For each ConfigMap that was empty beside a fragment, its name there and the name that it really has."""
    for generator, fragment in part.generators:
        hashed = re.compile(re.escape(generator) + "(-[a-z0-9]{10})?")
        (empty,) = [name for name in part.fragment.beside if hashed.fullmatch(name)]
        for resource in fragment.built if isinstance(fragment.built, list) else []:
            yield empty, resource["metadata"]["name"]


def _renamed(path: str, folder: str) -> str:
    """A path in the folder, or the folder itself, under a name that says only how deep it is."""
    if path != folder and not path.startswith(f"{folder}/"):
        return path
    first, *rest = folder.split("/")
    return "/".join([first, *("entry" for _ in rest)]) + path[len(folder) :]


def _replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {key: _replaced(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, old, new) for item in value]
    return value


def _plan_of(folder: str, found: Mapping[str, dict[str, Any]], files: Files) -> _Plan:
    items: list[str] = []
    generators: dict[str, tuple[str, ...]] = {}
    patches: list[str] = []

    reached: dict[str, dict[str, Any]] = {}

    def walk(inner: str, above: tuple[str, ...]) -> None:
        content = reached[inner] = found[inner]
        if inner in above:
            raise ValueError(f"{inner} is a resource of itself")
        if unknown := content.keys() - _KEYS:
            raise NotImplementedError(f"{inner}/{FILE} uses {', '.join(sorted(unknown))}")
        for generator in content.get("configMapGenerator", []):
            read = tuple(join(inner, path) for path in inputs_of(generator))
            generators[generator["name"]] = (*generators.get(generator["name"], ()), *read)
        for patch in content.get("patches", []):
            if "options" in patch:
                raise NotImplementedError(f"{inner}/{FILE} has a patch with options")
            if "path" in patch:
                patches.append(join(inner, patch["path"]))
        for item in content.get("resources", []):
            path = join(inner, item)
            if path in found:
                walk(path, (*above, inner))
            else:
                items.append(path)

    walk(folder, ())
    if twice := {path for path in items if items.count(path) > 1}:
        raise ValueError(f"{folder} takes {', '.join(sorted(twice))} twice")
    if missing := [path for path in patches if path not in files]:
        raise ValueError(f"there is no {missing[0]}")
    if not items and not generators:
        raise ValueError(f"{folder} builds nothing")
    return _Plan(folder, reached, found[folder].get("namespace"), tuple(items), generators, tuple(patches))


def _needs_of(plan: _Plan, item: str, files: Files) -> _Needs:
    resources = yaml_files.load(files[item])
    names = {*_config_maps(files[item])}
    paths: list[str] = []
    for folder, content in plan.found.items():
        for patch in content.get("patches", []):
            written = _written(folder, patch, files)
            if any(_concerns(patch, written, thing) for thing in things(files[item])):
                names.update(_find_config_maps(written))
                paths += [join(folder, patch["path"])] if "path" in patch else []
    generators = tuple(name for name in plan.generators if name in names)
    accounts = {
        subject["name"]
        for resource in resources
        if resource["kind"] in ("RoleBinding", "ClusterRoleBinding")
        for subject in resource.get("subjects", [])
        if subject["kind"] == "ServiceAccount"
    }
    items = tuple(
        path
        for path in (plan.items if accounts else ())
        for resource in yaml_files.load(files.get(path, b""))
        if resource["kind"] == "ServiceAccount" and resource["metadata"]["name"] in accounts
    )
    empty = tuple(path for name in generators for path in plan.generators[name])
    return _Needs(items, generators, (*paths, *items), empty)


@functools.cache
def _config_maps(content: bytes) -> frozenset[str]:
    return frozenset(_find_config_maps(yaml_files.load(content)))


def _find_config_maps(value: Any) -> Iterator[str]:
    """The ConfigMaps that are named anywhere."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key.startswith("configMap") and isinstance(item, dict) and isinstance(item.get("name"), str):
                yield item["name"]
            yield from _find_config_maps(item)
    elif isinstance(value, list):
        for item in value:
            yield from _find_config_maps(item)


def _written(folder: str, patch: Mapping[str, Any], files: Files) -> list[Any]:
    """The documents of a patch."""
    return yaml_files.load(files[join(folder, patch["path"])] if "path" in patch else patch["patch"].encode())


def _concerns(patch: Mapping[str, Any], written: list[Any], item: Thing) -> bool:
    if len(written) != 1:
        raise NotImplementedError("a patch of several documents")
    for change in written[0] if isinstance(written[0], list) else []:
        if str(change.get("path")).startswith(("/apiVersion", "/kind", "/metadata/name")):
            raise NotImplementedError(f"a patch of {change['path']}")
    return meets(patch.get("target") or identity(written[0]), item)


def _reduced(
    plan: _Plan, folder: str, resources: Mapping[str, list[Resource]], generators: Iterable[str], files: Files
) -> Iterator[tuple[str, bytes]]:
    """The kustomizations that lead to these resources and generators, with nothing in them that meets others."""
    content = dict(plan.found[folder])
    made = [generator for generator in content.get("configMapGenerator", []) if generator["name"] in generators]
    below = [*map(generated, generators), *(thing for path in resources for thing in things(files[path]))]
    kept: dict[str, list[tuple[str, bytes]]] = {}
    for item in content.get("resources", []):
        path = join(folder, item)
        if path in plan.found:
            if inner := list(_reduced(plan, path, resources, generators, files)):
                kept[item] = inner
        elif path in resources:
            kept[item] = []
    if not kept and not made:
        return
    texts = json.dumps([inner.get("patches") for inner in plan.found.values()]).encode()
    texts += b"".join(files[path] for path in (*resources, *plan.patches))
    content["resources"] = list(kept)
    content["configMapGenerator"] = made
    content["patches"] = [
        patch
        for patch in content.get("patches", [])
        if any(_concerns(patch, _written(folder, patch, files), item) for item in below)
    ]
    content["replicas"] = [
        entry
        for entry in content.get("replicas", [])
        if any(item.kind in SCALABLE and item.name == entry["name"] for item in below)
    ]
    content["images"] = [entry for entry in content.get("images", []) if entry["name"].encode() in texts]
    if folder == plan.folder and plan.namespace is not None:
        content["namespace"] = _MARK
    for inner in kept.values():
        yield from inner
    yield f"{folder}/{FILE}", json.dumps({key: item for key, item in content.items() if item}).encode()
