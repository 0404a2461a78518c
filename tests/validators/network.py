"""Who reaches whom: the table of connections that the network policies of an environment allow.

A connection is open when the sender's policies let it out and the receiver's let it in. A pod that no policy chooses
for a direction is open in that direction; what several policies allow adds up.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tests.validators import Finding, kubernetes
from tests.validators.kubernetes import Environment, Pod
from tests.validators.kubernetes_schema import Resource

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
DATABASE_PORTS = {"postgres": 5432, "mysql": 3306, "redis": 6379}
ANY_PORT = 0  # one that nothing else names
DNS = "kube-system/kube-dns"
# Of somebody on the internet, in each private network, and where clouds give a machine its credentials.
ADDRESSES = ("203.0.113.7", "2001:db8::7", "10.0.0.7", "172.16.0.7", "192.168.0.7", "169.254.169.254")


class Path(NamedTuple):
    """An open connection."""

    source: str
    target: str
    port: int
    protocol: str


class Peer(NamedTuple):
    """An end of a connection: a pod, here or elsewhere, or an address outside the cluster."""

    name: str
    namespace: str = ""
    labels: frozenset[tuple[str, str]] = frozenset()
    ports: frozenset[tuple[str, int]] = frozenset()  # by name
    address: str = ""


ANOTHER = frozenset({("app.kubernetes.io/name", "another")})


class Network:
    """The tables of environments; those whose policies and pods are alike have one."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[list[Resource], set[Path]]] = {}
        self._of: dict[int, tuple[Environment, set[Path]]] = {}
        self._meant: dict[tuple[Any, ...], tuple[Environment, set[Path]]] = {}

    def check(self, resources: Iterable[Resource], answers: Mapping[str, Any]) -> Iterator[Finding]:
        """What is open and should not be, and what should be open and is not, where the service runs."""
        environments = [
            env for env in kubernetes.environments(resources) if env.get("Deployment", answers["service_name"])
        ]
        if not environments:
            yield Finding("cluster", "", "network", f"nothing runs {answers['service_name']}")
        for env in environments:
            found, wanted = self.paths(env), self.meant(env, answers)
            for path in sorted(found ^ wanted):
                verb = "reaches" if path in found else "does not reach"
                message = f"{path.source} {verb} {path.target} on {path.port or 'every port'}/{path.protocol}"
                yield Finding(env.namespace, path.source, "network", message)

    def meant(self, env: Environment, answers: Mapping[str, Any]) -> set[Path]:
        """The connections that the answers ask for."""
        key = (id(env), *(answers[name] for name in DECISIVE))
        if key not in self._meant:
            # Kept with the environment, so that no other ever has its id.
            self._meant[key] = (env, meant(env, {name: answers[name] for name in DECISIVE}))
        return self._meant[key][1]

    def paths(self, env: Environment) -> set[Path]:
        """Every open connection of which one end is in the namespace."""
        if id(env) in self._of:
            return self._of[id(env)][1]
        policies = env.of("NetworkPolicy")
        here = tuple(_peer(pod, env.namespace) for pod in env.pods)
        key = (env.namespace, here, *map(id, policies))
        if key not in self._known:
            # Kept with the policies, so that no others ever have their ids.
            self._known[key] = (policies, set(_paths(env, here)))
        self._of[id(env)] = (env, self._known[key][1])
        return self._known[key][1]


def _paths(env: Environment, pods: tuple[Peer, ...]) -> Iterator[Path]:
    policies = [policy["spec"] for policy in env.of("NetworkPolicy")]
    here = [*pods, Peer("another pod", env.namespace, ANOTHER)]
    ends = [*here, *_others(env)]
    chosen = {
        (peer, direction): [spec for spec in policies if _chooses(spec, direction, env.namespace, peer)]
        for peer in ends
        for direction in ("Ingress", "Egress")
    }
    for source, target in itertools.permutations(ends, 2):
        if source in here or target in here:
            for port in itertools.product(_numbers(here, policies), ("TCP", "UDP")):
                if all(
                    not specs or any(_allows(spec, way, env.namespace, other, target, port) for spec in specs)
                    for way, other, specs in (
                        ("Egress", target, chosen[source, "Egress"]),
                        ("Ingress", source, chosen[target, "Ingress"]),
                    )
                ):
                    yield Path(source.name, target.name, *port)


def _numbers(here: Iterable[Peer], policies: Iterable[Mapping[str, Any]]) -> list[int]:
    """Every port that a pod or a policy names, and one that none does."""
    found = {number for peer in here for _, number in peer.ports} | {ANY_PORT}
    for spec in policies:
        for direction in ("ingress", "egress"):
            for rule in spec.get(direction) or []:
                for item in rule.get("ports", []):
                    found.update(item[key] for key in ("port", "endPort") if isinstance(item.get(key), int))
    return sorted(found)


def _peer(pod: Pod, namespace: str) -> Peer:
    ports = {(name, port["containerPort"]) for name, port in pod.ports.items() if isinstance(name, str)}
    return Peer(pod.name, namespace, frozenset(pod.labels.items()), frozenset(ports))


def _others(env: Environment) -> Iterator[Peer]:
    """Pods of every namespace that a policy names and of one that none does, the cluster's DNS, and addresses."""
    named = {
        value
        for policy in env.of("NetworkPolicy")
        for direction in ("ingress", "egress")
        for rule in policy["spec"].get(direction) or []
        for item in rule.get("from", rule.get("to", []))
        for value in _namespaces_in(item.get("namespaceSelector", {}))
    }
    for name in sorted((named | {"kube-system", "another-namespace"}) - {env.namespace}):
        yield Peer(name, name, ANOTHER)
    yield Peer(DNS, "kube-system", frozenset({("k8s-app", "kube-dns")}))
    for address in ADDRESSES:
        yield Peer(address, address=address)


def _namespaces_in(selector: Mapping[str, Any]) -> Iterator[str]:
    if NAMESPACE_LABEL in selector.get("matchLabels", {}):
        yield selector["matchLabels"][NAMESPACE_LABEL]
    for item in selector.get("matchExpressions", []):
        if item["key"] == NAMESPACE_LABEL:
            yield from item.get("values", [])


def _chooses(spec: Mapping[str, Any], direction: str, namespace: str, peer: Peer) -> bool:
    # Without policyTypes a policy is about the way in, and about the way out when it has rules for it.
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    return (
        not peer.address
        and peer.namespace == namespace
        and direction in types
        and _selects(spec["podSelector"], dict(peer.labels))
    )


def _allows(
    spec: Mapping[str, Any], direction: str, namespace: str, other: Peer, target: Peer, port: tuple[int, str]
) -> bool:
    key = "from" if direction == "Ingress" else "to"
    return any(
        (not rule.get(key) or any(_is(item, namespace, other) for item in rule[key]))
        and (not rule.get("ports") or any(_has(item, target, *port) for item in rule["ports"]))
        for rule in spec.get(direction.lower()) or []
    )


def _is(item: Mapping[str, Any], namespace: str, peer: Peer) -> bool:
    if "ipBlock" in item:
        # A pod's address is the network plug-in's business: policies are about it through selectors alone.
        block = item["ipBlock"]
        inside = [_within(peer.address, cidr) for cidr in (block["cidr"], *block.get("except", []))]
        return bool(peer.address) and inside[0] and not any(inside[1:])
    if peer.address:
        return False
    if "namespaceSelector" in item:
        if not _selects(item["namespaceSelector"], {NAMESPACE_LABEL: peer.namespace}):
            return False
    elif peer.namespace != namespace:
        return False
    return _selects(item.get("podSelector", {}), dict(peer.labels))


def _within(address: str, cidr: str) -> bool:
    return bool(address) and ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def _has(item: Mapping[str, Any], target: Peer, number: int, protocol: str) -> bool:
    if item.get("protocol", "TCP") != protocol:
        return False
    port = item.get("port")
    if port is None:
        return True
    first = dict(target.ports).get(port) if isinstance(port, str) else port
    return first is not None and first <= number <= item.get("endPort", first)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        _matches(item, labels) for item in selector.get("matchExpressions", [])
    )


def _matches(item: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(item["key"])
    match item["operator"]:
        case "In":
            return value in item["values"]
        case "NotIn":
            return value not in item["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(f"there is no operator {item['operator']}")


# --- What an environment is meant to allow ---


# The answers that decide it.
DECISIVE = (
    "database", "database_hosting", "exposure", "ingress_namespace", "metrics_port", "port", "service_name",
)  # fmt: skip


def meant(env: Environment, answers: Mapping[str, Any]) -> set[Path]:
    """The connections that the answers ask for: a pod talks to what it needs, and nothing else is open."""
    app, database = f"Deployment/{answers['service_name']}", f"StatefulSet/{answers['service_name']}-database"
    pods = [pod.name for pod in env.pods if pod.name != database]
    found = {Path(caller, app, answers["port"], "TCP") for caller in _callers(env, answers)}
    found |= {Path(caller, app, answers["metrics_port"], "TCP") for caller in _in_namespaces(env, "monitoring")}
    found |= {Path(pod, DNS, 53, protocol) for pod in pods for protocol in ("TCP", "UDP")}
    if answers["database"] != "none":
        port = DATABASE_PORTS[answers["database"]]
        hosted = answers["database_hosting"] == "external" and not _is_local(env)
        found |= {Path(pod, to, port, "TCP") for pod in pods for to in (ADDRESSES if hosted else [database])}
    return found


def _callers(env: Environment, answers: Mapping[str, Any]) -> set[str]:
    """Who reaches the service on its port; the default denies the other pods of the namespace the way out."""
    if answers["exposure"] in ("ingress", "gateway") and not _is_local(env):
        return _in_namespaces(env, answers["ingress_namespace"])
    if answers["exposure"] in ("nodeport", "loadbalancer"):
        return _in_namespaces(env) | {*ADDRESSES}
    return _in_namespaces(env)


def _is_local(env: Environment) -> bool:
    """On a laptop, where the proxy may be in any namespace and the database is in the cluster."""
    return env.namespace.endswith("-local")


def _in_namespaces(env: Environment, *names: str) -> set[str]:
    """The pods of these other namespaces, or of all."""
    return {peer.name for peer in _others(env) if not peer.address and (not names or peer.namespace in names)}
