"""Workloads and what refers to them: Services, Ingresses, autoscalers, ConfigMaps, Secrets, volumes, probes, alerts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import promql_parser

from tests.harness import Problem, add, change, rejects, remove, replace
from tests.rules.kubernetes.build import Resource, extra, name_of, values_of
from tests.rules.kubernetes.environment import Environment, Issue, Issues, Pod, Tree, environment_rule, tree_rule

SECRETS_FROM_OUTSIDE = {
    "-database": {"password"},  # make secret
    "-registry": {".dockerconfigjson"},  # make registry-secret
    "-tls": {"tls.crt", "tls.key"},  # kubectl create secret tls
}
"""The Secrets that a team or `make` creates in a namespace: the suffix of the name, and the keys."""

DEPLOYMENT = "kubernetes/base/deployment.yaml"
MIGRATION = "kubernetes/base/migrate-job.yaml"
SERVICE = "kubernetes/base/service.yaml"
INGRESS = "kubernetes/base/ingress.yaml"
ROUTE, ALERTS = "kubernetes/base/httproute.yaml", "kubernetes/overlays/production/prometheusrule.yaml"
AUTOSCALER = "kubernetes/base/horizontalpodautoscaler.yaml"
BUDGET = "kubernetes/base/poddisruptionbudget.yaml"
STAGING = "kubernetes/overlays/staging/kustomization.yaml"
DATABASE, DATABASE_SERVICE = "kubernetes/database/statefulset.yaml", "kubernetes/database/service.yaml"
BACKUP = "kubernetes/database/backup-cronjob.yaml"
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.[name=shop]"
NAME, COMPONENT = "'app.kubernetes.io/name'", "'app.kubernetes.io/component'"
CLAIM, PATH, SECRETS = "persistentVolumeClaim.claimName", "mountPath", "/run/secrets/database"
HOST = "every_host_leads_to_one_environment"  # which finds some faults too
CLAIMS = "spec/volumeClaimTemplates/metadata/labels"
ROLLING = "spec.strategy.rollingUpdate"
SPREAD = f"{POD}.topologySpreadConstraints.0"
APART = f"{POD}.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution.0.podAffinityTerm"


def _key_of(source: str, name: str) -> list[dict[str, Any]]:
    return [{"name": "X", "valueFrom": {source: {"name": name, "key": "none"}}}]


class Reference(NamedTuple):
    """What a pod needs to start."""

    kind: str
    name: str
    keys: frozenset[str]
    place: tuple[Any, ...]  # in the pod's spec, as `Pod.issue` takes it


@rejects("a changing label", DEPLOYMENT, add(f"spec.selector.matchLabels.{COMPONENT}", "api"))
@rejects("a selector that does not match the pods", DEPLOYMENT, change(f"spec.selector.matchLabels.{NAME}", "shops"))
@environment_rule
def every_selector_selects_its_own_pods(env: Environment) -> Issues:
    """A workload selects its pods and no others, by the one label that never changes: a selector is immutable."""
    for pod in filter(lambda pod: pod.serves, env.pods):
        selector = pod.owner["spec"]["selector"].get("matchLabels", {})
        others = [other.name for other in env.matching(selector) if other is not pod]
        if not selector or not selector.items() <= pod.labels.items():
            message = f"the selector {selector} does not match the labels {pod.labels} of its pods"
            yield Issue(pod.owner, message, "spec.selector")
        elif others:
            yield Issue(pod.owner, f"the selector {selector} matches the pods of {', '.join(others)}", "spec.selector")
        if changing := selector.keys() - {"app.kubernetes.io/name"}:
            message = f"the selector, which can never change, holds {', '.join(sorted(changing))}"
            yield Issue(pod.owner, message, "spec.selector")


@rejects("a Service that selects nothing", SERVICE, change(f"spec.selector.{NAME}", "shops"))
@rejects("a Service of two workloads", SERVICE, change("spec.selector", {"app.kubernetes.io/part-of": "shop"}))
@rejects("a Service whose target port does not exist", SERVICE, change("spec.ports.0.targetPort", "web"))
@rejects("two ports of one name", SERVICE, add("spec.ports", {"name": "http", "port": 81, "targetPort": "http"}))
@rejects("unserved metrics", "kubernetes/monitoring/service.yaml", change("spec.ports.0.targetPort", "metric"))
@environment_rule
def every_service_selects_one_workload(env: Environment) -> Issues:
    """A Service selects the pods of one workload, and each of its ports, named differently, goes to one of theirs."""
    for service in env.of("Service"):
        spec = service["spec"]
        pods = env.matching(spec["selector"]) if spec.get("selector") else []
        ports = spec.get("ports", [])
        names = [port.get("name") for port in ports]
        if len(pods) != 1:
            message = f"selects the pods of {[pod.name for pod in pods] or 'nothing'}"
            yield Issue(service, message, "spec.selector")
        if not names or len(set(names)) < len(names):
            yield Issue(service, f"has no ports, or two of one name: {names}", "spec.ports")
        for pod in pods:
            for index, port in enumerate(ports):
                target = port.get("targetPort", port["port"])
                if not pod.has_port(target, port.get("protocol", "TCP")):
                    message = f"port {port['port']} goes to {target}, which is no port of {pod.name}"
                    yield Issue(service, message, f"spec.ports.{index}.targetPort")


@rejects("a StatefulSet whose Service does not exist", DATABASE, change("spec.serviceName", "shop-db"))
@rejects("a StatefulSet whose Service is not headless", DATABASE_SERVICE, remove("spec.clusterIP"))
@environment_rule
def every_stateful_set_has_a_headless_service(env: Environment) -> Issues:
    """The Service of a StatefulSet is headless and selects its pods, so that each has a DNS name."""
    for owner in env.of("StatefulSet"):
        service = env.get("Service", owner["spec"].get("serviceName", ""))
        if not service or service["spec"].get("clusterIP") != "None":
            message = f"{owner['spec'].get('serviceName')!r} is no headless Service"
            yield Issue(owner, message, "spec.serviceName")
        elif not service["spec"].get("selector", {}).items() <= Pod.of(owner).labels.items():
            yield Issue(owner, f"{name_of(service)} does not select its pods", "spec.serviceName")


@rejects("labels for claims", STAGING, add("labels.0.fields", {"create": True, "kind": "StatefulSet", "path": CLAIMS}))
@environment_rule
def every_claim_template_has_no_labels(env: Environment) -> Issues:
    """A StatefulSet's claim templates have no labels: these change, and claim templates are immutable."""
    for owner in env.of("StatefulSet"):
        for index, claim in enumerate(owner["spec"].get("volumeClaimTemplates", [])):
            if labels := claim["metadata"].get("labels"):
                message = f"has labels in a claim template: {', '.join(labels)}"
                yield Issue(owner, message, f"spec.volumeClaimTemplates.{index}")


_MIGRATION = {
    "name": "migrate",
    "image": "docker.io/acme/shop:1",
    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "16Mi"}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
}


@rejects("a pod that migrates", DEPLOYMENT, add(f"{POD}.initContainers", [_MIGRATION]))
@environment_rule
def every_pod_of_the_service_starts_alone(env: Environment) -> Issues:
    """A Deployment has no init container, which could keep its pods from a restart without their database."""
    for pod in env.pods:
        if pod.owner["kind"] == "Deployment" and pod.spec.get("initContainers"):
            yield Issue(pod.owner, "has an init container", "spec.template.spec.initContainers")


@rejects("a rollout of one pod after another", DEPLOYMENT, change(f"{ROLLING}.maxSurge", 1))
@rejects("a rollout with fewer pods than asked for", DEPLOYMENT, change(f"{ROLLING}.maxUnavailable", 1))
@rejects("a deadline shorter than a start", DEPLOYMENT, change(f"{CONTAINER}.startupProbe.failureThreshold", 596))
@rejects("pods that count at once", DEPLOYMENT, remove("spec.minReadySeconds"))
@environment_rule
def every_rollout_fits_its_replicas(env: Environment) -> Issues:
    """A Deployment replaces its pods in four steps at most, with no fewer ready ones, and has time for each start."""
    for pod in env.pods:
        if pod.owner["kind"] != "Deployment":
            continue
        spec, (_, most) = pod.owner["spec"], env.replicas(pod)
        rolling = spec["strategy"]["rollingUpdate"]
        steps = -(-most // share(rolling["maxSurge"], most))
        if steps > 4:  # the timeout of a release counts on it
            yield Issue(pod.owner, f"replaces {most} pods in {steps} steps", ROLLING)
        if rolling["maxUnavailable"]:
            yield Issue(pod.owner, "has fewer pods during a rollout", f"{ROLLING}.maxUnavailable")
        if "minReadySeconds" not in spec:
            yield Issue(pod.owner, "counts a pod that is ready for a moment", "spec")
        for container in pod.spec["containers"]:
            probe = container.get("startupProbe", {})
            start = probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10) + spec.get("minReadySeconds", 0)
            if start > spec["progressDeadlineSeconds"]:
                message = f"gives up after {spec['progressDeadlineSeconds']} s, but a pod can take {start} s to start"
                yield Issue(pod.owner, message, "spec.progressDeadlineSeconds")


@rejects("one host in every environment", ROUTE, add("spec.hostnames", "www.example.com"))
@rejects(
    "a patch of a host that matches nothing", STAGING, change("patches.0.target.name", "shops"),
    also="every_patch_has_a_target", project="ingress",
)  # fmt: skip
@rejects("a patch of the name", STAGING, replace("path: /spec/rules/0/host", "path: /metadata/name"), project="small")
@tree_rule
def every_host_leads_to_one_environment(tree: Tree) -> Iterator[Problem]:
    """No two environments answer under the same host: in one cluster, requests would go to either."""
    namespaces: dict[str, str] = {}
    for env in tree.environments:
        for resource in env.of("Ingress", "HTTPRoute"):
            for host in sorted(_hosts(resource)):
                if namespaces.setdefault(host, env.namespace) != env.namespace:
                    issue = Issue(resource, f"answers under {host}, as {namespaces[host]} does", "spec")
                    yield tree.problem(env.namespace, issue)


def _hosts(resource: Resource) -> set[str]:
    spec = resource["spec"]
    of_rules = {rule["host"] for rule in spec.get("rules", []) if "host" in rule}
    of_tls = {host for tls in spec.get("tls", []) for host in tls.get("hosts", [])}
    return of_rules | of_tls | set(spec.get("hostnames", []))


@rejects("an Ingress to no Service", INGRESS, change("spec.rules.0.http.paths.0.backend.service.name", "shops"))
@rejects("an Ingress to no port", INGRESS, change("spec.rules.0.http.paths.0.backend.service.port.name", "web"))
@rejects("an Ingress with TLS for another host", INGRESS, change("spec.rules.0.host", "shops.example.com"))
@rejects("an Ingress with TLS for an unserved host", INGRESS, add("spec.tls.0.hosts", "www.example.com"), also=HOST)
@rejects("an Ingress with a host without TLS", INGRESS, add("spec.rules", {"host": "www.example.com"}), also=HOST)
@rejects("an HTTPRoute to a port that does not exist", ROUTE, change("spec.rules.0.backendRefs.0.port", 81))
@environment_rule
def every_route_has_a_backend(env: Environment) -> Issues:
    """An Ingress or HTTPRoute leads to a port of a Service; an Ingress with TLS has it for exactly its hosts."""
    for ingress in env.of("Ingress"):
        rules = ingress["spec"].get("rules", [])
        hosts = {host for tls in ingress["spec"].get("tls", []) for host in tls.get("hosts", [])}
        for number, rule in enumerate(rules):
            if hosts and rule.get("host") not in hosts:
                yield Issue(ingress, f"{rule.get('host')} has no TLS", f"spec.rules.{number}.host")
            for index, path in enumerate(rule.get("http", {}).get("paths", [])):
                backend = path["backend"]["service"]
                port = backend["port"].get("name") or backend["port"].get("number")
                place = f"spec.rules.{number}.http.paths.{index}.backend.service"
                yield from _backend(env, ingress, backend["name"], port, place)
        for host in sorted(hosts - {rule.get("host") for rule in rules}):
            yield Issue(ingress, f"has TLS for {host}, and no rule", "spec.tls")
    for route in env.of("HTTPRoute"):
        for number, rule in enumerate(route["spec"]["rules"]):
            for index, backend in enumerate(rule.get("backendRefs", [])):
                place = f"spec.rules.{number}.backendRefs.{index}"
                yield from _backend(env, route, backend["name"], backend["port"], place)


def _backend(env: Environment, route: Resource, name: str, port: str | int, place: str) -> Issues:
    service = env.get("Service", name)
    if not service:
        yield Issue(route, f"there is no Service {name}", place)
    elif port not in [value for item in service["spec"]["ports"] for value in (item["port"], item.get("name"))]:
        yield Issue(route, f"Service {name} has no port {port}", place)


@rejects("an autoscaler of nothing", AUTOSCALER, change("spec.scaleTargetRef.name", "shops"))
@rejects("an autoscaler with its bounds swapped", AUTOSCALER, change("spec.minReplicas", 7))
@rejects("replicas beside an autoscaler", DEPLOYMENT, add("spec.replicas", 2), project="ingress")
@rejects("an unrequested resource", AUTOSCALER, change("spec.metrics.0.resource.name", "ephemeral-storage"))
@rejects("an autoscaler that scales by nothing", AUTOSCALER, remove("spec.metrics"))
@environment_rule
def every_autoscaler_can_scale(env: Environment) -> Issues:
    """A HorizontalPodAutoscaler has a target that leaves the replicas to it, and requests what it scales by."""
    for autoscaler in env.of("HorizontalPodAutoscaler"):
        spec = autoscaler["spec"]
        target = spec["scaleTargetRef"]
        owner = env.get(target["kind"], target["name"])
        if not owner or owner["apiVersion"] != target.get("apiVersion"):
            message = f"there is no {target.get('apiVersion')} {target['kind']} {target['name']}"
            yield Issue(autoscaler, message, "spec.scaleTargetRef")
            continue
        if "replicas" in owner["spec"]:
            message = f"sets replicas, as {name_of(autoscaler)} does: each deploy would undo the scaling"
            yield Issue(owner, message, "spec.replicas")
        if spec.get("minReplicas", 1) > spec["maxReplicas"]:
            message = f"minReplicas {spec['minReplicas']} is above maxReplicas {spec['maxReplicas']}"
            yield Issue(autoscaler, message, "spec.minReplicas")
        if not spec.get("metrics"):
            yield Issue(autoscaler, "scales by nothing", "spec")
        for index, metric in enumerate(spec.get("metrics", [])):
            name = metric["resource"]["name"] if metric["type"] == "Resource" else None
            for container in Pod.of(owner).spec["containers"] if name else []:
                if name not in container.get("resources", {}).get("requests", {}):
                    message = f"container {container['name']} requests no {name}"
                    yield Issue(autoscaler, message, f"spec.metrics.{index}")


@rejects("a budget without evictions", BUDGET, remove("spec.maxUnavailable"), BUDGET, add("spec.minAvailable", 2))
@rejects("a budget of everything", BUDGET, remove("spec.maxUnavailable"), BUDGET, add("spec.minAvailable", "100%"))
@rejects("a budget of no pods", BUDGET, change(f"spec.selector.matchLabels.{NAME}", "shops"))
@rejects("a budget of nothing at all", BUDGET, remove("spec.maxUnavailable"))
@environment_rule
def every_disruption_budget_lets_nodes_drain(env: Environment) -> Issues:
    """A PodDisruptionBudget is for one workload, and allows at least one eviction with the fewest replicas."""
    for budget in env.of("PodDisruptionBudget"):
        spec = budget["spec"]
        pods = env.matching(spec.get("selector", {}).get("matchLabels") or {"": ""})
        if len(pods) != 1:
            message = f"selects the pods of {[pod.name for pod in pods] or 'nothing'}"
            yield Issue(budget, message, "spec.selector")
        if ("minAvailable" in spec) == ("maxUnavailable" in spec):
            yield Issue(budget, "does not set exactly one of minAvailable and maxUnavailable", "spec")
            continue
        for pod in pods:
            least, _ = env.replicas(pod)
            if "maxUnavailable" in spec:
                allowed = share(spec["maxUnavailable"], least)
            else:
                allowed = least - share(spec["minAvailable"], least)
            if allowed < 1:
                message = f"with {least} replicas no pod may ever be evicted, so no node can be drained"
                yield Issue(budget, message, "spec.minAvailable" if "minAvailable" in spec else "spec.maxUnavailable")


def share(value: int | str, of: int) -> int:
    """A number, or a percentage rounded up."""
    return value if isinstance(value, int) else -(-int(value.rstrip("%")) * of // 100)


def settings_of(env: Environment, container: dict[str, Any]) -> dict[str, str]:
    """The environment variables of a container, without those from Secrets."""
    values: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if config := env.get("ConfigMap", source.get("configMapRef", {}).get("name", "")):
            values.update(config.get("data", {}))
    values.update({item["name"]: item["value"] for item in container.get("env", []) if "value" in item})
    return values


@rejects("no ServiceAccount", DEPLOYMENT, change(f"{POD}.serviceAccountName", "shops"))
@rejects("a missing ConfigMap", MIGRATION, change(f"{POD}.containers.0.envFrom.0.configMapRef.name", "shops"))
@rejects("a missing Secret", DEPLOYMENT, change(f"{POD}.volumes.[name=database].secret.secretName", "shop-db"))
@rejects("a missing pull secret", "kubernetes/base/serviceaccount.yaml", change("imagePullSecrets.0.name", "none"))
@rejects("a certificate that nobody makes", INGRESS, change("spec.tls.0.secretName", "shop-cert"))
@rejects("a missing key", DEPLOYMENT, add(f"{POD}.volumes.[name=database].secret.items", [{"key": "a", "path": "b"}]))
@rejects("a missing volume", BACKUP, change(f"spec.jobTemplate.{POD}.volumes.[name=backups].{CLAIM}", "none"))
@rejects("a pod's missing pull secret", DEPLOYMENT, add(f"{POD}.imagePullSecrets", [{"name": "shop-docker"}]))
@rejects("a missing Secret of settings", DEPLOYMENT, add(f"{CONTAINER}.envFrom", {"secretRef": {"name": "none"}}))
@rejects("a missing key of a ConfigMap", DEPLOYMENT, add(f"{CONTAINER}.env", _key_of("configMapKeyRef", "shop")))
@rejects("a variable's missing key", DEPLOYMENT, add(f"{CONTAINER}.env", _key_of("secretKeyRef", "shop-database")))
@environment_rule
def every_reference_exists(env: Environment) -> Issues:
    """Every ConfigMap, Secret, ServiceAccount, claim and key that is named exists; without it no pod starts."""
    for pod in env.pods:
        for kind, name, keys, place in references(pod):
            made = env.get(kind, name)
            has = {*made.get("data", {}), *made.get("stringData", {})} if made else None
            if kind == "Secret" and not made:
                has = next((known for end, known in SECRETS_FROM_OUTSIDE.items() if name.endswith(end)), None)
            if has is None:
                yield pod.issue(f"there is no {kind} {name}", *place)
            elif keys - has:
                yield pod.issue(f"{kind} {name} has no key {', '.join(sorted(keys - has))}", *place)
    for account in env.of("ServiceAccount"):
        for secret in account.get("imagePullSecrets", []):
            if not secret["name"].endswith(tuple(SECRETS_FROM_OUTSIDE)):
                yield Issue(account, f"there is no Secret {secret['name']}", "imagePullSecrets")
    for ingress in env.of("Ingress"):
        for tls in ingress["spec"].get("tls", []):
            if not tls.get("secretName", "").endswith(tuple(SECRETS_FROM_OUTSIDE)):
                yield Issue(ingress, f"there is no Secret {tls.get('secretName')}", "spec.tls")


def references(pod: Pod) -> Iterator[Reference]:
    """What a pod names, unless it may be missing."""
    none: frozenset[str] = frozenset()
    if "serviceAccountName" in pod.spec:
        yield Reference("ServiceAccount", pod.spec["serviceAccountName"], none, ("serviceAccountName",))
    for secret in pod.spec.get("imagePullSecrets", []):
        yield Reference("Secret", secret["name"], none, ("imagePullSecrets",))
    for container in pod.containers:
        for index, source in enumerate(container.get("envFrom", [])):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in source and not source[key].get("optional"):
                    yield Reference(kind, source[key]["name"], none, (container, f"envFrom.{index}"))
        for item in container.get("env", []):
            for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                ref = item.get("valueFrom", {}).get(key)
                if ref and not ref.get("optional"):
                    variable = (container, f"env.[name={item['name']}]")
                    yield Reference(kind, ref["name"], frozenset([ref["key"]]), variable)
    for volume in pod.spec.get("volumes", []):
        place = (f"volumes.[name={volume['name']}]",)
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            for key, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
                if key in source and not source[key].get("optional"):
                    name = source[key].get("secretName") or source[key]["name"]
                    yield Reference(kind, name, frozenset(item["key"] for item in source[key].get("items", [])), place)
        if "persistentVolumeClaim" in volume:
            yield Reference("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], none, place)


@rejects(
    "an unused ConfigMap", *extra("kubernetes/base", "{apiVersion: v1, kind: ConfigMap, metadata: {name: extra}}\n")
)
@environment_rule
def every_resource_is_used(env: Environment) -> Issues:
    """Something uses each ConfigMap, Secret, ServiceAccount and claim; Grafana finds dashboards by their label."""
    used = {(reference.kind, reference.name) for pod in env.pods for reference in references(pod)}
    used |= {
        (subject["kind"], subject["name"])
        for binding in env.of("RoleBinding", "ClusterRoleBinding")
        for subject in binding.get("subjects", [])
    }
    for resource in env.of("ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim"):
        is_dashboard = "grafana_dashboard" in resource["metadata"].get("labels", {})
        if (resource["kind"], resource["metadata"]["name"]) not in used and not is_dashboard:
            yield Issue(resource, "nothing uses it")


@rejects("a mount without a volume", MIGRATION, change(f"{POD}.containers.0.volumeMounts.[name=tmp].name", "temp"))
@rejects("a volume that nothing mounts", DEPLOYMENT, add(f"{POD}.volumes", {"name": "cache", "emptyDir": {}}))
@rejects(
    "two volumes at one path", DATABASE, change(f"{POD}.containers.0.volumeMounts.[name=postgresql].{PATH}", SECRETS)
)
@rejects("two volumes of one name", DEPLOYMENT, add(f"{POD}.volumes", {"name": "tmp", "emptyDir": {}}))
@environment_rule
def every_mount_has_a_volume(env: Environment) -> Issues:
    """A pod mounts every volume that it has, and no others, each name and each path once."""
    for pod in env.pods:
        volumes = [volume["name"] for volume in pod.spec.get("volumes", [])] + sorted(pod.claims)
        mounts = [(container, mount) for container in pod.containers for mount in container.get("volumeMounts", [])]
        if len(set(volumes)) < len(volumes):
            yield pod.issue(f"has two volumes of one name: {volumes}", "volumes")
        for container, mount in mounts:
            if mount["name"] not in volumes:
                message = f"mounts the volume {mount['name']}, which it does not have"
                yield pod.issue(message, container, f"volumeMounts.[name={mount['name']}]")
        for name in sorted({*volumes} - {mount["name"] for _, mount in mounts}):
            yield pod.issue(f"has the volume {name}, which nothing mounts", f"volumes.[name={name}]")
        for container in pod.containers:
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            if len(set(paths)) < len(paths):
                message = f"{container['name']} mounts two volumes at one path: {paths}"
                yield pod.issue(message, container, "volumeMounts")


@rejects("a probe of a missing port", DEPLOYMENT, change(f"{CONTAINER}.livenessProbe.httpGet.port", "web"))
@rejects("no readiness probe", DEPLOYMENT, remove(f"{CONTAINER}.readinessProbe"))
@rejects("no liveness probe", DEPLOYMENT, remove(f"{CONTAINER}.livenessProbe"))
@rejects("a TCP probe of no port", DEPLOYMENT, change(f"{CONTAINER}.livenessProbe", {"tcpSocket": {"port": "web"}}))
@rejects("a gRPC probe of a missing port", DEPLOYMENT, change(f"{CONTAINER}.livenessProbe", {"grpc": {"port": 8081}}))
@rejects("liveness with the database", DEPLOYMENT, change(f"{CONTAINER}.readinessProbe.httpGet.path", "/livez"))
@rejects("no time for running requests", DEPLOYMENT, change(f"{POD}.terminationGracePeriodSeconds", 20))
@rejects("a pause beyond the grace period", DEPLOYMENT, change(f"{CONTAINER}.lifecycle.preStop.sleep.seconds", 26))
@environment_rule
def every_server_is_probed(env: Environment) -> Issues:
    """A server has three probes of its ports, and time to finish requests; liveness asks for less than readiness."""
    for pod in filter(lambda pod: pod.serves, env.pods):
        for container in pod.spec["containers"]:
            name = container["name"]
            ports = {
                value for port in container.get("ports", []) for value in (port["containerPort"], port.get("name"))
            }
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind)
                if not probe:
                    yield pod.issue(f"{name} has no {kind}", container)
                    continue
                for action in {"httpGet", "tcpSocket", "grpc"} & probe.keys():
                    if probe[action]["port"] not in ports:
                        message = f"the {kind} of {name} asks {probe[action]['port']}, which is no port of it"
                        yield pod.issue(message, container, f"{kind}.{action}.port")
            live, ready = (
                container.get(kind, {}).get("httpGet", {}).get("path") for kind in ("livenessProbe", "readinessProbe")
            )
            if live and live == ready and pod.owner["kind"] != "DaemonSet":
                message = f"liveness and readiness of {name} ask the same {live}"
                yield pod.issue(message, container, "livenessProbe.httpGet.path")
            grace = pod.spec.get("terminationGracePeriodSeconds", 30)
            pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            if container.get("lifecycle") and grace != pause + 25:
                message = f"{grace} s are not a pause of {pause} s, 20 s of running requests and 5 s of slack"
                yield pod.issue(message, "terminationGracePeriodSeconds")


@rejects(
    "a pause for an ingress controller in the cluster",
    DEPLOYMENT, change(f"{CONTAINER}.lifecycle.preStop.sleep.seconds", 5),
    DEPLOYMENT, change("spec.template.spec.terminationGracePeriodSeconds", 30),
    project="github",
)  # fmt: skip
@environment_rule
def every_load_balancer_has_time_to_stop(env: Environment) -> Issues:
    """Behind a cloud load balancer a pod serves for 25 s more: docs/decisions/0003-kubernetes.md has the figures."""
    for pod in env.pods:
        if pod.owner["kind"] == "Deployment" and any(
            service["spec"].get("type") == "LoadBalancer" for service in env.of("Service")
        ):
            (container,) = pod.spec["containers"]
            if container["lifecycle"]["preStop"]["sleep"]["seconds"] < 25:
                yield pod.issue("stops before a load balancer knows", container, "lifecycle.preStop.sleep.seconds")


@rejects("a spread over other pods", DEPLOYMENT, change(f"{SPREAD}.labelSelector.matchLabels.{NAME}", "shops"))
@rejects("pods kept apart from other pods", DEPLOYMENT, change(f"{APART}.labelSelector.matchLabels.{NAME}", "shops"))
@environment_rule
def every_pod_is_spread_over_its_own(env: Environment) -> Issues:
    """Affinities and topology spread constraints count the pods of the same workload."""
    for pod in env.pods:
        terms = [("topologySpreadConstraints", term) for term in pod.spec.get("topologySpreadConstraints", [])]
        for kind, affinity in pod.spec.get("affinity", {}).items():
            for items in affinity.values():
                terms += [(f"affinity.{kind}", item) for item in items if isinstance(items, list)]
        for place, term in terms:
            labels = term.get("podAffinityTerm", term).get("labelSelector", {}).get("matchLabels")
            if labels is not None and not labels.items() <= pod.labels.items():
                yield pod.issue(f"is spread over pods with {labels}, which it does not have", place)


@rejects("latest", DEPLOYMENT, change(f"{CONTAINER}.image", "docker.io/acme/shop:latest"))
@rejects("no tag", DEPLOYMENT, change(f"{CONTAINER}.image", "docker.io/acme/shop"))
@environment_rule
def every_image_has_a_version(env: Environment) -> Issues:
    """An image has a digest, or a tag with a version."""
    for pod in env.pods:
        for container in pod.containers:
            image = container.get("image", "")
            tag = image.split("@")[0].rsplit("/", 1)[-1].partition(":")[2]
            if "@sha256:" not in image and tag in ("", "latest"):
                message = f"{container['name']} runs {image or 'no image'}, which names no version"
                yield pod.issue(message, container, "image")


@rejects("an unfinished expression", ALERTS, change("spec.groups.0.rules.0.expr", "absent(up({"))
@rejects("a missing function", "kubernetes/monitoring/dashboard.json", replace("histogram_quantile(", "quantil("))
@environment_rule
def every_expression_is_promql(env: Environment) -> Issues:
    """Prometheus can read every expression of alerts and of Grafana's dashboards."""
    for resource in env.of("PrometheusRule", "ConfigMap"):
        documents = [resource["spec"]] if "spec" in resource else []
        if "grafana_dashboard" in resource["metadata"].get("labels", {}):
            documents += [json.loads(text) for text in resource.get("data", {}).values()]
        for expression in values_of("expr", documents):
            try:
                promql_parser.parse(re.sub(r"\$__\w+", "5m", expression))  # Grafana fills in its own durations
            except ValueError as error:
                yield Issue(resource, f"{error}: {expression}")
