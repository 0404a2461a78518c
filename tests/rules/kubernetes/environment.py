"""What a namespace holds once everything is deployed, and the rules of it."""

from __future__ import annotations

import atexit
import functools
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.harness import ANSWERS_FILE, Answers, Failure, Files, Problem, Projects, Rule, Sample, Template
from tests.harness.documents import load, load_all
from tests.harness.rules import failures_of
from tests.harness.template import copy_working_tree
from tests.rules.kubernetes.build import FILE, Built, Outcome, Resource, build_all, join, name_of

PATTERNS = ("kubernetes/*",)
APART = ("kubernetes/cluster/*", "kubernetes/local/*")  # which no overlay takes
UNBUILT = ("kubernetes/README.md", "kubernetes/ci.md", "kubernetes/kops.yaml")


class Issue(NamedTuple):
    """A problem that a rule finds in a resource, with its place."""

    resource: Resource
    message: str
    pointer: str = ""


Issues = Iterator[Issue]


@dataclass(frozen=True, eq=False)
class Pod:
    """The pod template of a workload."""

    owner: Resource
    pointer: str  # to the template, in its owner
    claims: frozenset[str]  # the volumes for which a StatefulSet makes a claim

    @classmethod
    def of(cls, owner: Resource) -> Self:
        """The pod template of a workload."""
        pointer = "spec.jobTemplate.spec.template" if owner["kind"] == "CronJob" else "spec.template"
        claims = frozenset(claim["metadata"]["name"] for claim in owner["spec"].get("volumeClaimTemplates", []))
        return cls(owner, pointer, claims)

    @cached_property
    def template(self) -> dict[str, Any]:
        """Labels and spec."""
        found: dict[str, Any] = self.owner
        for key in self.pointer.split("."):
            found = found[key]
        return found

    @property
    def name(self) -> str:
        """Kind and name of the workload."""
        return name_of(self.owner)

    @property
    def spec(self) -> dict[str, Any]:
        """The spec of each pod."""
        found: dict[str, Any] = self.template["spec"]
        return found

    @property
    def labels(self) -> dict[str, str]:
        """The labels of each pod."""
        return (self.template.get("metadata") or {}).get("labels") or {}

    @property
    def serves(self) -> bool:
        """Whether it runs until it is stopped."""
        return self.owner["kind"] not in ("Job", "CronJob")

    @property
    def containers(self) -> list[dict[str, Any]]:
        """All containers, in the order in which they start."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @cached_property
    def ports(self) -> dict[str | int, dict[str, Any]]:
        """The ports of its containers, by name and by number."""
        found: dict[str | int, dict[str, Any]] = {}
        for container in self.spec["containers"]:
            for port in container.get("ports", []):
                found[port["containerPort"]] = port
                if "name" in port:
                    found[port["name"]] = port
        return found

    def has_port(self, port: str | int, protocol: str = "TCP") -> bool:
        """Whether a container listens there."""
        return port in self.ports and self.ports[port].get("protocol", "TCP") == protocol

    def number(self, port: str | int) -> Any:
        """The number of a port."""
        return self.ports[port]["containerPort"] if port in self.ports else port

    def issue(self, message: str, *place: str | Mapping[str, Any]) -> Issue:
        """A problem at a place in its spec; for a container, at its place."""
        keys = [self.pointer, "spec"]
        for part in place:
            if isinstance(part, str):
                keys.append(part)
            else:
                part_of = "containers" if part in self.spec["containers"] else "initContainers"
                keys += [part_of, f"[name={part['name']}]"]
        return Issue(self.owner, message, ".".join(keys))


@dataclass(eq=False)
class Environment:
    """Everything that one namespace holds once it is deployed; without a name, what is in none."""

    namespace: str
    resources: list[Resource] = field(default_factory=list)

    @cached_property
    def _by_kind(self) -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for resource in self.resources:
            found.setdefault(resource["kind"], []).append(resource)
        return found

    def of(self, *kinds: str) -> list[Resource]:
        """The resources of these kinds."""
        return [resource for kind in kinds for resource in self._by_kind.get(kind, ())]

    def get(self, kind: str, name: str) -> Resource | None:
        """The resource of a kind and name."""
        return next((resource for resource in self.of(kind) if resource["metadata"]["name"] == name), None)

    @cached_property
    def pods(self) -> list[Pod]:
        """The pods of all workloads."""
        return [Pod.of(owner) for owner in self.of("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")]

    def matching(self, labels: Mapping[str, str] | None) -> list[Pod]:
        """The pods with these labels."""
        return [pod for pod in self.pods if (labels or {}).items() <= pod.labels.items()]

    def replicas(self, pod: Pod) -> tuple[int, int]:
        """The least and the most that run, without what a rollout adds."""
        for autoscaler in self.of("HorizontalPodAutoscaler"):
            target = autoscaler["spec"]["scaleTargetRef"]
            if f"{target['kind']}/{target['name']}" == pod.name:
                return autoscaler["spec"].get("minReplicas", 1), autoscaler["spec"]["maxReplicas"]
        replicas = pod.owner["spec"].get("replicas", 1)
        return replicas, replicas


@dataclass(frozen=True, eq=False)
class Tree:
    """The manifests of a project, and what is built of them."""

    files: Files
    read_context: Callable[[], Answers]
    outcome: Outcome

    @cached_property
    def context(self) -> Answers:
        """What templates read of the answers."""
        return self.read_context()

    @cached_property
    def built(self) -> list[Built]:
        """What all entry points build."""
        return [one for built in self.outcome.values() if not isinstance(built, ValueError) for one in built]

    @cached_property
    def environments(self) -> list[Environment]:
        """The namespaces, if everything builds and matches its schema: other rules rely on the shapes."""
        if any(isinstance(built, ValueError) for built in self.outcome.values()) or any(
            one.errors for one in self.built
        ):
            return []
        found: dict[str, list[Built]] = {}
        for one in self.built:
            metadata = one.resource["metadata"]
            is_namespace = one.resource["kind"] == "Namespace"
            found.setdefault(metadata["name"] if is_namespace else metadata.get("namespace", ""), []).append(one)
        return [_environment(name, tuple(resources)) for name, resources in found.items()]

    def problem(self, place: str, issue: Issue) -> Problem:
        """The issue, at the file from which the resource comes."""
        message = f"{place}: {name_of(issue.resource)}: {issue.message}"
        path, number = _source(self.files, issue.resource)
        where = ".".join([*([f"#{number}"] if number else []), issue.pointer]) if issue.pointer else ""
        return Problem(path or place, message, where or name_of(issue.resource))


_environments: dict[tuple[str, tuple[int, ...]], Environment] = {}


def _environment(name: str, built: tuple[Built, ...]) -> Environment:
    """The one environment of equal ones, so that what is known of it is known once."""
    key = (name, tuple([one.number for one in built]))
    if key not in _environments:
        _environments[key] = Environment(name, [one.resource for one in built])
    return _environments[key]


def _source(files: Files, resource: Resource) -> tuple[str, int]:
    """The file that holds a resource, or generates it, and the number of its document."""
    kind, name = resource["kind"], resource["metadata"]["name"]
    for path, content in files.items():
        for number, document in enumerate(load_all(content) if path.endswith(".yaml") else []):
            is_kind = isinstance(document, dict) and document.get("kind") == kind
            # An overlay names its own namespace.
            if is_kind and (document["metadata"].get("name") == name or kind == "Namespace"):
                return path, number
    for path, content in files.items():
        for generator in load(content).get("configMapGenerator", []) if path.endswith(f"/{FILE}") else []:
            if re.fullmatch(f"{re.escape(generator['name'])}(-[a-z0-9]{{10}})?", name) and "behavior" not in generator:
                return join(path.removesuffix(f"/{FILE}"), next(iter(generator.get("envs", [])), FILE)), 0
    return "", 0


class TreeRule(Rule):
    """A rule about what is built: for every triple of answers, or for all where the tests are exhaustive."""

    def check(self, files: Files) -> list[Problem]:
        return list(self.function(_tree(tuple((path, files[path]) for path in files if path[-1] != "/"))))

    def run(self, projects: Projects) -> Iterator[Failure]:
        samples, trees = _trees(projects)
        yield from failures_of(samples, map(self.function, trees))


class EnvironmentRule(TreeRule):
    """A rule about each environment."""

    def __init__(self, function: Callable[[Environment], Issues]) -> None:
        issues = functools.cache(lambda environment: list(function(environment)))

        def of_tree(tree: Tree) -> Iterator[Problem]:
            for environment in tree.environments:
                for issue in issues(environment):
                    yield tree.problem(environment.namespace or "cluster", issue)

        super().__init__(functools.update_wrapper(of_tree, function), PATTERNS)


def environment_rule(function: Callable[[Environment], Issues]) -> EnvironmentRule:
    """A rule about everything that one namespace holds."""
    return EnvironmentRule(function)


def tree_rule(function: Callable[[Tree], Iterable[Problem]]) -> TreeRule:
    """A rule about everything that is built of a project's manifests."""
    return TreeRule(function, PATTERNS)


@functools.lru_cache(maxsize=2)
def _tree(files: tuple[tuple[str, bytes], ...]) -> Tree:
    """One project; every rule asks for the same."""
    manifests = {path: content for path, content in files if path.startswith("kubernetes/") and path not in UNBUILT}
    (outcome,) = build_all([manifests])
    return Tree(manifests, lambda: _context(dict(files)[ANSWERS_FILE]), outcome)


def _context(answers_file: bytes) -> Answers:
    """What templates read of a project's answers."""
    answers = {name: value for name, value in load(answers_file).items() if not name.startswith("_")}
    worker = _template().worker(answers)
    worker._ask()
    return dict(worker._render_context())


@functools.cache
def _template() -> Template:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Template(copy_working_tree(Path(folder.name)))


@functools.cache
def _trees(projects: Projects) -> tuple[list[Sample], list[Tree]]:
    """The trees of all projects, or of a sample, each built; every rule asks for the same."""
    choose = projects.distinct if projects.exhaustive else projects.sample
    samples = choose(*PATTERNS, without=(*APART, *UNBUILT))
    samples += [sample for pattern in APART for sample in choose(pattern)]
    outcomes = build_all([sample.files for sample in samples])
    trees = [
        Tree(sample.files, lambda sample=sample: sample.context, outcome)  # type: ignore[misc]
        for sample, outcome in zip(samples, outcomes, strict=True)
    ]
    projects.count("trees of manifests that Kustomize builds", len(trees))
    projects.count("environments built", sum(len(tree.environments) for tree in trees))
    numbers = {one.number for tree in trees for one in tree.built}
    projects.count("distinct resources that kubeconform validates", len(numbers))
    return samples, trees
