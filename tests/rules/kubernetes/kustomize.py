"""What Kustomize builds, and what it silently accepts."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.harness import Fact, Files, Problem, accepts, add, change, load, load_all, rejects, remove, replace, rule
from tests.rules.kubernetes.build import FILE, Resource, build_all, entry_points, extra, join, values_of
from tests.rules.kubernetes.environment import Environment, Issue, Issues, Tree, environment_rule, tree_rule
from tests.toolchains import tool

PATTERN = "kubernetes/*kustomization.yaml"
DEPRECATED = {"bases", "commonLabels", "patchesJson6902", "patchesStrategicMerge", "vars"}

_IDENTITY = ("group", "version", "kind", "name")

BASE, STAGING = "kubernetes/base/kustomization.yaml", "kubernetes/overlays/staging/kustomization.yaml"
LOCAL = "kubernetes/overlays/local/kustomization.yaml"
SCALER = "kind: HorizontalPodAutoscaler\n      metadata:\n        name: shop"
DEPLOYMENT = "kubernetes/base/deployment.yaml"
SERVICE_ACCOUNT = """\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: shop
"""


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


def resource_names(content: bytes) -> tuple[ResourceRef, ...]:
    """The resources in a file, without their images."""
    return tuple(ref._replace(images=()) for ref in resource_refs(content))


def _ref(resource: Resource) -> ResourceRef:
    group, _, version = str(resource.get("apiVersion", "")).rpartition("/")
    images = tuple(image.rsplit(":", 1)[0] for image in values_of("image", resource))
    return ResourceRef(group, version, resource["kind"], str(resource.get("metadata", {}).get("name", "")), images)


class Kustomization(NamedTuple):
    """What a kustomization takes, makes, and changes of it."""

    takes: tuple[str, ...]
    makes: tuple[ResourceRef, ...]
    changes: tuple[Any, ...]


def _kustomization(content: bytes, changes: Iterable[Any]) -> Kustomization:
    written = load(content)
    made = [
        ResourceRef("", "v1", kind, generator["name"])
        for kind in ("ConfigMap", "Secret")
        for generator in written.get(f"{kind[0].lower()}{kind[1:]}Generator", [])
    ]
    takes = (*written.get("resources", []), *written.get("components", []))
    return Kustomization(takes, tuple(made), tuple(changes))


def with_patches(content: bytes) -> Kustomization:
    """A kustomization with the targets of its patches, or the files that they are in."""
    patches: list[Any] = []
    for patch in load(content).get("patches", []):
        if "target" in patch:
            patches.append([patch["target"]])
        else:
            patches.append(patch.get("path") or [ref.target for ref in resource_names(patch["patch"].encode())])
    return _kustomization(content, patches)


def with_images(content: bytes) -> Kustomization:
    """A kustomization with the images that it replaces."""
    return _kustomization(content, [entry["name"] for entry in load(content).get("images", [])])


Kustomizations = Mapping[str, Kustomization]
Refs = Mapping[str, tuple[ResourceRef, ...]]


def changes_of(kustomizations: Kustomizations, refs: Refs) -> Iterator[tuple[str, int, Any, list[ResourceRef]]]:
    """Each change of each kustomization: the path, the number of the change, and the resources that it can be about."""
    for path, kustomization in kustomizations.items():
        below = list(_below(path, kustomizations, refs)) if kustomization.changes else []
        for number, one in enumerate(kustomization.changes):
            yield path, number, one, below


def _below(path: str, kustomizations: Kustomizations, refs: Refs, above: tuple[str, ...] = ()) -> Iterator[ResourceRef]:
    """What a kustomization takes, through others too, and makes."""
    yield from kustomizations[path].makes
    for item in kustomizations[path].takes:
        taken = join(path.removesuffix(f"/{FILE}"), item)
        yield from refs.get(taken, ())
        if f"{taken}/{FILE}" in kustomizations and f"{taken}/{FILE}" not in (*above, path):
            yield from _below(f"{taken}/{FILE}", kustomizations, refs, (*above, path))


@rejects("a missing resource", BASE, change("resources.0", "deploymnt.yaml"), also="every_file_is_in_a_kustomization")
@rejects("a resource twice", BASE, add("resources", "service.yaml"))
@rejects("settings merged into nothing", STAGING, change("configMapGenerator.0.name", "shops"))
@rejects("settings made twice", STAGING, remove("configMapGenerator.0.behavior"))
@rejects("an operation on a field that does not exist", STAGING, replace("/spec/rules/0/host", "/spec/rules/1/host"))
@rejects("two resources of one name", *extra("kubernetes/base", SERVICE_ACCOUNT))
@rejects("a folder that is a resource of itself", BASE, add("resources", "../base"))
@rejects("replicas of nothing", STAGING, add("replicas", [{"name": "shops", "count": 2}]))
@accepts("a component", STAGING, add("components", []))
@accepts(
    "a prefix of every name",
    STAGING,
    add("namePrefix", "a-"),
    "kubernetes/namespace/deployer-role.yaml",
    replace("- shop-egress", "- a-shop\n      - a-shop-egress\n      - shop-egress"),
    project="small",
)
@tree_rule
def every_entry_point_builds(tree: Tree) -> Iterator[Problem]:
    """Kustomize builds every deployed folder."""
    for folder, built in tree.outcome.items():
        if isinstance(built, ValueError):
            # Kustomize reports the path of folders and resources: the last ones matter.
            folders = [folder, *re.findall(r"of path '/([^']+)'", str(built))]
            where = re.findall(r"accumulating resources from '([^']+)'", str(built))
            yield Problem(f"{folders[-1]}/{FILE}", f"{folder} does not build: {built}", where[-1] if where else "")


@rejects("a resource of two entry points", *extra("kubernetes/namespace", SERVICE_ACCOUNT))
@environment_rule
def every_resource_is_made_once(env: Environment) -> Issues:
    """No two entry points of a namespace make the same resource: each deploy would undo the other."""
    for (_, kind, name), number in Counter(map(_identity, env.resources)).items():
        if number > 1:
            yield Issue(next(one for one in env.of(kind) if one["metadata"]["name"] == name), f"is made {number} times")


def _identity(resource: Resource) -> tuple[str, str, str]:
    """The identity of a resource in a namespace."""
    return resource["apiVersion"].rpartition("/")[0], resource["kind"], resource["metadata"]["name"]


@rejects("a file that no kustomization names", BASE, remove("resources.7"), project="ingress")
@rule(kustomizations=Fact(PATTERN, load), paths=Fact("kubernetes/*"))
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


@rejects("a kustomization without a version", BASE, remove("apiVersion"))
@rejects("a deprecated field", BASE, add("vars", []))
@rejects(
    "selectors rewritten by an overlay",
    STAGING,
    add("labels.0.includeSelectors", True),
    also="every_selector_selects_its_own_pods every_claim_template_has_no_labels",
)
@rule(kustomizations=Fact(PATTERN, load))
def every_kustomization_is_of_the_current_version(kustomizations: Mapping[str, Any]) -> Iterator[Problem]:
    """Kustomizations have a version, no deprecated field, and do not change selectors."""
    for path, content in kustomizations.items():
        if (content.get("apiVersion"), content.get("kind")) != ("kustomize.config.k8s.io/v1beta1", "Kustomization"):
            yield Problem(path, "is not a kustomize.config.k8s.io/v1beta1 Kustomization", "1")
        for key in content.keys() & DEPRECATED:
            yield Problem(path, f"{key} is deprecated", key)
        if any(item.get("includeSelectors") for item in content.get("labels", [])):
            yield Problem(path, "includeSelectors rewrites the selectors of network policies too", "includeSelectors")


@rejects("a patch of nothing without a target", LOCAL, replace(SCALER, f"{SCALER}s"), also="every_entry_point_builds")
@rejects(
    "a patch in a file that matches nothing", BASE, remove("resources.7"), BASE,
    add("patches", [{"path": "poddisruptionbudget.yaml"}]), also="every_entry_point_builds", project="ingress",
)  # fmt: skip
@accepts(
    "a patch of a generated ConfigMap", STAGING,
    add("patches", {"target": {"kind": "ConfigMap", "name": "shop"}, "patch": "- {op: add, path: /data/A, value: b}"}),
)  # fmt: skip
@accepts(
    "a patch that may rename", STAGING,
    add("patches", {"target": {"kind": "Ingress"}, "patch": "[]", "options": {"allowNameChange": True}}),
    project="ingress",
)  # fmt: skip
@rejects(
    "a patch that matches nothing", STAGING,
    add("patches", {"target": {"kind": "Ingress", "name": "shops"}, "patch": "- {op: remove, path: /spec}"}),
    project="ingress",
)  # fmt: skip
@rule(kustomizations=Fact(PATTERN, with_patches), refs=Fact("kubernetes/*.yaml", resource_names))
def every_patch_has_a_target(kustomizations: Kustomizations, refs: Refs) -> Iterator[Problem]:
    """Each patch changes a resource: Kustomize passes over one whose target matches nothing without a word."""
    for path, number, patch, below in changes_of(kustomizations, refs):
        file = join(path.removesuffix(f"/{FILE}"), patch) if isinstance(patch, str) else ""
        for target in [ref.target for ref in refs.get(file, ())] if file else patch:
            if not any(ref.matches(target) for ref in below):
                yield Problem(path, f"no resource matches the patch's target {target}", f"patches.{number}")


@rejects("an image that no container runs", STAGING, add("images", [{"name": "docker.io/acme/shops", "newTag": "x"}]))
@accepts("an image that a container runs", STAGING, add("images", [{"name": "docker.io/acme/shop", "newTag": "x"}]))
@rule(kustomizations=Fact(PATTERN, with_images), refs=Fact("kubernetes/*.yaml", resource_refs))
def every_image_override_has_a_container(kustomizations: Kustomizations, refs: Refs) -> Iterator[Problem]:
    """A container uses each image with a name, tag or digest in a kustomization."""
    for path, number, image, below in changes_of(kustomizations, refs):
        if not any(image in ref.images for ref in below):
            yield Problem(path, f"no container runs {image}", f"images.{number}")


def test_a_key_that_stands_twice_does_not_build() -> None:
    """Kustomize refuses it; rules of syntax see it first."""
    files = {f"base/{FILE}": b"resources: [twin.yaml]\n", "base/twin.yaml": f"{SERVICE_ACCOUNT}kind: A\n".encode()}
    (outcome,) = build_all([files])
    assert isinstance(outcome["base"], ValueError)


@pytest.mark.parametrize("name", ["gateway", "kops"])
def test_kubectl_builds_the_same(name: str, references: Mapping[str, Files], tmp_path: Path) -> None:
    """The builder passes only readable files to Kustomize, unlike kubectl with the whole project."""
    files = {path: content for path, content in references[name].items() if path.startswith("kubernetes/")}
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        if path[-1] != "/":
            (tmp_path / path).write_bytes(content)
    (outcome,) = build_all([{path: content for path, content in files.items() if path[-1] != "/"}])
    for folder, built in outcome.items():
        command = [tool("kubectl"), "kustomize", str(tmp_path / folder)]
        printed = subprocess.run(command, capture_output=True, check=True).stdout
        assert not isinstance(built, ValueError)
        assert _sorted(load_all(printed)) == _sorted(one.resource for one in built), folder


def _sorted(resources: Iterable[Resource]) -> list[str]:
    return sorted(json.dumps(resource, sort_keys=True) for resource in resources)


def test_every_deploy_target_of_the_makefile_is_an_entry_point(references: Mapping[str, Files]) -> None:
    """`make deploy` and `make namespace` build these folders."""
    for files in references.values():
        overlays = {f"kubernetes/overlays/{name}" for name in ("local", "staging", "production")}
        assert overlays | {f"{folder}/namespace" for folder in overlays} <= {*entry_points(files)}
