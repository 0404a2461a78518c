"""What Kustomize builds, and what it silently accepts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.harness import Fact, Files, Problem, add, change, load, load_all, remove, rule
from tests.harness.documents import replace
from tests.rules.kubernetes.build import FILE, Resource, entry_points, join
from tests.rules.kubernetes.environment import Environment, Issue, Issues, Tree, environment_rule, name_of, tree_rule

BASE, DEPLOYMENT = "kubernetes/base/kustomization.yaml", "kubernetes/base/deployment.yaml"
STAGING = "kubernetes/overlays/staging/kustomization.yaml"
SCALABLE = {"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"}
DEPRECATED = {"bases", "commonLabels", "patchesJson6902", "patchesStrategicMerge", "vars"}


_IDENTITY = ("group", "version", "kind", "name")


class ResourceRef(NamedTuple):
    """A resource, as far as a kustomization can name it."""

    group: str
    version: str
    kind: str
    name: str
    images: tuple[str, ...] = ()

    @property
    def target(self) -> dict[str, str]:
        """The target of a patch that has none but its own identity."""
        return {key: re.escape(getattr(self, key)) for key in _IDENTITY}

    def matches(self, target: Mapping[str, str]) -> bool:
        """Whether the target of a patch means it, apart from selectors of labels, annotations and namespaces."""
        return all(re.fullmatch(str(target.get(key, ".*")), getattr(self, key)) for key in _IDENTITY)


def resource_refs(content: bytes) -> tuple[ResourceRef, ...]:
    """The resources in a file."""
    resources = [document for document in load_all(content) if isinstance(document, dict) and "metadata" in document]
    return tuple(map(_ref, resources))


def _ref(resource: Resource) -> ResourceRef:
    group, _, version = str(resource.get("apiVersion", "")).rpartition("/")
    images = tuple(image.rsplit(":", 1)[0] for image in _images(resource))
    return ResourceRef(group, version, resource["kind"], str(resource.get("metadata", {}).get("name", "")), images)


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


class Kustomizations:
    """The kustomizations of a project, and the resources in its files."""

    def __init__(self, contents: Mapping[str, Any], resources: Mapping[str, tuple[ResourceRef, ...]]) -> None:
        self.by_path = contents
        self.by_folder = {path.removesuffix(f"/{FILE}"): content for path, content in contents.items()}
        self.resources = resources

    def below(self, folder: str, above: tuple[str, ...] = ()) -> Iterator[ResourceRef]:
        """What the kustomization of a folder takes and makes, which is what it can change."""
        content = self.by_folder[folder]
        for item in [*content.get("resources", []), *content.get("components", [])]:
            path = join(folder, item)
            if path in self.by_folder and path not in (*above, folder):
                yield from self.below(path, (*above, folder))
            yield from self.resources.get(path, ())
        for kind in ("ConfigMap", "Secret"):
            for generator in content.get(f"{kind[0].lower()}{kind[1:]}Generator", []):
                yield ResourceRef("", "v1", kind, generator["name"])

    def resources_below(self) -> Iterator[tuple[str, dict[str, Any], list[ResourceRef]]]:
        """The path and content of each kustomization, with what it can change."""
        for path, content in self.by_path.items():
            yield path, content, list(self.below(path.removesuffix(f"/{FILE}")))


@tree_rule
def every_entry_point_builds(tree: Tree) -> Iterator[Problem]:
    """Kustomize builds every folder that people deploy."""
    for folder, built in tree.outcome.items():
        if isinstance(built, ValueError):
            yield Problem(f"{folder}/{FILE}", f"does not build: {built}")


@environment_rule
def every_resource_is_made_once(env: Environment) -> Issues:
    """No two entry points of a namespace make the same resource: each deploy would undo the other."""
    for (_, kind, name), number in Counter(map(_identity, env.resources)).items():
        if number > 1:
            yield Issue(next(one for one in env.of(kind) if one["metadata"]["name"] == name), f"is made {number} times")


def _identity(resource: Resource) -> tuple[str, str, str]:
    """By which a cluster tells the resources of a namespace apart."""
    return resource["apiVersion"].rpartition("/")[0], resource["kind"], resource["metadata"]["name"]


@rule(kustomizations=Fact("kubernetes/*kustomization.yaml", load), paths=Fact("kubernetes/*"))
def every_file_is_in_a_kustomization(kustomizations: Mapping[str, Any], paths: list[str]) -> Iterator[Problem]:
    """A kustomization names every file in its folder: Kustomize passes over the others without a word."""
    folders = {path.removesuffix(f"/{FILE}"): content for path, content in kustomizations.items()}
    named = {join(folder, item) for folder, content in folders.items() for item in _named(content)}
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folder = folder.rpartition("/")[0]
        if folder and path not in named and path != f"{folder}/{FILE}":
            yield Problem(path, f"{folder}/{FILE} does not name it")


def _named(content: Mapping[str, Any]) -> Iterator[str]:
    """The files that a kustomization names."""
    yield from content.get("resources", [])
    yield from (patch["path"] for patch in content.get("patches", []) if "path" in patch)
    for generator in [*content.get("configMapGenerator", []), *content.get("secretGenerator", [])]:
        yield from (item.rpartition("=")[2] for key in ("envs", "files") for item in generator.get(key, []))


@rule(kustomizations=Fact("kubernetes/*kustomization.yaml", load))
def every_kustomization_is_of_the_current_version(kustomizations: Mapping[str, Any]) -> Iterator[Problem]:
    """Kustomizations have a version, no deprecated field, and leave selectors as they are."""
    for path, content in kustomizations.items():
        if (content.get("apiVersion"), content.get("kind")) != ("kustomize.config.k8s.io/v1beta1", "Kustomization"):
            yield Problem(path, "is not a kustomize.config.k8s.io/v1beta1 Kustomization", "1")
        for key in content.keys() & DEPRECATED:
            yield Problem(path, f"{key} is deprecated", key)
        if any(item.get("includeSelectors") for item in content.get("labels", [])):
            yield Problem(path, "includeSelectors rewrites the selectors of network policies too", "includeSelectors")


KUSTOMIZATIONS = Fact("kubernetes/*kustomization.yaml", load)
RESOURCES = Fact("kubernetes/*.yaml", resource_refs)


@rule(kustomizations=KUSTOMIZATIONS, resources=RESOURCES)
def every_patch_has_a_target(
    kustomizations: Mapping[str, Any], resources: Mapping[str, tuple[ResourceRef, ...]]
) -> Iterator[Problem]:
    """Each patch changes a resource: Kustomize passes over one whose target matches nothing without a word."""
    for path, content, below in Kustomizations(kustomizations, resources).resources_below():
        for number, patch in enumerate(content.get("patches", [])):
            if "target" in patch:
                targets = [patch["target"]]
            else:
                file = join(path.removesuffix(f"/{FILE}"), patch.get("path", ""))
                refs = resources.get(file, ()) if "path" in patch else resource_refs(patch["patch"].encode())
                targets = [ref.target for ref in refs]
            for target in targets:
                if not any(ref.matches(target) for ref in below):
                    yield Problem(path, f"no resource matches the patch's target {target}", f"patches.{number}")


@rule(kustomizations=KUSTOMIZATIONS, resources=RESOURCES)
def every_replica_count_has_a_workload(
    kustomizations: Mapping[str, Any], resources: Mapping[str, tuple[ResourceRef, ...]]
) -> Iterator[Problem]:
    """What a kustomization gives a number of replicas is a workload that has replicas."""
    for path, content, below in Kustomizations(kustomizations, resources).resources_below():
        scalable = {ref.name for ref in below if ref.kind in SCALABLE}
        for number, entry in enumerate(content.get("replicas", [])):
            if entry["name"] not in scalable:
                yield Problem(path, f"no workload with replicas is called {entry['name']}", f"replicas.{number}")


@rule(kustomizations=KUSTOMIZATIONS, resources=RESOURCES)
def every_image_override_has_a_container(
    kustomizations: Mapping[str, Any], resources: Mapping[str, tuple[ResourceRef, ...]]
) -> Iterator[Problem]:
    """An image for which a kustomization gives a name, tag or digest is one that a container runs."""
    for path, content, below in Kustomizations(kustomizations, resources).resources_below():
        images = {image for ref in below for image in ref.images}
        for number, entry in enumerate(content.get("images", [])):
            if entry["name"] not in images:
                yield Problem(path, f"no container runs {entry['name']}", f"images.{number}")
