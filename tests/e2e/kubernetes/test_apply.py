"""Every pair of answers on a real API server: validation, Pod Security, quota, and pods in every environment."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.commands import wait_for
from tests.e2e.kubernetes.conftest import Maker
from tests.e2e.kubernetes.control_plane import QUOTA_CONFLICT, ControlPlane, Object
from tests.e2e.kubernetes.project import ENVIRONMENTS, Project
from tests.harness import Projects, load_all
from tests.harness.plugin import Count
from tests.rules.kubernetes.build import entry_points

SIZES = {"hard", "resources", "replicas", "minReplicas", "maxReplicas"}
RESTART = {"spec": {"template": {"metadata": {"annotations": {"test/restart": "1"}}}}}


@dataclass
class Applied:
    """One environment of all projects, applied."""

    spaces: list[Object] = field(default_factory=list)
    overlays: list[Object] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def objects(self) -> list[Object]:
        """All objects."""
        return self.spaces + self.overlays

    @property
    def namespaces(self) -> set[str]:
        """The namespaces of all projects."""
        return {item["metadata"]["name"] for item in self.of("Namespace")}

    def of(self, kind: str) -> list[Object]:
        """The objects of a kind."""
        return [item for item in self.objects if item["kind"] == kind]


@pytest.fixture(scope="module")
def rendered(projects: Projects, make_project: Maker, count: Count) -> list[Project]:
    """Projects whose answers hold every pair of those that the manifests read."""
    sources = [source for source in projects.template.sources if source.path.parts[0] == "kubernetes"]
    names = frozenset(name for source in sources for name in source.reads)
    combinations = [answers for answers, _ in projects.space.pairs(names, edge_cases=False)]
    count("combinations applied to an API server, every pair of answers in them", len(combinations))
    return [make_project(**answers) for answers in combinations]


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def applied(
    request: pytest.FixtureRequest,
    cluster: ControlPlane,
    rendered: list[Project],
    tmp_path_factory: pytest.TempPathFactory,
    count: Count,
) -> Applied:
    """An environment of all projects: first the namespaces, then each overlay at once."""
    environment = request.param
    folder = tmp_path_factory.mktemp(environment)
    applied = Applied()
    for path, objects in ((f"{environment}/namespace", applied.spaces), (environment, applied.overlays)):
        file = folder / f"{path.replace('/', '-')}.yaml"
        objects.extend(build(cluster, file, [project.path / "kubernetes/overlays" / path for project in rendered]))
        cluster.prepare_for(objects)
        done = cluster.kubectl("apply", "--server-side", f"--filename={file}", check=False)
        assert done.returncode == 0, done.stderr[-8000:]
        applied.warnings += done.stderr.splitlines()
    count(f"objects applied for {environment}", len(applied.objects))
    return applied


def build(cluster: ControlPlane, file: Path, folders: Iterable[Path]) -> list[Object]:
    """Build kustomizations in one go: their namespaces keep them apart."""
    top = file.with_suffix("")
    top.mkdir()
    resources = [os.path.relpath(folder, top) for folder in folders]
    (top / "kustomization.yaml").write_text(yaml.safe_dump({"resources": resources}))
    file.write_text(cluster.kubectl("kustomize", str(top)).stdout)
    return load_all(file.read_bytes())


def wait_for_pods(cluster: ControlPlane, namespaces: set[str]) -> None:
    """Wait until every workload of these namespaces has all its pods, all new and ready."""

    def unfinished() -> list[str]:
        return [
            f"{kind}/{item['metadata']['name']}"
            for kind in ("deployments", "statefulsets", "daemonsets")
            for item in cluster.items(f"/apis/apps/v1/{kind}")
            if item["metadata"]["namespace"] in namespaces and not is_finished(item)
        ]

    wait_for(lambda: not unfinished(), lambda: f"{unfinished()}\n{refusals(cluster, namespaces)}")


def is_finished(workload: Object) -> bool:
    """Whether a rollout has ended."""
    status = workload["status"]
    if status.get("observedGeneration") != workload["metadata"]["generation"]:
        return False
    if "desiredNumberScheduled" in status:  # a DaemonSet
        wanted = status["desiredNumberScheduled"]
        return bool(wanted == status.get("updatedNumberScheduled") == status["numberReady"])
    wanted = workload["spec"]["replicas"]
    return all(status.get(key, 0) == wanted for key in ("replicas", "updatedReplicas", "readyReplicas"))


def refusals(cluster: ControlPlane, namespaces: set[str]) -> list[str]:
    """Why the API server has refused pods."""
    return sorted(
        {
            event["message"]
            for event in cluster.items("/api/v1/events", {"fieldSelector": "reason=FailedCreate"})
            # A quota that its controller has not seen yet refuses everything, one that many pods are counted by at once
            # some, and the pod is tried again.
            if event["metadata"]["namespace"] in namespaces
            and "status unknown for quota" not in event["message"]
            and QUOTA_CONFLICT not in event["message"]
        }
    )


def test_no_warnings(applied: Applied) -> None:
    """Such as a pod that Pod Security would refuse, a field that exists no more, or a deprecated version."""
    assert not applied.warnings


def test_every_workload_gets_its_pods(applied: Applied, cluster: ControlPlane) -> None:
    wait_for_pods(cluster, applied.namespaces)
    assert not refusals(cluster, applied.namespaces)


def test_applying_again_changes_nothing(applied: Applied, cluster: ControlPlane, tmp_path: Path) -> None:
    wait_for_pods(cluster, applied.namespaces)
    file = tmp_path / "again.yaml"
    file.write_text(yaml.safe_dump_all(unlike(applied.objects)))
    done = cluster.kubectl("diff", "--server-side", f"--filename={file}", check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]


def unlike(objects: list[Object]) -> list[Object]:
    """One of all objects that differ in the name of their service alone."""
    return list({re.sub(r"shop-\d+", "shop", json.dumps(item)): item for item in objects}.values())


def test_every_job_finishes(applied: Applied, cluster: ControlPlane, count: Count) -> None:
    jobs = applied.of("CronJob")
    assert jobs
    start_jobs(applied, cluster, "once")
    count("jobs of CronJobs run in each environment", len(jobs))


def start_jobs(applied: Applied, cluster: ControlPlane, suffix: str) -> None:
    """Start a job of each CronJob, all at once, and wait until they have succeeded."""
    jobs = [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "namespace": cron["metadata"]["namespace"],
                "name": f"{cron['metadata']['name'][:40]}-{suffix}",
                "labels": {"test/run": suffix},
            },
            "spec": cron["spec"]["jobTemplate"]["spec"],
        }
        for cron in applied.of("CronJob")
    ]
    if jobs:
        cluster.apply(*jobs)

    def unfinished() -> list[str]:
        return [
            job["metadata"]["name"]
            for job in cluster.items("/apis/batch/v1/jobs", {"labelSelector": f"test/run={suffix}"})
            if job["metadata"]["namespace"] in applied.namespaces and not job["status"].get("succeeded")
        ]

    wait_for(lambda: not unfinished(), lambda: f"{unfinished()}\n{refusals(cluster, applied.namespaces)}")


def test_the_quota_admits_a_rollout_of_the_most_replicas_while_jobs_run(
    applied: Applied, cluster: ControlPlane, seen: set[str]
) -> None:
    applied = of_new_size(applied, seen)
    with most_replicas(applied, cluster):
        for deployment in applied.of("Deployment"):
            cluster.patch(cluster.path_of(deployment), RESTART)
        start_jobs(applied, cluster, "during-rollout")
        wait_for_pods(cluster, applied.namespaces)
    assert not refusals(cluster, applied.namespaces)


@pytest.fixture(scope="module")
def seen() -> set[str]:
    """The sizes that were tested, in whichever environment."""
    return set()


def of_new_size(applied: Applied, seen: set[str]) -> Applied:
    """One project of each set of quota, replicas and resources: to scale them all takes minutes."""
    found = Applied()
    for namespace in sorted(applied.namespaces):
        objects = [
            item
            for item in applied.objects
            if namespace in (item["metadata"].get("namespace"), item["metadata"]["name"])
        ]
        taken = json.dumps([size(item) for item in objects])
        if taken not in seen:
            seen.add(taken)
            found.overlays += objects
    return found


def size(value: Any) -> Any:
    """What decides how much an object takes or may take."""
    if isinstance(value, list):
        return list(filter(None, map(size, value)))
    if isinstance(value, dict):
        own = {key: value[key] for key in SIZES & value.keys()}
        below = {key: size(item) for key, item in value.items() if key not in own}
        return dict(sorted((own | {key: item for key, item in below.items() if item}).items()))
    return None


@contextmanager
def most_replicas(applied: Applied, cluster: ControlPlane) -> Iterator[None]:
    """Let each autoscaler run all the pods that it may."""
    scalers = applied.of("HorizontalPodAutoscaler")
    most = {scaler["metadata"]["namespace"]: scaler["spec"]["maxReplicas"] for scaler in scalers}

    def scaled() -> bool:
        replicas = {
            deployment["metadata"]["namespace"]: deployment["spec"].get("replicas")
            for deployment in cluster.items("/apis/apps/v1/deployments")
        }
        return most.items() <= replicas.items()

    try:
        for scaler in scalers:
            cluster.patch(cluster.path_of(scaler), {"spec": {"minReplicas": scaler["spec"]["maxReplicas"]}})
        wait_for(scaled)
        wait_for_pods(cluster, applied.namespaces)
        yield
    finally:
        for scaler in scalers:
            cluster.patch(cluster.path_of(scaler), {"spec": {"minReplicas": scaler["spec"]["minReplicas"]}})


def test_deployer_can_apply_each_overlay(applied: Applied, cluster: ControlPlane) -> None:
    refused = []
    for item in unlike(applied.overlays):
        user = f"system:serviceaccount:{item['metadata']['namespace']}:deployer"
        response = cluster.client.patch(
            cluster.path_of(item),
            params={"dryRun": "All", "fieldManager": "kubectl"},
            content=json.dumps(item),
            headers={"Impersonate-User": user, "Content-Type": "application/apply-patch+yaml"},
        )
        if response.status_code != httpx.codes.OK:
            refused.append(response.json()["message"])
    assert not refused


def test_cluster_setup_is_applied(rendered: list[Project], cluster: ControlPlane, tmp_path: Path, count: Count) -> None:
    """Everything that is kustomized and not an environment of the service."""
    found: dict[str, Path] = {}
    for project in rendered:
        files = {
            str(path.relative_to(project.path)): path.read_bytes()
            for path in sorted((project.path / "kubernetes").rglob("*"))
            if path.is_file()
        }
        for folder in entry_points(files):
            if not folder.startswith("kubernetes/overlays/"):
                below = {path: content for path, content in files.items() if path.startswith(f"{folder}/")}
                found.setdefault(str(below).replace(project.service, "shop"), project.path / folder)
    for number, top in enumerate(found.values()):
        file = tmp_path / f"{number}.yaml"
        objects = build(cluster, file, [top])
        cluster.prepare_for(objects)
        done = cluster.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={file}", check=False)
        assert (done.returncode, done.stderr) == (0, "")
        wait_for_pods(cluster, {item["metadata"]["name"] for item in objects if item["kind"] == "Namespace"})
        assert cluster.kubectl("diff", "--server-side", "--force-conflicts", f"--filename={file}").returncode == 0
    assert found
    count("distinct kustomizations for the cluster applied", len(found))
