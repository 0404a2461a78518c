"""Which pods reach which: what the NetworkPolicies of an environment allow, and what the answers ask for.

A connection is open when a policy of the sender lets it out and one of the receiver lets it in. A pod that no policy
selects for a direction is open in that direction, and what several policies allow adds up.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tests.databases import DATABASES
from tests.harness import Problem, add, change, rejects, remove, replace
from tests.rules.kubernetes.build import Resource, extra
from tests.rules.kubernetes.environment import Environment, Issue, Issues, Pod, Tree, environment_rule, tree_rule
from tests.rules.kubernetes.workloads import settings_of

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
ANY_PORT = 0  # one that nothing else names
DNS = "kube-system/kube-dns"
RESOLVERS = (DNS, "openshift-dns", "169.254.20.10", "169.254.169.254", "10.0.0.7")
"""Who resolves names: pods, NodeLocal DNSCache, Google's Cloud DNS, and a service of the node (EKS Auto Mode)."""

NAMES = tuple(itertools.product((53, 5353), ("TCP", "UDP")))  # pods of OpenShift's DNS listen on 5353
TRACES = 4318  # OTLP over HTTP
BUCKET = 443  # HTTPS
PUBLIC = ("203.0.113.7", "2001:db8::7", "64:ff9b::cb00:7107")  # the last one by NAT64
ADDRESSES = (
    *PUBLIC, "10.0.0.7", "100.64.0.7", "172.16.0.7", "192.168.0.7", "fd00::7",
    "fe80::7", "169.254.20.10", "169.254.169.252", "169.254.169.254", "fd00:ec2::254",
)  # fmt: skip
"""On the internet, in each private network as nodes and load balancers are, and where clouds keep credentials."""

METADATA = {*ADDRESSES[-5:]}

SOLVER = "cert-manager's solver"

# https://cloud.google.com/kubernetes-engine/docs/how-to/network-policy#network-policy-and-workload-identity
METADATA_OF_GKE = (("169.254.169.252", 988), ("169.254.169.254", 80))

DECISIVE = (
    "cloud_identity", "cluster_issuer", "database", "database_hosting", "egress", "exposure", "ingress_namespace",
    "metrics_port", "port", "service_name", "tls",
)  # fmt: skip
"""The answers on which it depends what is open."""

DEPLOYMENT, POLICY = "kubernetes/base/deployment.yaml", "kubernetes/base/networkpolicy.yaml"
EGRESS_POLICY = "kubernetes/base/egress-networkpolicy.yaml"
SOLVER_POLICY = "kubernetes/base/solver-networkpolicy.yaml"
DATABASE_POLICY = "kubernetes/database/networkpolicy.yaml"
BACKUP, BACKUP_POLICY = "kubernetes/database/backup-cronjob.yaml", "kubernetes/database/backup-networkpolicy.yaml"
VERIFICATION, JOB_POD = "kubernetes/database/verify-cronjob.yaml", "spec.jobTemplate.spec.template.spec"
SERVICE_POLICY = "kubernetes/database/service-networkpolicy.yaml"
OUTSIDE_POLICY = "kubernetes/overlays/production/database-networkpolicy.yaml"
DATABASE_SERVICE = "kubernetes/database/service.yaml"
NAMESPACE_POLICY = "kubernetes/namespace/networkpolicy.yaml"
SETTINGS = "kubernetes/base/config.env"
NAME = "'app.kubernetes.io/name'"
ALLOW_EXTRA = ("kubernetes/namespace/deployer-role.yaml", replace("- shop-egress", "- extra\n      - shop-egress"))
EXTRA_POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: extra
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: nobody
  policyTypes:
    - Ingress
"""
INGRESS_NAMESPACE = "spec.ingress.0.from.0.namespaceSelector"
OTHER = f"'{NAMESPACE_LABEL}'"
SELECTED = f"spec.podSelector.matchLabels.{NAME}"
CALLERS = "spec.ingress.0.from.{}.podSelector.matchLabels." + NAME
# Rules that find a fault too.
PODS, CLOSED = "every_policy_is_about_pods_that_exist", "every_namespace_starts_closed only_needed_connections_are_open"
HOSTS, OPEN = "every_host_in_the_settings_is_reachable", "only_needed_connections_are_open"


def _expression(operator: str, *namespaces: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": NAMESPACE_LABEL, "operator": operator, "values": [*namespaces]}]}


class Connection(NamedTuple):
    """An open way from a source to a port of a target."""

    source: str
    target: str
    port: int
    protocol: str

    def __str__(self) -> str:
        return f"{self.target} on {self.port or 'every port'}/{self.protocol}"


class Peer(NamedTuple):
    """An end of a connection: a pod, here or elsewhere, or an address outside the cluster."""

    name: str
    namespace: str = ""
    labels: frozenset[tuple[str, str]] = frozenset()
    ports: frozenset[tuple[str, int]] = frozenset()  # by name
    address: str = ""
    labels_of_namespace: frozenset[tuple[str, str]] = frozenset()


ANOTHER = frozenset({("app.kubernetes.io/name", "another")})
SOLVER_LABEL = ("acme.cert-manager.io/http01-solver", "true")
STRANGERS = {
    "another pod": ANOTHER,
    # https://github.com/cert-manager/cert-manager/blob/v1.21.2/pkg/issuer/acme/http/pod.go
    SOLVER: frozenset({SOLVER_LABEL}),
}
"""Pods of the namespace that others create, and their labels."""


@rejects("a policy beside others for no pods", *extra("kubernetes/base", EXTRA_POLICY), *ALLOW_EXTRA)
@rejects("a policy of no pods", POLICY, change(SELECTED, "shops"), also=OPEN)
@rejects("a policy for a missing port", POLICY, change("spec.ingress.1.ports.0.port", "metric"), also=OPEN)
@rejects("a policy that opens every port", POLICY, remove("spec.ingress.0.ports"), also=OPEN)
@rejects("rules for another direction", EGRESS_POLICY, change("spec.policyTypes.0", "Ingress"), also=f"{HOSTS} {OPEN}")
@rejects("a policy for missing callers", DATABASE_POLICY, change(CALLERS.format(1), "none"), also=f"{HOSTS} {OPEN}")
@rejects("an open namespace", NAMESPACE_POLICY, change("spec.podSelector", {"matchLabels": {"a": "b"}}), also=CLOSED)
@rejects(
    "a selector that matches the pods of another workload too",
    BACKUP,
    change(f"spec.jobTemplate.spec.template.metadata.labels.{NAME}", "shop"),
    also="every_selector_selects_its_own_pods every_service_selects_one_workload "
    "every_disruption_budget_lets_nodes_drain only_needed_connections_are_open every_pod_is_spread_over_its_own",
)
@rejects("a service that reaches everybody", EGRESS_POLICY, add("spec.egress", {}), also=OPEN)
@environment_rule
def every_policy_is_about_pods_that_exist(env: Environment) -> Issues:
    """A NetworkPolicy selects pods of the namespace, names ports that they have, and opens no direction by accident."""
    for policy in env.of("NetworkPolicy"):
        spec = policy["spec"]
        selected = spec["podSelector"].get("matchLabels")
        pods = env.matching(selected)
        if selected and not pods and not any(selected.items() <= dict(labels).items() for labels in STRANGERS.values()):
            yield Issue(policy, f"the podSelector {selected} matches no pod", "spec.podSelector")
        for direction, key in (("ingress", "from"), ("egress", "to")):
            if direction in spec and direction.capitalize() not in spec.get("policyTypes", []):
                yield Issue(policy, f"policyTypes does not hold {direction.capitalize()}", "spec.policyTypes")
            for index, rule in enumerate(spec.get(direction, [])):
                place = f"spec.{direction}.{index}"
                for item in rule.get(key, []):
                    if "podSelector" in item and "namespaceSelector" not in item and not _pods_here(env, item):
                        yield Issue(policy, f"{direction}: {item['podSelector']} matches no pod", f"{place}.{key}")
                to_addresses = bool(rule.get("to")) and all("ipBlock" in item for item in rule["to"])
                if not rule.get("ports") and not to_addresses:
                    yield Issue(policy, f"{direction}: opens every port", place)
                receivers = [pod for item in rule.get(key, []) for pod in _pods_here(env, item)]
                if direction == "ingress":
                    receivers = pods if selected else []
                for port in rule.get("ports", []):
                    for pod in receivers:
                        if not pod.has_port(port["port"], port.get("protocol", "TCP")):
                            message = f"{direction}: {port['port']} is no port of {pod.name}"
                            yield Issue(policy, message, f"{place}.ports")


def _pods_here(env: Environment, item: Mapping[str, Any]) -> list[Pod]:
    """The pods of this namespace that an item of `from` or `to` selects."""
    if "podSelector" not in item or "namespaceSelector" in item:
        return []
    return env.matching(item["podSelector"].get("matchLabels"))


@rejects("a database out of reach", SERVICE_POLICY, change("spec.egress.0.ports.0.port", 5433), also=f"{PODS} {OPEN}")
@rejects("a closed database", DATABASE_POLICY, change(CALLERS.format(0), "shop-database"), also=OPEN)
@rejects("no way to DNS", EGRESS_POLICY, change("spec.egress.0.ports.0.port", 54), also=OPEN)
@rejects("no way to DNS on the nodes", EGRESS_POLICY, add("spec.egress.0.to", [{"namespaceSelector": {}}]), also=OPEN)
@rejects("no way to DNS of OpenShift", EGRESS_POLICY, remove("spec.egress.0.ports.3"), also=OPEN)
@rejects("a pod that calls itself without a sidecar", VERIFICATION, remove(f"{JOB_POD}.initContainers.1.restartPolicy"))
@rejects("a missing database host", SETTINGS, replace("DATABASE_HOST=shop-database", "DATABASE_HOST=database"))
@rejects("a database port that does not exist", SETTINGS, replace("DATABASE_PORT=5432", "DATABASE_PORT=3306"))
@rejects("an external database out of reach", OUTSIDE_POLICY, change("spec.egress.0.ports.0.port", 5433), also=OPEN)
@rejects(
    "a headless Service of other pods", DATABASE_SERVICE, change(f"spec.selector.{NAME}", "shop"),
    also="every_stateful_set_has_a_headless_service every_service_selects_one_workload",
)  # fmt: skip
@environment_rule
def every_host_in_the_settings_is_reachable(env: Environment) -> Issues:
    """Each *_HOST of a pod is a Service or an external host, and policies allow the connection to its port."""
    open_here = open_connections(env)
    for pod in env.pods:
        for container in pod.containers:
            values = settings_of(env, container)
            # MYSQL_HOST has another meaning in the MySQL image.
            for name in [name for name in values if name.endswith("_HOST") and not name.startswith("MYSQL_")]:
                host, port = values[name], values.get(name.removesuffix("HOST") + "PORT", "")
                if host == "127.0.0.1" and any(one.get("restartPolicy") == "Always" for one in pod.containers):
                    continue  # a sidecar
                for message in _unreachable(env, open_here, pod, host, port):
                    yield pod.issue(f"{name}: {message}", container)


def _unreachable(env: Environment, open_here: frozenset[Connection], pod: Pod, host: str, port: str) -> Iterator[str]:
    """Why a pod does not reach a host."""
    service = env.get("Service", host)
    targets: list[tuple[str, Any]] = []
    if service:
        ports = {str(item["port"]): item.get("targetPort", item["port"]) for item in service["spec"]["ports"]}
        if port not in ports:
            yield f"Service {host} has no port {port}"
            return
        targets = [(to.name, to.number(ports[port])) for to in env.matching(service["spec"].get("selector"))]
    elif "." in host:
        targets = [(address, int(port)) for address in ADDRESSES if address.startswith("203.")]
    else:
        yield f"there is no Service {host}"
        return
    for target, number in targets:
        if Connection(pod.name, target, number, "TCP") not in open_here:
            yield f"no NetworkPolicy lets it reach {target} on port {number}"
    for resolver in RESOLVERS:
        if not {Connection(pod.name, resolver, *port) for port in NAMES} <= open_here:
            yield f"no NetworkPolicy lets it ask for names at {resolver}"


@rejects("a proxy of another namespace", POLICY, change(f"{INGRESS_NAMESPACE}.matchLabels.{OTHER}", "proxies"))
@rejects("all namespaces but one", POLICY, change(INGRESS_NAMESPACE, _expression("NotIn", "default")))
@rejects("a second namespace", POLICY, change(INGRESS_NAMESPACE, _expression("In", "traefik", "default")))
@rejects("an open service", POLICY, add("spec.ingress.0.from", {"ipBlock": {"cidr": "0.0.0.0/0"}}), project="ingress")
@rejects("traces to any address", EGRESS_POLICY, remove("spec.egress.1.to"))
@rejects("a way into a private network", EGRESS_POLICY, remove("spec.egress.2.to.0.ipBlock.except.0"))
@rejects("a way to the metadata of clouds", EGRESS_POLICY, remove("spec.egress.2.to.0.ipBlock.except.2"))
@rejects("a way to the metadata by IPv6", EGRESS_POLICY, remove("spec.egress.2.to.1.ipBlock.except.0"))
@rejects("no way to the internet by IPv6", EGRESS_POLICY, remove("spec.egress.2.to.1"))
@rejects("a way to one port of the internet", EGRESS_POLICY, add("spec.egress.2.ports", [{"port": 443}]))
@rejects("a solver out of reach", SOLVER_POLICY, change("spec.ingress.0.ports.0.port", 8080))
@rejects("a solver that anybody reaches", SOLVER_POLICY, remove("spec.ingress.0.from"))
@rejects("metrics for one namespace alone", POLICY, remove("spec.ingress.1.from.1"))
@rejects("more ports than the one answered", POLICY, change("spec.ingress.0.ports.0", {"port": 8080, "endPort": 8090}))
@rejects("open metrics", POLICY, change(f"spec.ingress.1.from.0.namespaceSelector.matchLabels.{OTHER}", "default"))
@rejects("pods with open egress", NAMESPACE_POLICY, remove("spec.policyTypes.1"), also="every_namespace_starts_closed")
@rejects("an open database", DATABASE_POLICY, add("spec.ingress.0.from", {"namespaceSelector": {}}))
@rejects("a backup without DNS over TCP", BACKUP_POLICY, change("spec.egress.0.ports.1.protocol", "SCTP"), also=HOSTS)
@rejects("a backup that reaches the metadata server", BACKUP_POLICY, remove("spec.egress.2.to.0.ipBlock.except"))
@rejects("a backup that reaches it by IPv6", BACKUP_POLICY, remove("spec.egress.2.to.1.ipBlock.except"))
@rejects("a backup out of reach of its bucket", BACKUP_POLICY, remove("spec.egress.2"))
@rejects("a database in a private network", OUTSIDE_POLICY, add("spec.egress.0.to.0.ipBlock.except", ["10.0.0.0/8"]))
@rejects("a database outside that is not reached by IPv6", OUTSIDE_POLICY, remove("spec.egress.0.to.1"))
@rejects("a missing service", DEPLOYMENT, change("metadata.name", "shops"), also="every_autoscaler_can_scale")
@tree_rule
def only_needed_connections_are_open(tree: Tree) -> Iterator[Problem]:
    """The open connections are exactly those that the answers require."""
    if DEPLOYMENT not in tree.files:
        return
    answers = {name: tree.context[name] for name in DECISIVE}
    app = answers["service_name"]
    environments = [env for env in tree.environments if env.get("Deployment", app)]
    if tree.environments and not environments:
        yield Problem(DEPLOYMENT, f"no environment runs Deployment/{app}", "metadata.name")
    for env in environments:
        found, expected = open_connections(env), expected_connections(env, tuple(answers.items()))
        for connection in sorted(found ^ expected):
            verb = "reaches" if connection in found else "does not reach"
            issue = Issue(_decides(env, connection), f"{connection.source} {verb} {connection}")
            yield tree.problem(env.namespace, issue)


def _decides(env: Environment, connection: Connection) -> Resource:
    """A policy that is about the connection, or else the workload at one of its ends."""
    pods = {pod.name: pod for pod in env.pods}
    ends = [
        (pods[name], way)
        for name, way in ((connection.target, "Ingress"), (connection.source, "Egress"))
        if name in pods
    ]
    policies = [
        policy
        for pod, direction in ends
        for policy in env.of("NetworkPolicy")
        if policy["spec"]["podSelector"]
        and _is_about(policy["spec"], direction, env.namespace, _peer(pod, env.namespace))
    ]
    return next(iter(policies), ends[0][0].owner if ends else env.resources[0])


@functools.cache
def open_connections(env: Environment) -> frozenset[Connection]:
    """Every open connection of which one end is in the namespace."""
    pods = tuple(_peer(pod, env.namespace) for pod in env.pods)
    return _open_connections(env.namespace, pods, json.dumps([one["spec"] for one in env.of("NetworkPolicy")]))


@functools.cache
def _open_connections(namespace: str, pods: tuple[Peer, ...], written: str) -> frozenset[Connection]:
    """Environments whose policies and pods are alike share what is open."""
    return frozenset(_find_connections(namespace, pods, json.loads(written)))


def _find_connections(namespace: str, pods: Iterable[Peer], policies: list[Any]) -> Iterator[Connection]:
    here = [*pods, *(Peer(name, namespace, labels) for name, labels in STRANGERS.items())]
    ends = [*here, *_others(namespace, policies)]
    selecting = {
        (peer, direction): [spec for spec in policies if _is_about(spec, direction, namespace, peer)]
        for peer in ends
        for direction in ("Ingress", "Egress")
    }
    for source, target in itertools.permutations(ends, 2):
        if source in here or target in here:
            for port in itertools.product(_numbers(here, policies), ("TCP", "UDP")):
                if all(
                    not specs or any(_allows(spec, way, namespace, other, target, port) for spec in specs)
                    for way, other, specs in (
                        ("Egress", target, selecting[source, "Egress"]),
                        ("Ingress", source, selecting[target, "Ingress"]),
                    )
                ):
                    yield Connection(source.name, target.name, *port)


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


def _others(namespace: str, policies: Iterable[Mapping[str, Any]]) -> Iterator[Peer]:
    """Pods of every namespace that a policy names and of one that none does, the cluster's DNS, and addresses."""
    named = {
        value
        for spec in policies
        for direction in ("ingress", "egress")
        for rule in spec.get(direction) or []
        for item in rule.get("from", rule.get("to", []))
        for value in _namespaces_in(item.get("namespaceSelector", {}))
    }
    for name in sorted((named | {"kube-system", "openshift-dns", "another-namespace"}) - {namespace}):
        yield Peer(name, name, ANOTHER)
    yield Peer("scraper", "observability", ANOTHER, labels_of_namespace=frozenset({("metrics", "enabled")}))
    yield Peer(DNS, "kube-system", frozenset({("k8s-app", "kube-dns")}))
    for address in ADDRESSES:
        yield Peer(address, address=address)


def _namespaces_in(selector: Mapping[str, Any]) -> Iterator[str]:
    if NAMESPACE_LABEL in selector.get("matchLabels", {}):
        yield selector["matchLabels"][NAMESPACE_LABEL]
    for item in selector.get("matchExpressions", []):
        if item["key"] == NAMESPACE_LABEL:
            yield from item.get("values", [])


def _is_about(spec: Mapping[str, Any], direction: str, namespace: str, peer: Peer) -> bool:
    """Whether a policy selects a pod for a direction."""
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
    """Whether a policy allows a connection with a peer to a port of the target."""
    key = "from" if direction == "Ingress" else "to"
    return any(
        (not rule.get(key) or any(_is(item, namespace, other) for item in rule[key]))
        and (not rule.get("ports") or any(_has(item, target, *port) for item in rule["ports"]))
        for rule in spec.get(direction.lower()) or []
    )


def _is(item: Mapping[str, Any], namespace: str, peer: Peer) -> bool:
    """Whether an item of `from` or `to` means an end of a connection."""
    if "ipBlock" in item:
        # A pod's address is the network plug-in's business: policies are about it through selectors alone.
        block = item["ipBlock"]
        inside = [_within(peer.address, cidr) for cidr in (block["cidr"], *block.get("except", []))]
        return bool(peer.address) and inside[0] and not any(inside[1:])
    if peer.address:
        return False
    if "namespaceSelector" in item:
        labels = {NAMESPACE_LABEL: peer.namespace, **dict(peer.labels_of_namespace)}
        if not _selects(item["namespaceSelector"], labels):
            return False
    elif peer.namespace != namespace:
        return False
    return _selects(item.get("podSelector", {}), dict(peer.labels))


def _within(address: str, cidr: str) -> bool:
    return bool(address) and ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def _has(item: Mapping[str, Any], target: Peer, number: int, protocol: str) -> bool:
    """Whether an item of `ports` means a port of the target."""
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


@functools.cache
def expected_connections(env: Environment, decisive: tuple[tuple[str, Any], ...]) -> frozenset[Connection]:
    """The connections that the answers ask for: a pod talks to what it needs, and nothing else is open."""
    answers = dict(decisive)
    app, database = f"Deployment/{answers['service_name']}", f"StatefulSet/{answers['service_name']}-database"
    pods = [pod.name for pod in env.pods if pod.name != database]
    others, solver_port = _in_namespaces(env) | {*ADDRESSES}, 8089
    found = {Connection(caller, app, answers["port"], "TCP") for caller in _callers(env, answers)}
    found |= {
        Connection(caller, app, answers["metrics_port"], "TCP")
        for caller in (*_in_namespaces(env, "monitoring"), "scraper")
    }
    found |= {Connection(pod, to, *port) for pod in pods for to in others for port in NAMES}
    found |= {Connection(app, collector, TRACES, "TCP") for collector in _in_namespaces(env)}
    if answers["egress"] == "internet":
        specs = [policy["spec"] for policy in env.of("NetworkPolicy")]
        numbers = _numbers([_peer(pod, env.namespace) for pod in env.pods], specs)
        found |= {Connection(app, to, *port) for to in PUBLIC for port in itertools.product(numbers, ("TCP", "UDP"))}
    if answers["cloud_identity"].startswith("iam.gke.io/"):
        found |= {Connection(app, address, port, "TCP") for address, port in METADATA_OF_GKE}
    if answers["exposure"] == "ingress" and answers["tls"] and answers["cluster_issuer"]:
        proxies = _in_namespaces(env, answers["ingress_namespace"]) if answers["ingress_namespace"] else others
        found |= {Connection(proxy, SOLVER, solver_port, "TCP") for proxy in proxies}
    if answers["database"] != "none":
        port = DATABASES[answers["database"]].port
        hosted = answers["database_hosting"] == "external" and not _is_local(env)
        found |= {Connection(pod, to, port, "TCP") for pod in pods for to in (ADDRESSES if hosted else [database])}
        jobs = [pod for pod in pods if pod.startswith("CronJob/")]
        found |= {Connection(job, to, BUCKET, "TCP") for job in jobs for to in ADDRESSES if to not in METADATA}
    return frozenset(found)


def _callers(env: Environment, answers: Mapping[str, Any]) -> set[str]:
    """Who reaches the service on its port; the default denies the other pods of the namespace the way out."""
    if answers["exposure"] in ("ingress", "gateway") and not answers["ingress_namespace"]:
        return _in_namespaces(env) | {*ADDRESSES}
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
    peers = _others(env.namespace, [policy["spec"] for policy in env.of("NetworkPolicy")])
    return {peer.name for peer in peers if not peer.address and (not names or peer.namespace in names)}
