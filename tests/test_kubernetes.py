"""Every environment of every combination builds, is valid on the oldest and newest supported Kubernetes, and fits."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.judge import Judge
from tests.render import Rendered, Renderer
from tests.template import Template
from tests.validators import Finding, kubernetes, kustomize, network
from tests.validators.fragments import Fragments
from tests.validators.kubernetes_schema import Schemas

Outcome = tuple[Rendered, kubernetes.Built | ValueError]


@pytest.fixture(scope="session")
def trees(renderer: Renderer) -> list[Rendered]:
    """What overlays take together, and, independent of it, what clusters need once."""
    apart = ("kubernetes/cluster/*", "kubernetes/local/*")
    together = renderer.distinct("kubernetes/*", without=(*apart, "kubernetes/README.md", "kubernetes/kops.yaml"))
    return [*together, *(tree for folder in apart for tree in renderer.distinct(folder))]


@pytest.fixture(scope="session")
def built(trees: list[Rendered], judge: Judge, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    judge.count("kustomize trees, each with all its environments", len(trees))
    with judge.stage("Kustomize, within test_kubernetes"):
        fragments = Fragments(tmp_path_factory.mktemp("kustomize"))
        results = fragments.build_all(tree.files for tree in trees)
        judge.count("distinct resource files with what Kustomize makes of them", len(fragments.distinct))
        return list(zip(trees, results, strict=True))


@pytest.fixture(scope="session")
def schemas(template: Template) -> list[Schemas]:
    versions = template.table("versions", "kubernetes")
    return [Schemas(versions["oldest"]), Schemas(versions["newest"])]


def test_every_file_is_listed_and_every_patch_meets_something(trees: list[Rendered], judge: Judge) -> None:
    judge(trees, kustomize.check_sources)


def test_every_environment_builds(built: list[Outcome], judge: Judge) -> None:
    judge.found(
        (tree, [Finding("kubernetes", "build", "kustomize", str(result))] if isinstance(result, ValueError) else [])
        for tree, result in built
    )


def test_every_built_environment_is_valid_and_fits_together(
    built: list[Outcome], schemas: list[Schemas], judge: Judge
) -> None:
    judge.count(
        "environments built",
        sum(len(kubernetes.environments(done)) for _, done in built if not isinstance(done, ValueError)),
    )
    checker = kubernetes.Checker(schemas)
    judge.found((tree, checker.check(result)) for tree, result in built if not isinstance(result, ValueError))


def test_the_network_lets_each_pod_reach_what_it_needs_and_nothing_else(built: list[Outcome], judge: Judge) -> None:
    table = network.Network()
    judge.found(
        (tree, table.check(result, tree.context))
        for tree, result in built
        if not isinstance(result, ValueError) and "kubernetes/base/deployment.yaml" in tree.files
    )


def test_what_is_put_together_from_fragments_is_what_kustomize_builds(built: list[Outcome], tmp_path: Path) -> None:
    draw = random.Random(1)  # noqa: S311
    sample = draw.sample([(tree, result) for tree, result in built if not isinstance(result, ValueError)], 16)
    with ThreadPoolExecutor(kustomize.WORKERS) as pool:
        wholes = pool.map(lambda one: kustomize.build(one[0].files, tmp_path), sample)
        for (tree, result), whole in zip(sample, wholes, strict=True):
            assert by_text(result) == by_text(whole), tree


def test_building_all_entry_points_at_once_changes_nothing(trees: list[Rendered], tmp_path: Path) -> None:
    for tree in trees[:: len(trees) // 3]:
        apart = [
            resource
            for folder in kustomize.entry_points(tree.files)
            for resource in kustomize.build(tree.files, tmp_path, folder)
        ]
        assert by_text(kustomize.build(tree.files, tmp_path)) == by_text(apart), tree


def by_text(resources: Iterable[object]) -> list[str]:
    return sorted(json.dumps(resource, sort_keys=True) for resource in resources)


def test_every_deploy_target_of_the_makefile_is_an_entry_point(renderer: Renderer) -> None:
    """`make deploy` and `make namespace` build these folders."""
    for tree in renderer.distinct(
        "kubernetes/*/kustomization.yaml", without=("kubernetes/cluster/*", "kubernetes/local/*")
    ):
        assert {f"kubernetes/overlays/{name}" for name in ("local", "staging", "production")} <= set(
            kustomize.entry_points(tree.files)
        )
