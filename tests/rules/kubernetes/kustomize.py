"""What Kustomize builds, and what it silently accepts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.harness import Fact, Files, Problem, add, change, load, load_all, remove, replace, rule, write
from tests.rules.kubernetes.build import FILE, Resource, build_all, entry_points, join
from tests.rules.kubernetes.environment import Environment, Issue, Issues, Tree, environment_rule, tree_rule

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


BASE, STAGING = "kubernetes/base/kustomization.yaml", "kubernetes/overlays/staging/kustomization.yaml"
LOCAL = "kubernetes/overlays/local/kustomization.yaml"
DEPLOYMENT = "kubernetes/base/deployment.yaml"
NAMESPACE = "kubernetes/namespace/kustomization.yaml"
SERVICE_ACCOUNT = """\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: shop
"""

every_entry_point_builds.rejects(
    "a resource that does not exist",
    BASE,
    change("resources.0", "deploymnt.yaml"),
    also=[every_file_is_in_a_kustomization],
)
every_entry_point_builds.rejects("a resource twice", BASE, add("resources", "service.yaml"))
every_entry_point_builds.rejects("settings merged into nothing", STAGING, change("configMapGenerator.0.name", "shops"))
every_entry_point_builds.rejects("settings made twice", STAGING, remove("configMapGenerator.0.behavior"))
every_entry_point_builds.rejects(
    "an operation on a field that does not exist",
    STAGING,
    replace("/spec/rules/0/host", "/spec/rules/1/host"),
)
every_entry_point_builds.rejects(
    "two resources of one name",
    BASE,
    add("resources", "twin.yaml"),
    "kubernetes/base/twin.yaml",
    write(SERVICE_ACCOUNT),
)
every_entry_point_builds.rejects("a folder that is a resource of itself", BASE, add("resources", "../base"))
every_resource_is_made_once.rejects(
    "a resource of two entry points",
    NAMESPACE,
    add("resources", "twin.yaml"),
    "kubernetes/namespace/twin.yaml",
    write(SERVICE_ACCOUNT),
)
every_file_is_in_a_kustomization.rejects(
    "a file that no kustomization names", BASE, remove("resources.4"), project="ingress"
)
every_kustomization_is_of_the_current_version.rejects("a kustomization without a version", BASE, remove("apiVersion"))
every_kustomization_is_of_the_current_version.rejects("a deprecated field", BASE, add("vars", []))
every_patch_has_a_target.rejects(
    "a patch without a target that matches nothing",
    LOCAL,
    replace(
        "kind: HorizontalPodAutoscaler\n      metadata:\n        name: shop",
        "kind: HorizontalPodAutoscaler\n      metadata:\n        name: shops",
    ),
    also=[every_entry_point_builds],
)
every_patch_has_a_target.rejects(
    "a patch in a file that matches nothing",
    BASE,
    remove("resources.4"),
    BASE,
    add("patches", [{"path": "poddisruptionbudget.yaml"}]),
    also=[every_entry_point_builds],
    project="ingress",
)
every_patch_has_a_target.accepts(
    "a patch of a generated ConfigMap",
    STAGING,
    add("patches", {"target": {"kind": "ConfigMap", "name": "shop"}, "patch": "- {op: add, path: /data/A, value: b}"}),
)
every_patch_has_a_target.accepts(
    "a patch that may rename",
    STAGING,
    add("patches", {"target": {"kind": "Ingress"}, "patch": "[]", "options": {"allowNameChange": True}}),
    project="ingress",
)
every_replica_count_has_a_workload.rejects(
    "replicas of nothing", STAGING, add("replicas", [{"name": "shops", "count": 2}]), also=[every_entry_point_builds]
)
every_image_override_has_a_container.rejects(
    "an image that no container runs", STAGING, add("images", [{"name": "docker.io/acme/shops", "newTag": "x"}])
)
every_image_override_has_a_container.accepts(
    "an image that a container runs", STAGING, add("images", [{"name": "docker.io/acme/shop", "newTag": "x"}])
)
every_entry_point_builds.accepts("a component", STAGING, add("components", []))
every_entry_point_builds.accepts("a prefix of every name", STAGING, add("namePrefix", "a-"), project="small")


def test_a_key_that_stands_twice_does_not_build() -> None:
    """Kustomize refuses it; rules of syntax see it first."""
    files = {f"base/{FILE}": b"resources: [twin.yaml]\n", "base/twin.yaml": f"{SERVICE_ACCOUNT}kind: A\n".encode()}
    (outcome,) = build_all([files])
    assert isinstance(outcome["base"], ValueError)


def test_every_deploy_target_of_the_makefile_is_an_entry_point(references: Mapping[str, Files]) -> None:
    """`make deploy` and `make namespace` build these folders."""
    for files in references.values():
        overlays = {f"kubernetes/overlays/{name}" for name in ("local", "staging", "production")}
        assert overlays | {f"{folder}/namespace" for folder in overlays} <= {*entry_points(files)}
