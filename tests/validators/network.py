"""Who reaches whom: the table of connections that the network policies of an environment allow.

A connection is open when the sender's policies let it out and the receiver's let it in. A pod that no policy chooses
for a direction is open in that direction; what several policies allow adds up.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.validators.kubernetes import Environment, Pod

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
ANY_PORT = 0  # one that nothing else names
OUTSIDE = "outside"
DNS = "kube-system/kube-dns"
ADDRESS = "203.0.113.7"  # of somebody outside
INTERNAL = (
    "10.0.0.7",
    "172.16.0.7",
    "192.168.0.7",
    "169.254.169.254",
)  # … in a private network, or the node's own data


class Path(NamedTuple):
    """An open connection."""

    source: str
    target: str
    port: int
    protocol: str


@dataclass(frozen=True)
class Peer:
    """An end of a connection: a pod, here or elsewhere, or an address outside the cluster."""

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)  # by name
    address: str = ""


def paths(env: Environment) -> set[Path]:
    """Every open connection of which one end is in the namespace."""
    here = [*map(_peer_of(env), env.pods), Peer("another pod", env.namespace, {"app.kubernetes.io/name": "another"})]
    elsewhere = list(_others(env))
    policies = [policy["spec"] for policy in env.of("NetworkPolicy")]
    numbers = {number for peer in here for number in peer.ports.values()} | {ANY_PORT, 53}
    numbers |= {
        port["port"]
        for spec in policies
        for direction in ("ingress", "egress")
        for rule in spec.get(direction, [])
        for port in rule.get("ports", [])
        if isinstance(port.get("port"), int)
    }
    return {
        Path(source.name, target.name, number, protocol)
        for source in [*here, *elsewhere]
        for target in [*here, *elsewhere]
        if source is not target and (source in here or target in here)
        for number in numbers
        for protocol in ("TCP", "UDP")
        if _open(env.namespace, policies, source, target, number, protocol)
    }


def _peer_of(env: Environment) -> Any:
    def peer(pod: Pod) -> Peer:
        ports = {str(name): port["containerPort"] for name, port in pod.ports.items()}
        return Peer(pod.name, env.namespace, pod.labels, ports)

    return peer


def _others(env: Environment) -> Iterator[Peer]:
    """Pods of every namespace that a policy names and of one that none does, the cluster's DNS, and addresses."""
    named = {
        value
        for policy in env.of("NetworkPolicy")
        for direction in ("ingress", "egress")
        for rule in policy["spec"].get(direction, [])
        for item in rule.get("from", rule.get("to", []))
        for value in _namespaces_in(item.get("namespaceSelector", {}))
    }
    for name in sorted(named | {"kube-system", "another-namespace"} - {env.namespace}):
        yield Peer(name, name, {"app.kubernetes.io/name": "another"})
    yield Peer(DNS, "kube-system", {"k8s-app": "kube-dns"})
    yield Peer(OUTSIDE, address=ADDRESS)
    for address in INTERNAL:
        yield Peer(address, address=address)


def _namespaces_in(selector: Mapping[str, Any]) -> Iterator[str]:
    if NAMESPACE_LABEL in selector.get("matchLabels", {}):
        yield selector["matchLabels"][NAMESPACE_LABEL]
    for item in selector.get("matchExpressions", []):
        if item["key"] == NAMESPACE_LABEL:
            yield from item.get("values", [])


def _open(
    namespace: str, policies: Iterable[Mapping[str, Any]], source: Peer, target: Peer, number: int, protocol: str
) -> bool:
    return all(
        not chosen or any(_allows(spec, direction, namespace, other, target, number, protocol) for spec in chosen)
        for own, other, direction in ((source, target, "Egress"), (target, source, "Ingress"))
        for chosen in [[spec for spec in policies if _chooses(spec, direction, namespace, own)]]
    )


def _chooses(spec: Mapping[str, Any], direction: str, namespace: str, peer: Peer) -> bool:
    # Without policyTypes a policy is about the way in, and about the way out when it has rules for it.
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    return (
        not peer.address
        and peer.namespace == namespace
        and direction in types
        and _selects(spec["podSelector"], peer.labels)
    )


def _allows(
    spec: Mapping[str, Any], direction: str, namespace: str, other: Peer, target: Peer, number: int, protocol: str
) -> bool:
    key = "from" if direction == "Ingress" else "to"
    return any(
        (not rule.get(key) or any(_is(item, namespace, other) for item in rule[key]))
        and (not rule.get("ports") or any(_has(item, target, number, protocol) for item in rule["ports"]))
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
    return _selects(item.get("podSelector", {}), peer.labels)


def _within(address: str, cidr: str) -> bool:
    return bool(address) and ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def _has(item: Mapping[str, Any], target: Peer, number: int, protocol: str) -> bool:
    if item.get("protocol", "TCP") != protocol:
        return False
    port = item.get("port")
    if port is None:
        return True
    first = target.ports.get(port) if isinstance(port, str) else port
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


def meant(env: Environment, answers: Mapping[str, Any]) -> set[Path]:
    """The connections that the answers ask for, and nothing else."""
    app = f"Deployment/{answers['service_name']}"
    name = f"{answers['service_name']}-database"
    found = {Path(who, app, answers["port"], "TCP") for who in _callers(env, answers)}
    found.add(Path("monitoring", app, answers["metrics_port"], "TCP"))
    users = [pod.name for pod in env.pods if pod.owner["kind"] != "StatefulSet"]
    found |= {Path(user, DNS, 53, protocol) for user in users for protocol in ("TCP", "UDP")}
    if answers["database"] != "none":
        port = {"postgres": 5432, "mysql": 3306, "redis": 6379}[answers["database"]]
        if env.get("StatefulSet", name):
            found |= {Path(user, f"StatefulSet/{name}", port, "TCP") for user in users}
        else:
            found |= {Path(user, where, port, "TCP") for user in users for where in (OUTSIDE, *INTERNAL)}
    return found


def _callers(env: Environment, answers: Mapping[str, Any]) -> set[str]:
    """Who reaches the service on its port."""
    others = {peer.name for peer in _others(env) if not peer.address}
    if answers["exposure"] in ("ingress", "gateway"):
        return {answers["ingress_namespace"]} | (
            others & {DNS} if answers["ingress_namespace"] == "kube-system" else set()
        )
    here = {pod.name for pod in env.pods}
    # From within the namespace nothing but the service's own parts calls it, and none of those has a way out to it.
    everybody = others | ({"another pod"} if False else set())
    if answers["exposure"] in ("nodeport", "loadbalancer"):
        everybody |= {OUTSIDE, *INTERNAL}
    return everybody - here
