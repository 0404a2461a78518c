"""What Kustomize builds of the manifests, and whether its resources fit each other."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar, overload

import promql_parser

from tests.validators import Finding, Known
from tests.validators.kubernetes_schema import Resource, Schemas

Found = Iterator[tuple[str, str]]  # where, message

# The Secrets that people or `make` put into a namespace, by the end of their name, with their keys.
SECRETS_FROM_OUTSIDE = {
    "-database": {"password"},  # make secret
    "-registry": {".dockerconfigjson"},  # make registry-secret
    "-tls": {"tls.crt", "tls.key"},  # kubectl create secret tls
}
ROLES_OF_EVERY_CLUSTER = {"view", "edit", "admin", "cluster-admin"}
CLUSTER_SCOPED = {
    "ClusterRole", "ClusterRoleBinding", "GatewayClass", "Namespace", "PriorityClass", "StorageClass",
}  # fmt: skip
# The end of the one namespace whose pods may read the node's files: the log agent's.
LOGS = "-logs"
VOLUMES_OF_RESTRICTED_PODS = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip


@dataclass(frozen=True)
class Pod:
    """A pod template and the resource that holds it."""

    owner: Resource
    metadata: dict[str, Any]
    spec: dict[str, Any]
    claims: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return _name(self.owner)

    @property
    def labels(self) -> dict[str, str]:
        return self.metadata.get("labels") or {}

    @property
    def serves(self) -> bool:
        return self.owner["kind"] not in ("Job", "CronJob")

    @property
    def containers(self) -> list[dict[str, Any]]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def ports(self) -> dict[str | int, dict[str, Any]]:
        found: dict[str | int, dict[str, Any]] = {}
        for container in self.spec["containers"]:
            for port in container.get("ports", []):
                found[port["containerPort"]] = port
                if "name" in port:
                    found[port["name"]] = port
        return found

    def has_port(self, port: str | int, protocol: str = "TCP") -> bool:
        return port in self.ports and self.ports[port].get("protocol", "TCP") == protocol

    def number(self, port: str | int) -> Any:
        return self.ports[port]["containerPort"] if port in self.ports else port


@dataclass
class Environment:
    """Everything that one namespace holds once it is deployed."""

    namespace: str
    resources: list[Resource] = field(default_factory=list)

    @cached_property
    def _by_kind(self) -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for resource in self.resources:
            found.setdefault(resource["kind"], []).append(resource)
        return found

    def of(self, *kinds: str) -> list[Resource]:
        return [resource for kind in kinds for resource in self._by_kind.get(kind, ())]

    def ids(self, kinds: tuple[str, ...]) -> tuple[int, ...]:
        if kinds not in self._ids:
            self._ids[kinds] = tuple([id(resource) for kind in kinds for resource in self._by_kind.get(kind, ())])
        return self._ids[kinds]

    @cached_property
    def _ids(self) -> dict[tuple[str, ...], tuple[int, ...]]:
        return {}

    def get(self, kind: str, name: str) -> Resource | None:
        return next((resource for resource in self.of(kind) if resource["metadata"]["name"] == name), None)

    @cached_property
    def pods(self) -> list[Pod]:
        return [_pod(owner) for owner in self.of("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")]

    @cached_property
    def hosts(self) -> dict[str, Resource]:
        """The hosts under which it answers."""
        return {host: resource for resource in self.of("Ingress", "HTTPRoute") for host in _hosts(resource)}

    def matching(self, labels: Mapping[str, str] | None) -> list[Pod]:
        return [pod for pod in self.pods if (labels or {}).items() <= pod.labels.items()]

    def replicas(self, pod: Pod) -> tuple[int, int]:
        """The least and the most that run, without what a rollout adds."""
        for autoscaler in self.of("HorizontalPodAutoscaler"):
            spec = autoscaler["spec"]
            if (spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]) == (
                pod.owner["kind"],
                pod.owner["metadata"]["name"],
            ):
                return spec.get("minReplicas", 1), spec["maxReplicas"]
        replicas = pod.owner["spec"].get("replicas", 1)
        return replicas, replicas


class _Read(Environment):
    """An environment that notes the kinds that are read of it."""

    def __init__(self, environment: Environment, note: Callable[[tuple[str, ...]], None]) -> None:
        super().__init__(environment.namespace, environment.resources)
        self._note = note

    def of(self, *kinds: str) -> list[Resource]:
        self._note(kinds)
        return super().of(*kinds)


def _pod(owner: Resource) -> Pod:
    spec = owner["spec"]
    if owner["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template = spec["template"]
    claims = frozenset(claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", []))
    return Pod(owner, template.get("metadata") or {}, template["spec"], claims)


def _name(resource: Resource) -> str:
    return f"{resource['kind']}/{resource['metadata']['name']}"


def _identity(resource: Resource) -> tuple[str, str, str]:
    """By which a cluster, and Kustomize, tell the resources of a namespace apart."""
    return resource["apiVersion"].rpartition("/")[0], resource["kind"], resource["metadata"]["name"]


class Built(Sequence[Resource]):
    """What the entry points of a tree build; entry points that build the same are one object, so is what they make."""

    _together: ClassVar[dict[tuple[int, ...], tuple[object, Environment]]] = {}
    _apart: ClassVar[dict[int, tuple[object, list[Environment]]]] = {}

    def __init__(self, entries: Iterable[list[Resource]]) -> None:
        self.entries = tuple(entries)

    def __iter__(self) -> Iterator[Resource]:
        return itertools.chain.from_iterable(self.entries)

    def __len__(self) -> int:
        return sum(map(len, self.entries))

    @overload
    def __getitem__(self, index: int) -> Resource: ...
    @overload
    def __getitem__(self, index: slice) -> list[Resource]: ...
    def __getitem__(self, index: int | slice) -> Resource | list[Resource]:
        return list(self)[index]

    def environments(self) -> list[Environment]:
        """The namespaces, each with what all entry points have for it."""
        parts: dict[str, list[Environment]] = {}
        for entry in self.entries:
            if id(entry) not in self._apart:
                # Kept with the entry, so that no other ever has its id.
                self._apart[id(entry)] = (entry, _environments(entry))
            for environment in self._apart[id(entry)][1]:
                parts.setdefault(environment.namespace, []).append(environment)
        return [self._joined(name, same) for name, same in parts.items()]

    def _joined(self, name: str, parts: list[Environment]) -> Environment:
        if len(parts) == 1:
            return parts[0]
        key = tuple(map(id, parts))
        if key not in self._together:
            whole = Environment(name, [resource for part in parts for resource in part.resources])
            self._together[key] = (parts, whole)
        return self._together[key][1]


def environments(resources: Iterable[Resource]) -> list[Environment]:
    """What each namespace holds."""
    return resources.environments() if isinstance(resources, Built) else _environments(resources)


def _environments(resources: Iterable[Resource]) -> list[Environment]:
    found: dict[str, Environment] = {}
    for resource in resources:
        name = (
            resource["metadata"]["name"]
            if resource["kind"] == "Namespace"
            else resource["metadata"].get("namespace", "")
        )
        found.setdefault(name, Environment(name)).resources.append(resource)
    return list(found.values())


def check_resources(resources: Iterable[Resource], schemas: Iterable[Schemas]) -> list[Finding]:
    """Everything about what Kustomize built."""
    return Checker(schemas).check(resources)


class Checker:
    """Runs the schemas once for each resource, and each other check once for all that is equal in what it reads.

    Resources and environments are equal when they are one object, as those that `Fragments` gives are.
    """

    def __init__(self, schemas: Iterable[Schemas]) -> None:
        self._schemas = list(schemas)
        self._valid: dict[int, tuple[Resource, list[Finding]]] = {}
        self._shapes: dict[int, tuple[Environment, list[Finding]]] = {}
        self._fitting: dict[int, tuple[Environment, list[Finding]]] = {}
        self._known: dict[tuple[str, str], Known[tuple[str, ...]]] = {}

    def check(self, resources: Iterable[Resource]) -> list[Finding]:
        """Schemas first: the other checks count on their shapes."""
        found = environments(resources)
        if findings := [finding for environment in found for finding in self._once(self._shapes, environment)]:
            return list(dict.fromkeys(findings))
        findings = [finding for environment in found for finding in self._once(self._fitting, environment)]
        hosts: dict[str, str] = {}
        for environment in found:
            for host, resource in environment.hosts.items():
                if hosts.setdefault(host, environment.namespace) != environment.namespace:
                    message = f"answers under {host}, as {hosts[host]} does"
                    findings.append(Finding(environment.namespace, _name(resource), "hosts", message))
        return findings

    def _once(self, known: dict[int, tuple[Environment, list[Finding]]], environment: Environment) -> list[Finding]:
        if id(environment) not in known:
            find = self._has_errors if known is self._shapes else self._fits
            known[id(environment)] = (environment, list(find(environment)))
        return known[id(environment)][1]

    def _has_errors(self, environment: Environment) -> Iterator[Finding]:
        return (finding for resource in environment.resources for finding in self._errors(resource))

    def _fits(self, environment: Environment) -> Iterator[Finding]:
        for (_, kind, name), number in Counter(map(_identity, environment.resources)).items():
            if number > 1:
                message = f"there are {number} of it"
                yield Finding(environment.namespace or "cluster", f"{kind}/{name}", "duplicates", message)
        if environment.namespace:
            for check in CHECKS:
                yield from self._find(check, environment)
        else:
            for resource in environment.resources:
                if resource["kind"] not in CLUSTER_SCOPED:
                    yield Finding("cluster", _name(resource), "namespaced", "has no namespace")

    def _errors(self, resource: Resource) -> list[Finding]:
        if id(resource) not in self._valid:
            # Kept with the resource, so that no other ever has its id.
            metadata = resource.get("metadata", {})
            where = f"{resource.get('kind')}/{metadata.get('name')}"
            errors = dict.fromkeys(error for schema in self._schemas for error in schema.errors(resource))
            self._valid[id(resource)] = (
                resource,
                [Finding(metadata.get("namespace") or "cluster", where, "schema", error) for error in errors],
            )
        return self._valid[id(resource)][1]

    def _find(self, name: str, environment: Environment) -> list[Finding]:
        def run(note: Callable[[tuple[str, ...]], None]) -> list[Finding]:
            found = CHECKS[name](_Read(environment, note))
            return [Finding(environment.namespace, where, name, message) for where, message in found]

        return self._known.setdefault((name, environment.namespace), Known()).find(environment.ids, run)


def _hosts(resource: Resource) -> set[str]:
    spec = resource["spec"]
    rules = {rule["host"] for rule in spec.get("rules", []) if "host" in rule}
    return (
        rules | {host for tls in spec.get("tls", []) for host in tls.get("hosts", [])} | set(spec.get("hostnames", []))
    )


def _selectors(env: Environment) -> Found:
    for pod in env.pods:
        if pod.serves:
            selector = pod.owner["spec"]["selector"].get("matchLabels", {})
            if not selector or not selector.items() <= pod.labels.items():
                yield pod.name, f"its selector {selector} does not match its pods' labels {pod.labels}"
            elif len(env.matching(selector)) > 1:
                yield (
                    pod.name,
                    f"its selector {selector} matches the pods of {[other.name for other in env.matching(selector)]}",
                )
            extra = selector.keys() - {"app.kubernetes.io/name"}
            if extra:
                yield pod.name, f"its selector, which can never change, holds {', '.join(sorted(extra))}"


def _services(env: Environment) -> Found:
    for service in env.of("Service"):
        spec = service["spec"]
        pods = env.matching(spec["selector"]) if spec.get("selector") else []
        if len(pods) != 1:
            yield _name(service), f"selects the pods of {[pod.name for pod in pods] or 'nothing'}"
        names = [port.get("name") for port in spec.get("ports", [])]
        if not names or len(set(names)) < len(names):
            yield _name(service), f"has no ports, or two of one name: {names}"
        for pod in pods:
            for port in spec.get("ports", []):
                target = port.get("targetPort", port["port"])
                if not pod.has_port(target, port.get("protocol", "TCP")):
                    yield _name(service), f"port {port['port']} goes to {target}, which is no port of {pod.name}"


def _stateful_sets(env: Environment) -> Found:
    for owner in env.of("StatefulSet"):
        service = env.get("Service", owner["spec"].get("serviceName", ""))
        if not service or service["spec"].get("clusterIP") != "None":
            yield _name(owner), f"serviceName {owner['spec'].get('serviceName')!r} is no headless Service"
        elif _pod(owner) not in env.matching(service["spec"].get("selector")):
            yield _name(owner), f"{_name(service)} does not select its pods"


def _backends(env: Environment) -> Found:
    for ingress in env.of("Ingress"):
        hosts = {host for tls in ingress["spec"].get("tls", []) for host in tls.get("hosts", [])}
        for rule in ingress["spec"].get("rules", []):
            if hosts and rule.get("host") not in hosts:
                yield _name(ingress), f"{rule.get('host')} has no TLS"
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                yield from _backend(
                    env, ingress, backend["name"], backend["port"].get("name") or backend["port"].get("number")
                )
        for host in hosts - {rule.get("host") for rule in ingress["spec"].get("rules", [])}:
            yield _name(ingress), f"has TLS for {host} but no rule"
    for route in env.of("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", []):
                yield from _backend(env, route, backend["name"], backend["port"])


def _backend(env: Environment, user: Resource, name: str, port: str | int) -> Found:
    service = env.get("Service", name)
    if not service:
        yield _name(user), f"there is no Service {name}"
    elif port not in [value for item in service["spec"]["ports"] for value in (item["port"], item.get("name"))]:
        yield _name(user), f"Service {name} has no port {port}"


def _autoscalers(env: Environment) -> Found:
    for autoscaler in env.of("HorizontalPodAutoscaler"):
        spec = autoscaler["spec"]
        target = spec["scaleTargetRef"]
        owner = env.get(target["kind"], target["name"])
        if not owner or owner["apiVersion"] != target.get("apiVersion"):
            yield _name(autoscaler), f"there is no {target.get('apiVersion')} {target['kind']} {target['name']}"
            continue
        if "replicas" in owner["spec"]:
            yield _name(autoscaler), f"{_name(owner)} sets replicas too: each deploy would undo the scaling"
        if spec.get("minReplicas", 1) > spec["maxReplicas"]:
            yield _name(autoscaler), f"minReplicas {spec['minReplicas']} is above maxReplicas {spec['maxReplicas']}"
        if not spec.get("metrics"):
            yield _name(autoscaler), "scales by nothing"
        for metric in spec.get("metrics", []):
            if metric["type"] == "Resource":
                name = metric["resource"]["name"]
                for container in _pod(owner).spec["containers"]:
                    if name not in container.get("resources", {}).get("requests", {}):
                        yield _name(autoscaler), f"container {container['name']} requests no {name}"


def _disruption_budgets(env: Environment) -> Found:
    for budget in env.of("PodDisruptionBudget"):
        spec = budget["spec"]
        pods = env.matching(spec.get("selector", {}).get("matchLabels") or {"": ""})
        if len(pods) != 1:
            yield _name(budget), f"selects the pods of {[pod.name for pod in pods] or 'nothing'}"
        if ("minAvailable" in spec) == ("maxUnavailable" in spec):
            yield _name(budget), "sets not exactly one of minAvailable and maxUnavailable"
            continue
        for pod in pods:
            least, _ = env.replicas(pod)
            allowed = (
                _share(spec["maxUnavailable"], least)
                if "maxUnavailable" in spec
                else least - _share(spec["minAvailable"], least)
            )
            if allowed < 1:
                yield _name(budget), f"with {least} replicas no pod may ever be evicted, so no node can be drained"


def _share(value: int | str, of: int) -> int:
    return value if isinstance(value, int) else -(-int(value.rstrip("%")) * of // 100)


def _network_policies(env: Environment) -> Found:
    for policy in env.of("NetworkPolicy"):
        spec = policy["spec"]
        chosen = spec["podSelector"].get("matchLabels")
        pods = env.matching(chosen)
        if chosen and not pods:
            yield _name(policy), f"its podSelector {chosen} matches no pod"
        for direction in ("ingress", "egress"):
            if direction in spec and direction.capitalize() not in spec.get("policyTypes", []):
                yield _name(policy), f"policyTypes does not hold {direction.capitalize()}"
            for rule in spec.get(direction, []):
                peers = [peer for item in rule.get("from", rule.get("to", [])) for peer in _peers(env, item)]
                for item in rule.get("from", rule.get("to", [])):
                    if "podSelector" in item and "namespaceSelector" not in item and not _peers(env, item):
                        yield _name(policy), f"{direction}: {item['podSelector']} matches no pod"
                if not rule.get("ports"):
                    yield _name(policy), f"{direction}: opens every port"
                for port in rule.get("ports", []):
                    for pod in pods if direction == "ingress" and chosen else peers if direction == "egress" else []:
                        if not pod.has_port(port["port"], port.get("protocol", "TCP")):
                            yield _name(policy), f"{direction}: {port['port']} is no port of {pod.name}"


def _peers(env: Environment, peer: dict[str, Any]) -> list[Pod]:
    """The pods of this namespace that a peer names."""
    if "podSelector" not in peer or "namespaceSelector" in peer:
        return []
    return env.matching(peer["podSelector"].get("matchLabels"))


def _allowed(env: Environment, source: Pod, target: Pod, port: str | int) -> Found:
    """Both the way out of one pod and the way into the other are open."""
    for pod, other, direction in ((source, target, "Egress"), (target, source, "Ingress")):
        policies = [
            policy["spec"]
            for policy in env.of("NetworkPolicy")
            if pod in env.matching(policy["spec"]["podSelector"].get("matchLabels"))
            and direction in policy["spec"]["policyTypes"]
        ]
        key = "to" if direction == "Egress" else "from"
        if policies and not any(
            (key not in rule or any(other in _peers(env, peer) for peer in rule[key]))
            and (
                "ports" not in rule or any(target.number(item["port"]) == target.number(port) for item in rule["ports"])
            )
            for policy in policies
            for rule in policy.get(direction.lower(), [])
        ):
            yield (
                pod.name,
                f"no NetworkPolicy lets {source.name} reach {target.name} on port {port} ({direction.lower()})",
            )


def _dependencies(env: Environment) -> Found:
    """Every host that a pod is told to use is a Service here, its port is right, and the network lets them talk."""
    for pod in env.pods:
        for container in pod.containers:
            values = environment_of(env, container)
            for name, host in values.items():
                if not name.endswith("_HOST") or name.startswith("MYSQL_"):
                    continue
                service = env.get("Service", host)
                port = values.get(name.removesuffix("HOST") + "PORT")
                if not service and "." in host:
                    yield from _leaves(env, pod, name, port)
                    continue
                if not service:
                    yield pod.name, f"{name}: there is no Service {host}"
                    continue
                ports = {str(item["port"]): item.get("targetPort", item["port"]) for item in service["spec"]["ports"]}
                if port not in ports:
                    yield pod.name, f"{name}: Service {host} has no port {port}"
                    continue
                for target in env.matching(service["spec"].get("selector")):
                    yield from _allowed(env, pod, target, ports[port])
                yield from _resolves_names(env, pod)


def _leaves(env: Environment, pod: Pod, name: str, port: str | None) -> Found:
    """The network lets the pod reach any address on the port, where a host outside the cluster is."""
    open_ports = {
        str(item["port"])
        for policy in env.of("NetworkPolicy")
        if pod in env.matching(policy["spec"]["podSelector"].get("matchLabels"))
        for rule in policy["spec"].get("egress", [])
        if any("ipBlock" in peer for peer in rule.get("to", []))
        for item in rule.get("ports", [])
    }
    if port not in open_ports:
        yield pod.name, f"{name}: no NetworkPolicy lets it leave the cluster on port {port}"


def _resolves_names(env: Environment, pod: Pod) -> Found:
    policies = [
        policy["spec"]
        for policy in env.of("NetworkPolicy")
        if pod in env.matching(policy["spec"]["podSelector"].get("matchLabels"))
        and "Egress" in policy["spec"]["policyTypes"]
    ]
    open_ports = {
        (port["port"], port.get("protocol", "TCP"))
        for policy in policies
        for rule in policy.get("egress", [])
        for port in rule.get("ports", [])
        if any("namespaceSelector" in peer for peer in rule.get("to", []))
    }
    if policies and not {(53, "UDP"), (53, "TCP")} <= open_ports:
        yield pod.name, "no NetworkPolicy lets it ask the cluster's DNS"


def environment_of(env: Environment, container: dict[str, Any]) -> dict[str, str]:
    values: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if config := env.get("ConfigMap", source.get("configMapRef", {}).get("name", "")):
            values.update(config.get("data", {}))
    values.update({item["name"]: item["value"] for item in container.get("env", []) if "value" in item})
    return values


def _references(env: Environment) -> Found:
    """Every ConfigMap, Secret, ServiceAccount, claim and key that a pod names exists."""
    for pod in env.pods:
        for kind, name, keys in _named(pod):
            if kind == "Secret":
                known = next((keys for end, keys in SECRETS_FROM_OUTSIDE.items() if name.endswith(end)), None)
                made = env.get(kind, name)
                has = set(made.get("data", {})) | set(made.get("stringData", {})) if made else known
            else:
                made = env.get(kind, name)
                has = set(made.get("data", {})) if made else None
            if has is None:
                yield pod.name, f"there is no {kind} {name}"
            elif keys - has:
                yield pod.name, f"{kind} {name} has no key {', '.join(sorted(keys - has))}"
    for account in env.of("ServiceAccount"):
        for secret in account.get("imagePullSecrets", []):
            if not any(secret["name"].endswith(end) for end in SECRETS_FROM_OUTSIDE):
                yield _name(account), f"there is no Secret {secret['name']}"
    for ingress in env.of("Ingress"):
        for tls in ingress["spec"].get("tls", []):
            if not any(tls.get("secretName", "").endswith(end) for end in SECRETS_FROM_OUTSIDE):
                yield _name(ingress), f"there is no Secret {tls.get('secretName')}"


def _named(pod: Pod) -> Iterator[tuple[str, str, set[str]]]:
    """Kind, name and keys of what a pod refers to."""
    if "serviceAccountName" in pod.spec:
        yield "ServiceAccount", pod.spec["serviceAccountName"], set()
    for secret in pod.spec.get("imagePullSecrets", []):
        yield "Secret", secret["name"], set()
    for container in pod.containers:
        for source in container.get("envFrom", []):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in source and not source[key].get("optional"):
                    yield kind, source[key]["name"], set()
        for item in container.get("env", []):
            for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if key in item.get("valueFrom", {}) and not item["valueFrom"][key].get("optional"):
                    yield kind, item["valueFrom"][key]["name"], {item["valueFrom"][key]["key"]}
    for volume in pod.spec.get("volumes", []):
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            for key, kind, name in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
                if key in source and not source[key].get("optional"):
                    yield (
                        kind,
                        source[key].get(name) or source[key]["name"],
                        {item["key"] for item in source[key].get("items", [])},
                    )
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], set()


def _orphans(env: Environment) -> Found:
    used = {(kind, name) for pod in env.pods for kind, name, _ in _named(pod)}
    used |= {
        (subject["kind"], subject["name"])
        for binding in env.of("RoleBinding", "ClusterRoleBinding")
        for subject in binding.get("subjects", [])
    }
    for resource in env.of("ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim"):
        if resource["kind"] == "ConfigMap" and "grafana_dashboard" in resource["metadata"].get("labels", {}):
            continue
        if (resource["kind"], resource["metadata"]["name"]) not in used:
            yield _name(resource), "nothing uses it"


def _volumes(env: Environment) -> Found:
    for pod in env.pods:
        declared = [volume["name"] for volume in pod.spec.get("volumes", [])] + sorted(pod.claims)
        mounted = {mount["name"] for container in pod.containers for mount in container.get("volumeMounts", [])}
        if len(set(declared)) < len(declared):
            yield pod.name, f"two volumes of one name: {declared}"
        for name in sorted(mounted - set(declared)):
            yield pod.name, f"mounts the volume {name}, which it does not have"
        for name in sorted(set(declared) - mounted):
            yield pod.name, f"has the volume {name}, which nothing mounts"
        for container in pod.containers:
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            if len(set(paths)) < len(paths):
                yield pod.name, f"{container['name']} mounts two volumes at one path: {paths}"


def _probes(env: Environment) -> Found:
    for pod in env.pods:
        for container in pod.spec["containers"] if pod.serves else []:
            ports = {
                value for port in container.get("ports", []) for value in (port["containerPort"], port.get("name"))
            }
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind)
                if not probe:
                    yield pod.name, f"{container['name']} has no {kind}"
                    continue
                for action in ("httpGet", "tcpSocket", "grpc"):
                    if action in probe and probe[action]["port"] not in ports:
                        yield pod.name, f"the {kind} of {container['name']} asks {probe[action]['port']}, no port of it"
            live, ready = (
                container.get(kind, {}).get("httpGet", {}).get("path") for kind in ("livenessProbe", "readinessProbe")
            )
            if live and live == ready and pod.owner["kind"] != "DaemonSet":
                yield pod.name, f"liveness and readiness of {container['name']} ask the same {live}"
            grace = pod.spec.get("terminationGracePeriodSeconds", 30)
            pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            if container.get("lifecycle") and grace < pause + 20:
                yield pod.name, f"{grace} s are too short for a pause of {pause} s and 20 s of running requests"


def quantity(value: str | float) -> Decimal:
    match = re.fullmatch(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)", str(value))
    if not match:
        raise ValueError(f"{value!r} is not a quantity")
    number, unit = match.groups()
    if unit.endswith("i"):
        return Decimal(number) * Decimal(1024) ** ("KMGTPE".index(unit[0]) + 1)
    exponents = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
    return Decimal(number) * Decimal(10) ** exponents[unit]


def _resources(env: Environment) -> Found:
    for pod in env.pods:
        for container in pod.containers:
            requests, limits = (container.get("resources", {}).get(key, {}) for key in ("requests", "limits"))
            for key, values in (("requests", requests), ("limits", limits)):
                for name in {"cpu", "memory"} if key == "requests" else {"memory"}:
                    if name not in values:
                        yield pod.name, f"{container['name']} has no {name} in {key}"
            for name in requests.keys() & limits.keys():
                if quantity(requests[name]) > quantity(limits[name]):
                    yield pod.name, f"{container['name']} requests more {name} than its limit"


def _restricted(env: Environment) -> Found:
    """The Pod Security Standard "restricted", and a little more."""
    for namespace in env.of("Namespace"):
        labels = namespace["metadata"].get("labels", {})
        if (
            env.pods
            and not env.namespace.endswith(LOGS)
            and labels.get("pod-security.kubernetes.io/enforce") != "restricted"
        ):
            yield _name(namespace), "does not enforce the restricted Pod Security Standard"
    for pod in env.pods:
        spec, context = pod.spec, pod.spec.get("securityContext", {})
        for key in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
            if spec.get(key):
                yield pod.name, f"sets {key}"
        for volume in spec.get("volumes", []):
            kinds = volume.keys() - {"name"}
            if not kinds <= VOLUMES_OF_RESTRICTED_PODS | ({"hostPath"} if env.namespace.endswith(LOGS) else set()):
                yield pod.name, f"volume {volume['name']} is {', '.join(sorted(kinds))}"
        if spec.get("automountServiceAccountToken") is not False:
            yield pod.name, "mounts the token of its ServiceAccount"
        for container in pod.containers:
            own = container.get("securityContext", {})
            both = {**context, **own}
            capabilities = own.get("capabilities", {})
            problems = {
                "may run as root": not env.namespace.endswith(LOGS)
                and (
                    both.get("runAsNonRoot") is not True
                    or not isinstance(both.get("runAsUser"), int)
                    or both["runAsUser"] == 0
                ),
                "runs in group 0": not env.namespace.endswith(LOGS) and both.get("runAsGroup", 0) == 0,
                "has no seccomp profile": both.get("seccompProfile", {}).get("type")
                not in ("RuntimeDefault", "Localhost"),
                "may gain privileges": own.get("allowPrivilegeEscalation") is not False or bool(own.get("privileged")),
                "keeps capabilities": capabilities.get("drop") != ["ALL"] or bool(capabilities.get("add")),
                "can write to its root file system": own.get("readOnlyRootFilesystem") is not True,
                "opens a port of the node": any("hostPort" in port for port in container.get("ports", [])),
            }
            yield from ((pod.name, f"{container['name']} {problem}") for problem, is_so in problems.items() if is_so)


def _images(env: Environment) -> Found:
    for pod in env.pods:
        for container in pod.containers:
            image = container.get("image", "")
            tag = image.split("@")[0].rsplit("/", 1)[-1].partition(":")[2]
            if "@sha256:" not in image and tag in ("", "latest"):
                yield pod.name, f"{container['name']} runs {image or 'no image'}, which names no version"


def _secrets(env: Environment) -> Found:
    for secret in env.of("Secret"):
        if secret.get("data") or secret.get("stringData"):
            yield _name(secret), "holds a secret that everybody can read in the repository"
    for resource in env.of("ConfigMap"):
        for name, value in resource.get("data", {}).items():
            yield from ((_name(resource), f"{name} holds a secret") for _ in _literal_secret(name, value))
    for pod in env.pods:
        for container in pod.containers:
            for item in container.get("env", []):
                yield from (
                    (pod.name, f"{item['name']} holds a secret")
                    for _ in _literal_secret(item["name"], item.get("value", ""))
                )


def _literal_secret(name: str, value: str) -> Iterator[str]:
    if re.search(r"(?i)passw(or)?d|secret|token|api_?key", name) and value and not value.startswith("/"):
        yield value


def _spread(env: Environment) -> Found:
    for pod in env.pods:
        rules = list(pod.spec.get("topologySpreadConstraints", []))
        for affinity in pod.spec.get("affinity", {}).values():
            terms = [term for item in affinity.values() if isinstance(item, list) for term in item]
            rules += [term.get("podAffinityTerm", term) for term in terms]
        for rule in rules:
            labels = rule.get("labelSelector", {}).get("matchLabels")
            if labels is not None and not labels.items() <= pod.labels.items():
                yield pod.name, f"spreads over pods with {labels}, which it does not have"


def _roles(env: Environment) -> Found:
    for binding in env.of("RoleBinding"):
        reference = binding["roleRef"]
        known = (
            reference["name"] in ROLES_OF_EVERY_CLUSTER
            if reference["kind"] == "ClusterRole"
            else env.get("Role", reference["name"])
        )
        if not known:
            yield _name(binding), f"there is no {reference['kind']} {reference['name']}"
        for subject in binding.get("subjects", []):
            if (
                subject["kind"] == "ServiceAccount"
                and subject.get("namespace") == env.namespace
                and not env.get("ServiceAccount", subject["name"])
            ):
                yield _name(binding), f"there is no ServiceAccount {subject['name']}"
    for role in env.of("Role"):
        for rule in role.get("rules", []):
            if "*" in [*rule.get("verbs", []), *rule.get("resources", []), *rule.get("apiGroups", [])]:
                yield _name(role), "allows everything of a kind"


def _quota(env: Environment) -> Found:
    """The quota admits the most replicas during a rollout, and every object beside them."""
    for quota in env.of("ResourceQuota"):
        hard = quota["spec"]["hard"]
        needed = _needs(env)
        for name, value in hard.items():
            if name not in needed:
                yield _name(quota), f"limits {name}, which this check does not know"
            elif needed[name] > quantity(value):
                yield (
                    _name(quota),
                    f"{name}: {value} is less than the {needed[name].normalize():f} that a rollout at full scale needs",
                )
        for name in ("requests.cpu", "requests.memory", "limits.memory", "pods"):
            if name not in hard:
                yield _name(quota), f"does not limit {name}"


COUNTED = {
    "services": "Service",
    "secrets": "Secret",
    "count/deployments.apps": "Deployment",
    "count/statefulsets.apps": "StatefulSet",
    "count/cronjobs.batch": "CronJob",
    "count/jobs.batch": "Job",
}


def _needs(env: Environment) -> dict[str, Decimal]:
    needs = dict.fromkeys(
        ("pods", "persistentvolumeclaims", "requests.storage", "services.loadbalancers", "services.nodeports",
         "requests.cpu", "requests.memory", "limits.memory"),
        Decimal(0),
    )  # fmt: skip
    for name, kind in COUNTED.items():
        needs[name] = Decimal(len(env.of(kind)))
    needs["secrets"] += len({name for pod in env.pods for kind, name, _ in _named(pod) if kind == "Secret"})
    # The jobs that a CronJob keeps, and one that runs.
    needs["count/jobs.batch"] += sum(
        job["spec"].get("successfulJobsHistoryLimit", 3) + job["spec"].get("failedJobsHistoryLimit", 1) + 1
        for job in env.of("CronJob")
    )
    for pod in env.pods:
        _, copies = env.replicas(pod)
        surge = pod.owner["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxSurge", "25%")
        copies += _share(surge, copies) if pod.owner["kind"] == "Deployment" else 0
        needs["pods"] += copies
        for key, kind, name in (
            ("requests.cpu", "requests", "cpu"),
            ("requests.memory", "requests", "memory"),
            ("limits.memory", "limits", "memory"),
        ):
            running, starting = (
                [
                    quantity(container.get("resources", {}).get(kind, {}).get(name, 0))
                    for container in pod.spec.get(part, [])
                ]
                for part in ("containers", "initContainers")
            )
            needs[key] += copies * max(sum(running), *starting, Decimal(0))
        for claim in pod.owner["spec"].get("volumeClaimTemplates", []):
            needs["persistentvolumeclaims"] += copies
            needs["requests.storage"] += copies * quantity(claim["spec"]["resources"]["requests"]["storage"])
    for claim in env.of("PersistentVolumeClaim"):
        needs["persistentvolumeclaims"] += 1
        needs["requests.storage"] += quantity(claim["spec"]["resources"]["requests"]["storage"])
    for service in env.of("Service"):
        kind = service["spec"].get("type", "ClusterIP")
        needs["services.loadbalancers"] += kind == "LoadBalancer"
        if kind == "NodePort" or (
            kind == "LoadBalancer" and service["spec"].get("allocateLoadBalancerNodePorts", True)
        ):
            needs["services.nodeports"] += len(service["spec"]["ports"])
    return needs


def _limits(env: Environment) -> Found:
    for limits in env.of("LimitRange"):
        for item in limits["spec"]["limits"]:
            for name in item.get("defaultRequest", {}).keys() & item.get("default", {}).keys():
                if quantity(item["defaultRequest"][name]) > quantity(item["default"][name]):
                    yield _name(limits), f"the default request of {name} is above the default limit"
            sizes: list[tuple[str, dict[str, Any]]] = []
            if item["type"] == "Container":
                sizes = [
                    (f"{pod.name} {c['name']}", c.get("resources", {}).get("limits", {}))
                    for pod in env.pods
                    for c in pod.containers
                ]
                sizes += [("the default", item.get("default", {}))]
            elif item["type"] == "PersistentVolumeClaim":
                claims = [
                    *env.of("PersistentVolumeClaim"),
                    *(c for pod in env.pods for c in pod.owner["spec"].get("volumeClaimTemplates", [])),
                ]
                sizes = [
                    (f"claim {claim['metadata']['name']}", claim["spec"]["resources"]["requests"]) for claim in claims
                ]
            for who, values in sizes:
                for name, value in values.items():
                    if name in item.get("max", {}) and quantity(value) > quantity(item["max"][name]):
                        yield _name(limits), f"{who} has {name} {value}, above the maximum {item['max'][name]}"
                    if name in item.get("min", {}) and quantity(value) < quantity(item["min"][name]):
                        yield _name(limits), f"{who} has {name} {value}, below the minimum {item['min'][name]}"


def _namespace(env: Environment) -> Found:
    """Each namespace starts closed, and has a quota with defaults for what sets no resources."""
    if not env.of("Namespace"):
        yield env.namespace, "nothing creates the namespace"
    if not env.pods:
        return
    if not env.namespace.endswith(LOGS) and (not env.of("ResourceQuota") or not env.of("LimitRange")):
        yield env.namespace, "has no ResourceQuota or no LimitRange"
    closed = any(
        policy["spec"]["podSelector"] == {}
        and {"Ingress", "Egress"} <= set(policy["spec"]["policyTypes"])
        and not policy["spec"].get("ingress")
        and not policy["spec"].get("egress")
        for policy in env.of("NetworkPolicy")
    )
    if not closed:
        yield env.namespace, "has no NetworkPolicy that denies everything by default"


def _expressions(env: Environment) -> Found:
    """Prometheus reads every expression of alerts and dashboards."""
    for resource in env.of("PrometheusRule", "ConfigMap"):
        documents = [resource["spec"]] if "spec" in resource else []
        if "grafana_dashboard" in resource["metadata"].get("labels", {}):
            documents += [json.loads(text) for text in resource.get("data", {}).values()]
        for expression in _values_of("expr", documents):
            try:
                promql_parser.parse(re.sub(r"\$__\w+", "5m", expression))  # Grafana fills in its own durations
            except ValueError as error:
                yield _name(resource), f"{error}: {expression}"


def _values_of(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name == key:
                yield str(item)
            else:
                yield from _values_of(key, item)
    elif isinstance(value, list):
        for item in value:
            yield from _values_of(key, item)


CHECKS: dict[str, Callable[[Environment], Found]] = {
    "selectors": _selectors,
    "services": _services,
    "stateful-sets": _stateful_sets,
    "backends": _backends,
    "autoscalers": _autoscalers,
    "disruption-budgets": _disruption_budgets,
    "network-policies": _network_policies,
    "dependencies": _dependencies,
    "references": _references,
    "orphans": _orphans,
    "volumes": _volumes,
    "probes": _probes,
    "resources": _resources,
    "restricted": _restricted,
    "images": _images,
    "secrets": _secrets,
    "spread": _spread,
    "roles": _roles,
    "quota": _quota,
    "limits": _limits,
    "namespace": _namespace,
    "expressions": _expressions,
}
