"""Requests and limits of containers, and the quotas and limits of namespaces."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from tests.harness import add, change, rejects, remove
from tests.rules.kubernetes.environment import Environment, Issue, Issues, Pod, environment_rule
from tests.rules.kubernetes.workloads import references

COUNTED = {
    "services": "Service",
    "secrets": "Secret",
    "count/deployments.apps": "Deployment",
    "count/statefulsets.apps": "StatefulSet",
    "count/cronjobs.batch": "CronJob",
    "count/jobs.batch": "Job",
}
"""The quotas of objects, and their kinds."""

SOLVER = {
    "pods": "1", "requests.cpu": "10m", "requests.memory": "64Mi", "limits.memory": "64Mi",
    "services": "1", "services.nodeports": "1",
}  # fmt: skip
"""What cert-manager creates beside an Ingress for an HTTP-01 challenge.
https://github.com/cert-manager/cert-manager/blob/v1.21.2/pkg/issuer/acme/http/"""

DATABASE, OWN = "kubernetes/database/statefulset.yaml", "spec.template.spec.containers.[name=database].resources"
QUOTA, LIMITS = "kubernetes/namespace/resourcequota.yaml", "kubernetes/namespace/limitrange.yaml"
CLAIMS = {"type": "PersistentVolumeClaim"}


def quantity(value: str | float) -> Decimal:
    """The value of a quantity such as 100m or 256Mi."""
    match = re.fullmatch(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)", str(value))
    if not match:
        raise ValueError(f"{value!r} is not a quantity")
    number, unit = match.groups()
    if unit.endswith("i"):
        return Decimal(number) * Decimal(1024) ** ("KMGTPE".index(unit[0]) + 1)
    exponents = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
    return Decimal(number) * Decimal(10) ** exponents[unit]


@rejects("a request above the limit", DATABASE, change(f"{OWN}.limits.memory", "511Mi"))
@rejects("no request for CPU", DATABASE, remove(f"{OWN}.requests.cpu"))
@rejects("no limit of memory", DATABASE, change(f"{OWN}.limits", {"cpu": 1}))
@environment_rule
def every_container_has_requests_and_limits(env: Environment) -> Issues:
    """A container requests CPU and memory, and limits memory, to no less than it requests."""
    for pod in env.pods:
        for container in pod.containers:
            requests, limits = (container.get("resources", {}).get(key, {}) for key in ("requests", "limits"))
            for kind, name, values in (
                ("requests", "cpu", requests),
                ("requests", "memory", requests),
                ("limits", "memory", limits),
            ):
                if name not in values:
                    yield pod.issue(f"{container['name']} has no {name} in {kind}", container, "resources")
            for name in sorted(requests.keys() & limits.keys()):
                if quantity(requests[name]) > quantity(limits[name]):
                    message = f"{container['name']} requests more {name} than its limit"
                    yield pod.issue(message, container, f"resources.requests.{name}")


@rejects("a quota of something unknown", QUOTA, add("spec.hard.'count/pods'", "12"))
@rejects("no quota of requests.cpu", QUOTA, remove("spec.hard.'requests.cpu'"))
@rejects("no quota of requests.memory", QUOTA, remove("spec.hard.'requests.memory'"))
@rejects("no quota of limits.memory", QUOTA, remove("spec.hard.'limits.memory'"))
@rejects("no quota of pods", QUOTA, remove("spec.hard.'pods'"))
@rejects("a quota too small for a rollout", QUOTA, change("spec.hard.pods", "7"))
@rejects("a quota without room for the claim", QUOTA, change("spec.hard.persistentvolumeclaims", "1"))
@rejects("a quota without room for what the claims hold", QUOTA, change("spec.hard.'requests.storage'", "10Gi"))
@rejects("a quota without room for a Service", QUOTA, change("spec.hard.services", "1"))
@rejects(
    "a quota without room for cert-manager's solver",
    QUOTA,
    change("spec.hard.'services.nodeports'", "0"),
    project="go",
)
@rejects("a quota without room for the Secrets", QUOTA, change("spec.hard.secrets", "0"))
@rejects("a quota without room for the CronJobs", QUOTA, change("spec.hard.'count/cronjobs.batch'", "1"))
@rejects("a quota without room for the finished jobs", QUOTA, change("spec.hard.'count/jobs.batch'", "3"))
@rejects("a quota of CPUs too small for a rollout", QUOTA, change("spec.hard.'requests.cpu'", "900m"))
@rejects("a quota of requested memory too small for a rollout", QUOTA, change("spec.hard.'requests.memory'", "2Gi"))
@rejects("a quota of memory too small for a rollout", QUOTA, change("spec.hard.'limits.memory'", "2Gi"))
@environment_rule
def every_quota_admits_a_rollout(env: Environment) -> Issues:
    """A ResourceQuota has room for the most replicas during a rollout, and for every object beside them."""
    for quota in env.of("ResourceQuota"):
        hard, needed = quota["spec"]["hard"], needs(env)
        for name, value in hard.items():
            place = f"spec.hard.'{name}'"
            if name not in needed:
                yield Issue(quota, f"limits {name}, of which this rule does not know how much is needed", place)
            elif needed[name] > quantity(value):
                most = f"{needed[name].normalize():f}"
                message = f"{value} of {name} is less than the {most} that a rollout at full scale needs"
                yield Issue(quota, message, place)
        for name in ("requests.cpu", "requests.memory", "limits.memory", "pods"):
            if name not in hard:
                yield Issue(quota, f"does not limit {name}", "spec.hard")


def needs(env: Environment) -> dict[str, Decimal]:
    """What an environment needs at most, by the names of quotas."""
    found = dict.fromkeys(
        ("pods", "persistentvolumeclaims", "requests.storage", "services.loadbalancers", "services.nodeports",
         "requests.cpu", "requests.memory", "limits.memory"),
        Decimal(0),
    )  # fmt: skip
    for name, kind in COUNTED.items():
        found[name] = Decimal(len(env.of(kind)))
    found["secrets"] += len({ref.name for pod in env.pods for ref in references(pod) if ref.kind == "Secret"})
    # The jobs that a CronJob keeps, and one that runs.
    found["count/jobs.batch"] += sum(
        job["spec"].get("successfulJobsHistoryLimit", 3) + job["spec"].get("failedJobsHistoryLimit", 1) + 1
        for job in env.of("CronJob")
    )
    for pod in env.pods:
        _, copies = env.replicas(pod)
        if pod.owner["kind"] == "Deployment":
            copies *= 2  # those before them may still stop
        found["pods"] += copies
        for kind, name in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            found[f"{kind}.{name}"] += copies * _of_pod(pod, kind, name)
        for claim in pod.owner["spec"].get("volumeClaimTemplates", []):
            found["persistentvolumeclaims"] += copies
            found["requests.storage"] += copies * _storage(claim)
    for claim in env.of("PersistentVolumeClaim"):
        found["persistentvolumeclaims"] += 1
        found["requests.storage"] += _storage(claim)
    for service in env.of("Service"):
        kind = service["spec"].get("type", "ClusterIP")
        takes_ports = service["spec"].get("allocateLoadBalancerNodePorts", True)
        found["services.loadbalancers"] += kind == "LoadBalancer"
        if kind == "NodePort" or (kind == "LoadBalancer" and takes_ports):
            found["services.nodeports"] += len(service["spec"]["ports"])
    for ingress in env.of("Ingress"):
        if "cert-manager.io/cluster-issuer" in ingress["metadata"].get("annotations", {}):
            for name, value in SOLVER.items():
                found[name] += quantity(value)
    return found


def _of_pod(pod: Pod, kind: str, name: str) -> Decimal:
    """What quotas count for a pod: its containers together, or the largest of those that run before them.

    To either come the sidecars that have started by then:
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
    """

    def amount(container: dict[str, Any]) -> Decimal:
        return quantity(container.get("resources", {}).get(kind, {}).get(name, 0))

    sidecars, most = Decimal(0), Decimal(0)
    for container in pod.spec.get("initContainers", []):
        most = max(most, sidecars + amount(container))
        sidecars += amount(container) if container.get("restartPolicy") == "Always" else 0
    return max(most, sidecars + sum(map(amount, pod.spec["containers"]), Decimal(0)))


def _storage(claim: dict[str, Any]) -> Decimal:
    return quantity(claim["spec"]["resources"]["requests"]["storage"])


@rejects("a default request above the default limit", LIMITS, change("spec.limits.0.defaultRequest.memory", "512Mi"))
@rejects("a claim above the maximum", LIMITS, add("spec.limits", CLAIMS | {"max": {"storage": "1Gi"}}))
@rejects("a claim below the minimum", LIMITS, add("spec.limits", CLAIMS | {"min": {"storage": "20Gi"}}))
@environment_rule
def every_size_is_within_the_limit_range(env: Environment) -> Issues:
    """The limits of containers and the sizes of claims lie between the bounds of the LimitRange, as its defaults do."""
    for limits in env.of("LimitRange"):
        for index, item in enumerate(limits["spec"]["limits"]):
            place = f"spec.limits.{index}"
            default = item.get("default", {})
            for name in sorted(item.get("defaultRequest", {}).keys() & default.keys()):
                if quantity(item["defaultRequest"][name]) > quantity(default[name]):
                    yield Issue(limits, f"the default request of {name} is above the default limit", place)
            for what, values in _sizes(env, item):
                for name, value in values.items():
                    if name in item.get("max", {}) and quantity(value) > quantity(item["max"][name]):
                        yield Issue(limits, f"{what} has {name} {value}, above the maximum {item['max'][name]}", place)
                    if name in item.get("min", {}) and quantity(value) < quantity(item["min"][name]):
                        yield Issue(limits, f"{what} has {name} {value}, below the minimum {item['min'][name]}", place)


def _sizes(env: Environment, item: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What a limit is about, with its sizes."""
    if item["type"] == "Container":
        containers = [(pod, container) for pod in env.pods for container in pod.containers]
        found = [(f"{pod.name} {one['name']}", one.get("resources", {}).get("limits", {})) for pod, one in containers]
        return [*found, ("the default", item.get("default", {}))]
    if item["type"] == "PersistentVolumeClaim":
        claims = [claim for pod in env.pods for claim in pod.owner["spec"].get("volumeClaimTemplates", [])]
        claims += env.of("PersistentVolumeClaim")
        return [(f"claim {one['metadata']['name']}", one["spec"]["resources"]["requests"]) for one in claims]
    return []
