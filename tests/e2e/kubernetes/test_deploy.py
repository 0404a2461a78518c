"""Sequences of deploys in one namespace: the live objects are exactly those of the last commit."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.commands import wait_for
from tests.e2e.kubernetes.conftest import Maker
from tests.e2e.kubernetes.control_plane import ControlPlane, Object
from tests.e2e.kubernetes.project import DIGEST, Project
from tests.harness import ANSWERS_FILE, ROOT, Answers, Projects, Space, Template, load_all
from tests.harness.plugin import Count
from tests.harness.space import Value
from tests.options import space_of
from tests.toolchains import tool
from tests.tools.release import released, unpack

FIRST, SECOND, THIRD = "1" * 40, "2" * 40, "3" * 40
STAGING = "staging"
TOP = "kubernetes/base"

CHANGED: dict[str, tuple[Value, ...]] = {
    "autoscaling": (True, False),
    "database": ("none", "postgres", "mysql", "redis"),
    "database_hosting": ("in-cluster", "external"),
    "exposure": ("clusterip", "nodeport", "loadbalancer", "ingress", "gateway"),
    "metrics_port": (9090, 9100),
    "monitoring": (False, True),
    "node_selector": ("", "pool=shop"),
    "port": (8080, 3000),
    "replicas": (2, 5),
    "secrets": ("kubernetes", "external-secrets"),
    "service_port": (80, 8000),
    "tls": (True, False),
}
"""The questions whose answers change what is deployed, and answers of each."""

ASKED_WITH: dict[str, tuple[str, Value]] = {
    "database_hosting": ("database", "postgres"),
    "tls": ("exposure", "ingress"),
}
"""The questions that are asked after certain answers alone, and one of these."""

ROUNDS = 10

TEAM_LABEL = "        name: data\n        labels:\n          team: payments\n"
# Simulated nodes keep no logs.
SILENT = f"""\
#!/bin/sh
case " $* " in *" logs "*) exit 0 ;; esac
exec {tool("kubectl")} "$@"
"""
DERIVED = {"endpoints", "endpointslices", "controllerrevisions", "replicasets", "pods", "jobs", "events"}
DATA = {"PersistentVolumeClaim", "StatefulSet"}
ALLOCATED = ("clusterIP", "clusterIPs", "nodePort", "healthCheckNodePort", "volumeName", "ipFamilies", "ipFamilyPolicy")


def transitions(rows: list[Answers]) -> set[tuple[str, Value, Value]]:
    """The changes of one answer between a deploy and the next."""
    return {
        (name, one[name], other[name])
        for one, other in pairwise(rows)
        for name in CHANGED
        if name in one and name in other and one[name] != other[name]
    }


def all_transitions() -> set[tuple[str, Value, Value]]:
    """From each answer of a question to each other."""
    return {(name, *pair) for name, values in CHANGED.items() for pair in permutations(values, 2)}


def walk(space: Space) -> list[Answers]:
    """Answers of which each follows on those before, until every change of an answer has been made."""
    missing = all_transitions()
    chosen: Answers = {name: values[0] for name, values in CHANGED.items()}
    rows: list[Answers] = []
    while missing:
        given, _ = space.complete({"project_name": "Shop", "customize": True, **chosen})
        rows.append(given)
        missing -= transitions(rows[-2:])
        for index, name in enumerate(CHANGED, 1):
            later = following(name, chosen[name], missing) if name in given else None
            # Other edits with each change, at different intervals, so that they combine.
            cycled = CHANGED[name][len(rows) // index % len(CHANGED[name])]
            chosen[name] = cycled if later is None else later
        for name, (other, value) in ASKED_WITH.items():
            asked = {question for question, _, _ in missing}
            if name in asked and other not in asked:
                chosen[other] = value
        assert len(rows) < 100, missing
    return rows


def shuffled(space: Space, seed: int) -> list[Answers]:
    """Every pair of these answers in a shuffled order: many answers change from each deploy to the next."""
    rows = [answers for answers, _ in space.pairs(list(CHANGED), edge_cases=False)]
    return random.Random(seed).sample(rows, len(rows))  # noqa: S311


def following(name: str, now: Value, missing: set[tuple[str, Value, Value]]) -> Value | None:
    """The answer that is to follow: one by which a change is made, else one from which one can be."""
    left = Counter(before for one, before, _ in missing if one == name)
    direct = [value for value in CHANGED[name] if (name, now, value) in missing]
    away = [value for value in CHANGED[name] if value != now and left[value]]
    return max(direct or away, key=left.__getitem__, default=None)


def rendered(project: Project, tag: str) -> list[Object]:
    """What Kustomize builds of a commit."""
    built = project.cluster.kubectl("kustomize", str(project.path / "kubernetes/overlays" / STAGING)).stdout
    return load_all(
        re.sub(
            "(: )?set-by-make-deploy$",
            lambda found: f': "{tag}"' if found[1] else f"{tag}@{DIGEST}",
            built,
            flags=re.MULTILINE,
        ).encode()
    )


def plain(item: Object, asked: Object) -> Object:
    """An object without what the server allocates, and without the replicas that an autoscaler sets."""

    def reduce(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: reduce(one) for key, one in value.items() if key not in ALLOCATED}
        return [reduce(one) for one in value] if isinstance(value, list) else value

    found: Object = {key: reduce(value) for key, value in item.items() if key not in ("metadata", "status")}
    if item["kind"] == "Deployment" and "replicas" not in asked["spec"]:
        del found["spec"]["replicas"]
    if item["kind"] == "StatefulSet":
        del found["spec"]["volumeClaimTemplates"]  # immutable: claims that exist have the size instead
    labels = item["metadata"].get("labels", {})
    return found | {"labels": {key: value for key, value in labels.items() if not key.endswith("/managed-by")}}


def defaulted(cluster: ControlPlane, asked: Object) -> Object:
    """A fresh object as the server would store it, without storing it: in a namespace without a quota."""
    fresh = json.loads(json.dumps(asked))
    fresh["metadata"] |= {"namespace": "default", "name": f"fresh-{asked['metadata']['name']}"}
    for port in fresh.get("spec", {}).get("ports", []):
        port.pop("nodePort", None)
    path = cluster.path_of(fresh).rpartition("/")[0]
    response = cluster.client.post(path, params={"dryRun": "All"}, json=fresh)
    assert response.status_code == httpx.codes.CREATED, response.text
    found: Object = response.json()
    return found


def labelled(project: Project) -> set[str]:
    """Every object that has the label of staging, but for those that controllers make."""
    found = set()
    cluster = project.cluster
    groups = ["/api/v1", *(f"/apis/{g['preferredVersion']['groupVersion']}" for g in cluster.get("/apis")["groups"])]
    for top in groups:
        for resource in cluster.get(top)["resources"]:
            is_listed = resource["namespaced"] and "list" in resource["verbs"]
            if is_listed and resource["name"] not in DERIVED and not top.startswith("/apis/metrics"):
                path = f"{top}/namespaces/{project.namespace(STAGING)}/{resource['name']}"
                selector = {"labelSelector": f"app.kubernetes.io/instance={project.service}-{STAGING}"}
                found |= {f"{resource['kind']}/{item['metadata']['name']}" for item in cluster.items(path, selector)}
    return found


def assert_runs(project: Project, tag: str) -> None:
    """Assert that the live objects are those of a commit."""
    wanted = [item for item in rendered(project, tag) if item["kind"] != "Job"]
    for asked in wanted:
        live = project.cluster.get(project.cluster.path_of(asked))
        assert plain(live, asked) == plain(defaulted(project.cluster, asked), asked)
    names = {f"{item['kind']}/{item['metadata']['name']}" for item in wanted}
    extra = {name for name in labelled(project) - names if name.partition("/")[0] not in DATA}
    assert not extra
    wait_for(lambda: project.tags(STAGING) == {tag})


def claims(project: Project) -> dict[str, str]:
    """The volume claims that there are, and which each is."""
    path = f"/api/v1/namespaces/{project.namespace(STAGING)}/persistentvolumeclaims"
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in project.cluster.items(path)}


def quicken(project: Project) -> Project:
    """Shorten the deadlines, so that a stuck rollout fails soon."""
    project.edit(f"{TOP}/deployment.yaml", "progressDeadlineSeconds: 600", "progressDeadlineSeconds: 20")
    project.edit(f"{TOP}/deployment.yaml", "minReadySeconds: 5", "minReadySeconds: 0")
    if (project.path / TOP / "migrate-job.yaml").exists():
        project.edit(f"{TOP}/migrate-job.yaml", "backoffLimit: 3", "backoffLimit: 0")
    return project


def deploy(project: Project, tag: str, *, check: bool = True) -> str:
    """Deploy a commit to staging."""
    done = project.make("deploy", check=check, ENVIRONMENT=STAGING, TAG=tag, DATABASE_TIMEOUT="10s")
    assert check or done.returncode
    return done.stdout


@pytest.fixture
def answers() -> dict[str, Value]:
    """A service with a database, which no autoscaler scales."""
    return {"customize": True, "database": "postgres", "replicas": 2, "autoscaling": False}


@pytest.fixture
def project(make_project: Maker, answers: Mapping[str, Value]) -> Project:
    """The service, whose first commit runs in staging."""
    project = quicken(make_project(**answers))
    project.prepare(STAGING)
    deploy(project, FIRST)
    return project


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """With `--exhaustive`, several hundred changes of many answers at once follow."""
    if "order" in metafunc.fixturenames:
        orders = range(ROUNDS if metafunc.config.getoption("exhaustive") else 0)
        metafunc.parametrize("order", ["each answer", *orders])


@pytest.mark.timeout(3600)
def test_every_change_of_an_answer_is_deployed_whole(
    make_project: Maker, space: Space, count: Count, order: str | int
) -> None:
    if isinstance(order, int):
        rows = shuffled(space, order)
    else:
        rows = walk(space)
        assert transitions(rows) == all_transitions()
    project = make_project(**rows[0])
    node_port = 32000 if isinstance(order, str) else 32001 + order
    kept: dict[str, str] = {}
    for number, row in enumerate(rows):
        unique = {"node_port": node_port} if "node_port" in row else {}
        names = ("project_name", "service_name", "namespace", "secret_store")
        row = {key: value for key, value in row.items() if key not in names} | unique  # noqa: PLW2901
        project = make_project.update(project, **row)
        project.prepare(STAGING)
        tag = f"{number:040}"
        deploy(project.as_deployer(STAGING), tag)
        assert_runs(project, tag)
        assert kept.items() <= claims(project).items()
        kept |= claims(project)
    assert kept
    count(f"deploys that follow each other, order: {order}", len(rows))


def test_deploy_of_the_running_release_changes_nothing(project: Project, cluster: ControlPlane) -> None:
    before = cluster.get(cluster.path_of(project.deployment(STAGING) | {"apiVersion": "apps/v1", "kind": "Deployment"}))
    assert f"already runs {FIRST}" in deploy(project, FIRST)
    assert not project.make("diff", ENVIRONMENT=STAGING, TAG=FIRST).stdout
    assert project.deployment(STAGING)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_unavailable_api_group_of_the_cluster_stops_no_deploy(project: Project) -> None:
    """kubectl lists the resources of the others, and its exit status is 1."""
    lists = f'case " $* " in *" api-resources "*) {tool("kubectl")} "$@"; exit 1 ;; esac\n'
    project.stub("kubectl", f'#!/bin/sh\n{lists}exec {tool("kubectl")} "$@"\n')
    assert f"already runs {FIRST}" in deploy(project, FIRST)
    project.stub(
        "kubectl", f'#!/bin/sh\ncase " $* " in *" api-resources "*) exit 1 ;; esac\nexec {tool("kubectl")} "$@"\n'
    )
    assert "does not list its resources" in deploy(project, FIRST, check=False)
    (project.stubs / "kubectl").unlink()


def test_kind_of_the_same_name_in_another_group_is_left_alone(project: Project, cluster: ControlPlane) -> None:
    """Calico, Antrea and Knative have such kinds, which the deployer has no permission to list."""
    names = {"plural": "networkpolicies", "singular": "networkpolicy", "kind": "NetworkPolicy"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "networkpolicies.crd.example.com"},
        "spec": {
            "group": "crd.example.com",
            "names": names,
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    cluster.apply(definition)
    crd = "crd/networkpolicies.crd.example.com"
    cluster.kubectl("wait", "--for=condition=Established", crd)
    assert f"already runs {FIRST}" in deploy(project.as_deployer(STAGING), FIRST)
    cluster.kubectl("delete", crd)


def test_deploy_is_refused_during_a_restore(project: Project, cluster: ControlPlane) -> None:
    namespace = f"--namespace={project.namespace(STAGING)}"
    suspend = '{"spec": {"suspend": true}}'
    cluster.kubectl(namespace, "patch", "cronjob", f"{project.service}-backup", f"--patch={suspend}")
    cluster.kubectl(namespace, "scale", f"deployment/{project.service}", "--replicas=0")
    assert "A restore of" in deploy(project, SECOND, check=False)
    assert project.deployment(STAGING)["spec"]["replicas"] == 0
    cluster.kubectl(namespace, "scale", f"deployment/{project.service}", "--replicas=2")
    deploy(project, SECOND)
    assert_runs(project, SECOND)


def test_rollback_requires_no_diagnostics(project: Project) -> None:
    lists = 'case " $* " in *" get pods "* | *" get events "*) exit 1 ;; esac\n'
    project.stub("kubectl", f'#!/bin/sh\n{lists}exec {tool("kubectl")} "$@"\n')
    assert "was rolled back" in deploy(project, "broken", check=False)
    (project.stubs / "kubectl").unlink()
    assert_runs(project, FIRST)


def test_image_that_cannot_be_pulled_ends_the_migration_before_its_deadline(project: Project) -> None:
    broken = {"ENVIRONMENT": STAGING, "TAG": "unpullable", "START_TIMEOUT": "5"}
    assert "was rolled back" in project.make("deploy", check=False, **broken).stdout
    assert_runs(project, FIRST)


def test_migration_that_has_started_has_its_whole_deadline(project: Project) -> None:
    done = project.make("deploy", ENVIRONMENT=STAGING, TAG="slow", START_TIMEOUT="5")
    assert "activeDeadlineSeconds" not in done.stdout
    assert_runs(project, "slow")


def test_a_deploy_removes_fields_that_kubectl_added(project: Project, cluster: ControlPlane) -> None:
    """Also those that an older version of the scripts left to Helm's updates."""
    name, namespace = f"deployment/{project.service}", f"--namespace={project.namespace(STAGING)}"
    before = project.deployment(STAGING)["spec"]["template"]["spec"]
    cluster.kubectl(namespace, "set", "env", name, "DEBUG=1")
    cluster.kubectl(namespace, "patch", "--field-manager=helm", name, '--patch={"metadata":{"labels":{"old":"1"}}}')
    cluster.kubectl(namespace, "patch", "--field-manager=other", name, '--patch={"metadata":{"labels":{"new":"1"}}}')
    cluster.kubectl(namespace, "annotate", f"service/{project.service}", "team=payments")
    told = project.make("diff", ENVIRONMENT=STAGING, TAG=FIRST).stdout
    assert f"a deploy restores them: service/{project.service} deployment.apps/{project.service}\n" in told
    deployer = project.as_deployer(STAGING)
    once = f'case " $* " in *" replace "*) ! mkdir {project.path.parent}/{project.service}-replaced || exit 1 ;; esac\n'
    project.stub("kubectl", f'#!/bin/sh\n{once}exec {tool("kubectl")} "$@"\n')
    deploy(deployer, FIRST)
    live = project.deployment(STAGING)
    assert live["spec"]["template"]["spec"] == before
    assert {"old", "new"} & live["metadata"]["labels"].keys() == {"new"}
    service = cluster.get(f"/api/v1/namespaces/{project.namespace(STAGING)}/services/{project.service}")
    assert "team" not in service["metadata"]["annotations"]
    assert f"already runs {FIRST}" in deploy(project, FIRST)


def test_an_object_with_an_owner_is_not_pruned(project: Project, cluster: ControlPlane) -> None:
    """An operator, such as KEDA, copies labels to the objects that it creates."""
    namespace = project.namespace(STAGING)
    labels = project.deployment(STAGING)["metadata"]["labels"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": namespace}}
    cluster.apply(owner)
    uid = cluster.get(cluster.path_of(owner))["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "keda", "namespace": namespace, "labels": labels, "ownerReferences": [reference]},
        "spec": {
            "maxReplicas": 2,
            "minReplicas": 2,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": project.service},
        },
    }
    cluster.apply(scaler)
    deploy(project, SECOND)
    assert cluster.get(cluster.path_of(scaler))["metadata"]["name"] == "keda"
    assert f"already runs {SECOND}" in deploy(project, SECOND)


def test_a_pipeline_does_not_replace_a_newer_commit(project: Project) -> None:
    older, newer = "2026-05-01T10:00:00+00:00", "2026-05-02T09:00:00+00:00"
    project.make("deploy", ENVIRONMENT=STAGING, TAG=SECOND, CREATED=newer, CI="true")
    told = project.make("deploy", check=False, ENVIRONMENT=STAGING, TAG=THIRD, CREATED=older, CI="true")
    assert told.returncode
    assert f"runs a newer commit than {THIRD}" in told.stdout
    assert_runs(project, SECOND)
    project.make("deploy", ENVIRONMENT=STAGING, TAG=THIRD, CREATED=older, CI="")
    assert_runs(project, THIRD)


def test_redis_does_not_go_back_over_a_minor_version(make_project: Maker, answers: dict[str, Value]) -> None:
    project = quicken(make_project(**answers | {"database": "redis"}))
    project.prepare(STAGING)
    deploy(project, FIRST)
    path = "kubernetes/database/statefulset.yaml"
    project.edit(path, "redis:8.6", "redis:8.8")
    deploy(project, SECOND)
    done = project.make("rollback", check=False, ENVIRONMENT=STAGING)
    assert done.returncode
    assert "cannot go back to redis 8.6" in done.stdout
    assert "make recover" not in done.stdout
    assert_runs(project, SECOND)


def test_rejected_rollback_changes_nothing_and_a_failed_one_is_recovered(project: Project) -> None:
    deploy(project, SECOND)
    refuse(project, FIRST)
    told = project.make("rollback", check=False, ENVIRONMENT=STAGING).stdout
    assert "rejected the manifests of release 1" in told
    assert_runs(project, SECOND)
    # The API server can change its mind after the dry run.
    project.stub("kubectl", f'#!/bin/sh\ncase " $* " in *" diff "*) exit 0 ;; esac\nexec {tool("kubectl")} "$@"\n')
    told = project.make("rollback", check=False, ENVIRONMENT=STAGING).stdout
    (project.stubs / "kubectl").unlink()
    assert f"make recover ENVIRONMENT={STAGING}" in told
    project.make("recover", ENVIRONMENT=STAGING)
    assert_runs(project, SECOND)


def test_broken_database_of_the_first_release_is_replaced(make_project: Maker, answers: dict[str, Value]) -> None:
    project = quicken(make_project(**answers))
    project.edit("kubernetes/database/statefulset.yaml", "postgres:18-trixie", "postgres:broken")
    project.prepare(STAGING)
    assert "first release" in deploy(project, FIRST, check=False)
    project.edit("kubernetes/database/statefulset.yaml", "postgres:broken", "postgres:18-trixie")
    deploy(project, SECOND)
    assert_runs(project, SECOND)


def test_broken_database_without_a_commit_stops_no_deploy(
    make_project: Maker, project: Project, answers: dict[str, Value], cluster: ControlPlane
) -> None:
    changed = quicken(make_project.update(project, **answers | {"database": "none"}))
    deploy(changed, SECOND)
    namespace = f"--namespace={project.namespace(STAGING)}"
    cluster.kubectl(namespace, "set", "image", f"statefulset/{project.service}-database", "*=postgres:broken")
    deploy(changed, THIRD)
    assert changed.tags(STAGING) == {THIRD}


def test_deploy_shows_changes_that_only_an_administrator_can_apply(
    make_project: Maker, project: Project, answers: dict[str, Value]
) -> None:
    advice = f"make namespace ENVIRONMENT={STAGING}"
    larger = quicken(make_project.update(project, **answers | {"replicas": 3}))
    told = deploy(larger.as_deployer(STAGING), SECOND)
    assert re.search(r"(?m)^-  +limits\.memory: .*\n\+  +limits\.memory: ", told)
    assert advice in told
    larger.make("namespace", ENVIRONMENT=STAGING)
    assert advice not in deploy(larger.as_deployer(STAGING), THIRD)


def test_the_cluster_names_the_version_of_the_template(project: Project, cluster: ControlPlane) -> None:
    pages = (ROOT / "docs/platform-teams.md").read_text()
    (columns,) = re.findall("^kubectl get deployments -A -o (custom-columns)='(.*)'$", pages, re.MULTILINE)
    running = {pod["metadata"]["uid"] for pod in project.pods(STAGING)}
    for line, version in (("_commit: v0.3.0\n", "v0.3.0"), ("_commit: '1.0'\n", "1.0"), ("", "unknown")):
        (project.path / ANSWERS_FILE).write_text(f"# Written by Copier.\n{line}_src_path: gh:example/k8s-starter\n")
        deploy(project, FIRST)
        listed = cluster.kubectl("get", "deployments", "-A", "-o", "=".join(columns)).stdout.splitlines()
        assert [project.namespace(STAGING), project.service, version] in [row.split() for row in listed]
    assert {pod["metadata"]["uid"] for pod in project.pods(STAGING)} == running


BREAKS = ("image", "migration", "database", "quota", "immutable", "definition", "admission")


def break_(project: Project, fault: str) -> str:
    """Give a project one fault, and return the tag that it is deployed with."""
    if fault == "database":
        project.edit("kubernetes/database/statefulset.yaml", "postgres:18-trixie", "postgres:broken")
    if fault == "quota":
        project.edit("kubernetes/database/backup-persistentvolumeclaim.yaml", "-backup", "-backups")
    if fault == "immutable":
        project.edit("kubernetes/database/statefulset.yaml", "serviceName: ", "serviceName: other-")
    if fault == "definition":
        (project.path / TOP / "team.yaml").write_text(
            "apiVersion: example.com/v1\nkind: Team\nmetadata:\n  name: shop\n"
        )
        project.edit(f"{TOP}/kustomization.yaml", "  - service.yaml\n", "  - service.yaml\n  - team.yaml\n")
    if fault == "admission":
        refuse(project, SECOND)
    return {"image": "broken", "migration": "broken-migration"}.get(fault, SECOND)


def refuse(project: Project, tag: str) -> None:
    """Let the API server admit no Deployment of a tag to staging."""
    version = "admissionregistration.k8s.io/v1"
    metadata = {"name": project.namespace(STAGING)}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": metadata["name"]}}
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"]}
    expression = f"!object.spec.template.spec.containers[0].image.contains('{tag}')"
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": selector},
        "validations": [{"expression": expression, "message": "not approved"}],
    }
    project.cluster.apply(
        {"apiVersion": version, "kind": "ValidatingAdmissionPolicy", "metadata": metadata, "spec": policy},
        {
            "apiVersion": version,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": metadata["name"], "validationActions": ["Deny"]},
        },
    )
    wait_for(lambda: "not approved" in project.make("diff", check=False, ENVIRONMENT=STAGING, TAG=tag).stdout)


@pytest.mark.parametrize("fault", BREAKS)
def test_broken_commit_is_rolled_back_and_the_next_is_deployed_completely(
    make_project: Maker, project: Project, answers: dict[str, Value], fault: str
) -> None:
    before = claims(project)
    broken = quicken(make_project.update(project, **answers, port=3000))
    told = deploy(broken, break_(broken, fault), check=False)
    assert "was rolled back" in told or "is unchanged" in told
    same = quicken(make_project.update(project, **answers))
    assert_runs(same, FIRST)
    fixed = quicken(make_project.update(project, **answers, port=3000))
    deploy(fixed, THIRD)
    assert_runs(fixed, THIRD)
    assert claims(project) == before


def test_a_release_of_other_settings_for_the_migration_alone_has_them(
    make_project: Maker, project: Project, answers: dict[str, Value], cluster: ControlPlane
) -> None:
    changed = quicken(make_project.update(project, **answers))
    changed.edit(f"{TOP}/migrate-job.yaml", "activeDeadlineSeconds: 7200", "activeDeadlineSeconds: 3600")
    annotated = "  annotations:\n    team: data\nspec:\n  podSelector:"
    changed.edit(f"{TOP}/migrate-networkpolicy.yaml", "spec:\n  podSelector:", annotated)
    deploy(changed, SECOND)
    assert_runs(changed, SECOND)
    top = f"namespaces/{project.namespace(STAGING)}"
    job = cluster.get(f"/apis/batch/v1/{top}/jobs/{project.service}-migrate")
    assert job["spec"]["activeDeadlineSeconds"] == 3600
    policy = cluster.get(f"/apis/networking.k8s.io/v1/{top}/networkpolicies/{project.service}-migrate")
    assert policy["metadata"]["annotations"]["team"] == "data"
    applied = max(entry["time"] for entry in policy["metadata"]["managedFields"])
    assert applied <= job["metadata"]["creationTimestamp"]


def test_rollback_restores_a_whole_release_and_blocks_no_deploy(
    make_project: Maker, project: Project, answers: dict[str, Value]
) -> None:
    second = quicken(make_project.update(project, **answers | {"database": "none", "port": 3000}))
    deploy(second, SECOND)
    assert_runs(second, SECOND)
    second.make("rollback", ENVIRONMENT=STAGING)
    first = quicken(make_project.update(project, **answers))
    assert_runs(first, FIRST)
    third = quicken(make_project.update(project, **answers, metrics_port=9100))
    deploy(third, THIRD)
    assert_runs(third, THIRD)
    lines = third.make("history", ENVIRONMENT=STAGING).stdout.splitlines()[1:]
    assert [line.split()[-1] if "Rollback" in line else commit for line in lines for commit in [FIRST, SECOND, THIRD]
            if commit in line] == [FIRST, SECOND, "1", THIRD]  # fmt: skip


def test_a_database_without_a_commit_is_kept_until_an_administrator_deletes_it(
    make_project: Maker, project: Project, answers: dict[str, Value]
) -> None:
    changed = quicken(make_project.update(project, **answers | {"database": "none"}))
    told = deploy(changed, SECOND)
    assert claims(changed)
    (command,) = re.findall("To delete both, an administrator runs: kubectl (.*)", told)
    changed.cluster.kubectl(*command.split())
    assert not labelled(changed) & {f"StatefulSet/{project.service}-database"}
    # Simulated volumes are let go of when their pods are.
    wait_for(lambda: not claims(changed))


def test_a_database_is_upgraded_to_a_major_version_before_the_deploy(
    make_project: Maker, project: Project, answers: dict[str, Value], cluster: ControlPlane
) -> None:
    namespace, name = project.namespace(STAGING), f"{project.service}-database"
    claim, path = f"data-{name}-0", f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}"
    before = identities(project)

    cronjobs = ("backup-cronjob", "restore-cronjob", "verify-cronjob")

    def edited(version: str, *files: str) -> Project:
        changed = quicken(make_project.update(project, **answers))
        for file in files:
            changed.edit(f"kubernetes/database/{file}.yaml", "postgres:18-trixie", f"postgres:{version}")
        changed.stub("kubectl", SILENT)
        return changed

    half = edited("19-trixie", "statefulset")
    assert "several major versions of the database: postgres 18, postgres 19." in deploy(half, SECOND, check=False)
    minor = edited("18.1-trixie", "statefulset", *cronjobs)
    deploy(minor, SECOND)
    assert_runs(minor, SECOND)
    major = edited("19-trixie", "statefulset", *cronjobs)
    assert f"make upgrade-database ENVIRONMENT={STAGING} CONFIRM={namespace}" in deploy(major, THIRD, check=False)
    assert "18.1" in image_of_database(cluster.get(path))

    def upgrade(confirmed: str = namespace, *, check: bool = True) -> str:
        variables = {"ENVIRONMENT": STAGING, "TAG": THIRD, "CONFIRM": confirmed, "DATABASE_TIMEOUT": "20s"}
        command = ["make", "upgrade-database", *(f"{name}={value}" for name, value in variables.items())]
        return major.run(*command, check=check).stdout

    assert f"CONFIRM={namespace}" in upgrade("", check=False)
    # More volumes for the claim, as a provisioner makes them when the first is released.
    volume = cluster.get(f"/api/v1/persistentvolumes/{namespace}-{claim}")
    spec = {key: value for key, value in volume["spec"].items() if key != "claimRef"}
    spec["claimRef"] = {"namespace": namespace, "name": claim}

    def provision(number: int) -> None:
        name = f"{namespace}-{number}"
        cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})

    provision(1)
    sound = "image: docker.io/library/postgres:19-trixie"
    major.edit("kubernetes/database/statefulset.yaml", sound, f"{sound}:broken")
    assert "did not start" in upgrade(check=False)
    major.edit("kubernetes/database/statefulset.yaml", f"{sound}:broken", sound)
    provision(2)
    upgrade()
    assert_runs(major, THIRD)
    assert "postgres:19" in image_of_database(cluster.get(path))
    old = cluster.get(f"/api/v1/persistentvolumes/{namespace}-{claim}")
    assert (old["spec"]["persistentVolumeReclaimPolicy"], old["status"]["phase"]) == ("Retain", "Released")
    assert claims(major)[claim] != before[claim]
    assert claims(major)[f"{project.service}-backup"] == before[f"{project.service}-backup"]
    jobs = cluster.items(f"/apis/batch/v1/namespaces/{namespace}/jobs")
    made = {job["metadata"]["name"].split("-")[-2]: job["metadata"]["creationTimestamp"] for job in jobs}
    assert made["backup"] <= cluster.get(path)["metadata"]["creationTimestamp"] <= made["restore"]
    assert major.deployment(STAGING)["spec"]["replicas"] == 2
    assert "is already postgres 19" in upgrade(check=False)
    assert "postgres 18 cannot replace it" in major.make("rollback", check=False, ENVIRONMENT=STAGING).stdout
    assert_runs(major, THIRD)


def image_of_database(stateful_set: Object) -> str:
    """The image that a StatefulSet runs."""
    image: str = stateful_set["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


def test_failed_first_release_is_left_in_place(make_project: Maker, answers: dict[str, Value]) -> None:
    project = quicken(make_project(**answers))
    project.prepare(STAGING)
    assert "first release" in deploy(project, "broken", check=False)
    assert project.tags(STAGING) == {"broken"}
    deploy(project, FIRST)
    assert_runs(project, FIRST)


def test_a_deploy_and_its_rollback_name_the_digest_of_the_commit(project: Project) -> None:
    first, second = (f"sha256:{digit * 64}" for digit in "12")
    image = f"docker.io/acme/{project.service}"
    for tag, digest in ((SECOND, first), (THIRD, second)):
        project.make("deploy", ENVIRONMENT=STAGING, TAG=tag, DIGEST=digest)
        assert image_of(project) == f"{image}:{tag}@{digest}"
    project.make("rollback", ENVIRONMENT=STAGING)
    assert image_of(project) == f"{image}:{SECOND}@{first}"


def test_digest_is_read_from_the_registry_by_default(project: Project) -> None:
    project.stub("docker", '#!/bin/sh\necho "$*" > "${0%/*}/called"\necho manifest\n')
    project.make("deploy", ENVIRONMENT=STAGING, TAG=SECOND, DIGEST="")
    image = f"docker.io/acme/{project.service}:{SECOND}"
    assert (project.stubs / "called").read_text() == f"buildx imagetools inspect --raw {image}\n"
    digest = hashlib.sha256(b"manifest\n").hexdigest()
    assert image_of(project) == f"{image}@sha256:{digest}"
    project.stub("docker", "#!/bin/sh\nexit 1\n")
    assert project.make("deploy", check=False, ENVIRONMENT=STAGING, TAG=THIRD, DIGEST="").returncode
    assert project.tags(STAGING) == {SECOND}


def image_of(project: Project) -> str:
    """The image that the Deployment runs."""
    image: str = project.deployment(STAGING)["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


def sizes(project: Project) -> dict[str, str]:
    """What each claim requests."""
    path = f"/api/v1/namespaces/{project.namespace(STAGING)}/persistentvolumeclaims"
    items = project.cluster.items(path)
    return {item["metadata"]["name"]: item["spec"]["resources"]["requests"]["storage"] for item in items}


def test_volumes_grow_with_their_answer_and_never_shrink(
    make_project: Maker, project: Project, answers: dict[str, Value]
) -> None:
    before, pod = identities(project), database_pod(project)
    larger = quicken(make_project.update(project, **answers, storage_size="50Gi"))
    assert f"make namespace ENVIRONMENT={STAGING}" in deploy(larger.as_deployer(STAGING), SECOND, check=False)
    larger.make("namespace", ENVIRONMENT=STAGING)
    deploy(larger.as_deployer(STAGING), SECOND)
    assert_runs(larger, SECOND)
    assert set(sizes(larger).values()) == {"50Gi"}
    smaller = quicken(make_project.update(project, **answers, storage_size="1Gi"))
    told = deploy(smaller, THIRD, check=False)
    assert "field can not be less than status.capacity" in told
    assert "is unchanged" in told
    smaller.make("rollback", ENVIRONMENT=STAGING)
    assert project.tags(STAGING) == {FIRST}
    assert set(sizes(larger).values()) == {"50Gi"}
    assert (identities(project), database_pod(project)) == (before, pod)


def test_a_volume_can_be_enlarged_at_once(project: Project, cluster: ControlPlane) -> None:
    path = f"/api/v1/namespaces/{project.namespace(STAGING)}/persistentvolumeclaims/data-{project.service}-database-0"
    cluster.patch(path, {"spec": {"resources": {"requests": {"storage": "20Gi"}}}})


@pytest.mark.parametrize("change", ["label", "storage_class"])
def test_immutable_claim_fields_are_unchanged(
    make_project: Maker, project: Project, answers: dict[str, Value], change: str
) -> None:
    before = identities(project)
    more = {} if change == "label" else {"storage_class": "fast"}
    changed = quicken(make_project.update(project, **answers, **more))
    if change == "label":
        path = f"kubernetes/overlays/{STAGING}/kustomization.yaml"
        changed.edit(path, "  - pairs:\n", '  - pairs:\n      cost-center: "4711"\n')
        changed.edit("kubernetes/database/statefulset.yaml", "        name: data\n", TEAM_LABEL)
    deploy(changed, SECOND)
    assert identities(project) == before
    assert ("cost-center" in changed.deployment(STAGING)["metadata"]["labels"]) == (change == "label")


def test_added_autoscaler_keeps_the_number_of_pods(
    make_project: Maker, project: Project, answers: dict[str, Value]
) -> None:
    more = quicken(make_project.update(project, **answers | {"replicas": 5}))
    deploy(more, SECOND)
    scaled = quicken(make_project.update(project, **answers | {"replicas": 2, "autoscaling": True, "max_replicas": 9}))
    scaled.make("namespace", ENVIRONMENT=STAGING)
    with scaled.watched(STAGING) as ready:
        deploy(scaled, THIRD)
    assert min(ready) == 5


def test_removed_autoscaler_keeps_the_number_of_pods(make_project: Maker, answers: dict[str, Value]) -> None:
    """It scales once more before a deploy or a rollback has removed it."""
    project = quicken(make_project(**answers | {"database": "none"}))
    project.prepare(STAGING)
    deploy(project, FIRST)
    make_project.update(project, **answers | {"database": "none", "autoscaling": True, "replicas": 3})
    deploy(quicken(project), SECOND)
    at = f"--namespace={project.namespace(STAGING)}"
    scale = f"{tool('kubectl')} {at} scale deployment/{project.service} --replicas=4"
    project.stub(
        "helm",
        f"""\
#!/bin/sh
{project.cluster.programs["helm"]} "$@" || exit
case $1 in upgrade | rollback) {scale} ;; esac
""",
    )
    deploy(project, THIRD)
    assert project.deployment(STAGING)["spec"]["replicas"] == 4  # those of the autoscaler that stays
    make_project.update(project, **answers | {"database": "none"})
    deploy(quicken(project), "4" * 40)
    assert project.deployment(STAGING)["spec"]["replicas"] == 2
    project.make("rollback", ENVIRONMENT=STAGING, REVISION="3")
    project.make("rollback", ENVIRONMENT=STAGING, REVISION="1")
    assert project.deployment(STAGING)["spec"]["replicas"] == 2


def test_killed_deploy_is_reported_and_recovered(project: Project, cluster: ControlPlane) -> None:
    command = ["make", "deploy", f"ENVIRONMENT={STAGING}", "TAG=broken"]
    with subprocess.Popen(
        command, cwd=project.path, env=project.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        process_group=0,
    ) as killed:  # fmt: skip
        path = f"/api/v1/namespaces/{project.namespace(STAGING)}/configmaps"
        wait_for(lambda: cluster.items(path, {"labelSelector": "owner=helm,status=pending-upgrade"}))
        assert "Another deploy" in deploy(project, SECOND, check=False)
        os.killpg(killed.pid, signal.SIGKILL)
    assert f"make recover ENVIRONMENT={STAGING}" in deploy(project, SECOND, check=False)
    project.make("recover", ENVIRONMENT=STAGING)
    assert_runs(project, FIRST)
    deploy(project, SECOND)
    assert_runs(project, SECOND)


@pytest.fixture(params=released())
def older(
    request: pytest.FixtureRequest,
    cluster: ControlPlane,
    make_project: Maker,
    answers: dict[str, Value],
    tmp_path: Path,
) -> Project:
    """A project of an earlier version, which its own Makefile has deployed twice and rolled back."""
    unpack(request.param, tmp_path)
    template = Template(tmp_path)
    name = make_project(**answers)  # whose folder is not needed
    given = dict(answers) | {key: name.answers[key] for key in ("project_name", "service_name")}
    files = Projects(template, space_of(template)).render(given)
    project = Project(cluster, files, name.path.with_name(f"{name.service}-{request.param}"), given)
    project.prepare(STAGING)
    for tag in (FIRST, SECOND):
        project.make("deploy", ENVIRONMENT=STAGING, TAG=tag)
    project.make("rollback", ENVIRONMENT=STAGING)
    return project


def identities(project: Project) -> dict[str, str]:
    """What must not be deleted: the database, the claims and the Secret."""
    top, name = f"namespaces/{project.namespace(STAGING)}", f"{project.service}-database"
    paths = [f"/apis/apps/v1/{top}/statefulsets/{name}", f"/api/v1/{top}/secrets/{name}"]
    return claims(project) | {path: project.cluster.get(path)["metadata"]["uid"] for path in paths}


def database_pod(project: Project) -> str:
    """The identity of the pod of the database."""
    path = f"/api/v1/namespaces/{project.namespace(STAGING)}/pods/{project.service}-database-0"
    uid: str = project.cluster.get(path)["metadata"]["uid"]
    return uid


@pytest.mark.parametrize("fails", ["", "image", "migration", "definition"])
def test_objects_of_an_older_makefile_are_adopted(
    older: Project, make_project: Maker, answers: dict[str, Value], fails: str
) -> None:
    before = identities(older)
    project = quicken(make_project.update(older, **answers, port=3000))
    project.make("namespace", ENVIRONMENT=STAGING)
    if fails:
        deploy(project.as_deployer(STAGING), break_(project, fails), check=False)
        assert identities(project) == before
        project = quicken(make_project.update(older, **answers, port=3000))
    deploy(project.as_deployer(STAGING), THIRD)
    assert_runs(project, THIRD)
    assert identities(project) == before
