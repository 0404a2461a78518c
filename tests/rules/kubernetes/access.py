"""Security contexts of pods, roles in a namespace, and the initial state of a namespace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.harness import add, change, rejects, remove, replace
from tests.rules.kubernetes.build import extra
from tests.rules.kubernetes.environment import Environment, Issue, Issues, environment_rule
from tests.rules.tables import table

CLUSTER_ROLES = {"view", "edit", "admin", "cluster-admin"}
"""The roles that every cluster has."""
CLUSTER_SCOPED = {"ClusterRole", "ClusterRoleBinding", "GatewayClass", "Namespace", "PriorityClass", "StorageClass"}
LOGS = "-logs"
"""The end of the one namespace whose pods may read the node's files: the log agent's."""
RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip

DEPLOYMENT = "kubernetes/base/deployment.yaml"
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.[name=shop]"
BASE, NAMESPACE = "kubernetes/base", "kubernetes/namespace/kustomization.yaml"
BACKUP, AGENT = "kubernetes/database/backup-cronjob.yaml", "kubernetes/cluster/logs/daemonset.yaml"
SETTINGS, DATABASE = "kubernetes/base/config.env", "kubernetes/database/statefulset.yaml"
ENFORCE, VERSION = "'pod-security.kubernetes.io/enforce'", "'pod-security.kubernetes.io/enforce-version'"
NODE = {"name": "tmp", "hostPath": {"path": "/a"}}
ROLE_OF_CI = "kubernetes/namespace/deployer-role.yaml"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: extra}\nstringData: {password: /x}\n"  # noqa: S105
BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: shop
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {}
  name: {}
subjects:
  - kind: ServiceAccount
    name: {}
    namespace: shop-production
"""
ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: shop
rules:
  - apiGroups: [""]
    resources: [pods]
    verbs: [{}]
"""


@rejects("a folder of the node", DEPLOYMENT, change(f"{POD}.volumes.[name=tmp]", NODE))
@rejects("a port of the node", DEPLOYMENT, add(f"{CONTAINER}.ports.[name=http].hostPort", 8080))
@rejects("a folder of the node for a backup", BACKUP, change(f"spec.jobTemplate.{POD}.volumes.[name=tmp]", NODE))
@rejects("a log agent with capabilities", AGENT, change(f"{POD}.containers.0.securityContext.capabilities.drop", []))
@rejects("a loose namespace", "kubernetes/namespace/namespace.yaml", change(f"metadata.labels.{ENFORCE}", "baseline"))
@rejects("a standard that changes", "kubernetes/namespace/namespace.yaml", remove(f"metadata.labels.{VERSION}"))
@rejects("a pod with hostNetwork", DEPLOYMENT, add(f"{POD}.hostNetwork", True))
@rejects("a pod with hostPID", DEPLOYMENT, add(f"{POD}.hostPID", True))
@rejects("a pod with hostIPC", DEPLOYMENT, add(f"{POD}.hostIPC", True))
@rejects("a pod with shareProcessNamespace", DEPLOYMENT, add(f"{POD}.shareProcessNamespace", True))
@rejects("a root user", DEPLOYMENT, change(f"{POD}.securityContext.runAsUser", 0))
@rejects("the root group", DEPLOYMENT, change(f"{POD}.securityContext.runAsGroup", 0))
@rejects("no seccomp profile", DEPLOYMENT, change(f"{POD}.securityContext.seccompProfile.type", "Unconfined"))
@rejects("privileges", DEPLOYMENT, change(f"{CONTAINER}.securityContext.allowPrivilegeEscalation", True))
@rejects("capabilities", DEPLOYMENT, change(f"{CONTAINER}.securityContext.capabilities.drop", ["NET_RAW"]))
@rejects("a writable file system", DEPLOYMENT, change(f"{CONTAINER}.securityContext.readOnlyRootFilesystem", False))
@rejects("a token of the API", DEPLOYMENT, change(f"{POD}.automountServiceAccountToken", True))
@environment_rule
def every_pod_is_restricted(env: Environment) -> Issues:
    """Pods follow the Pod Security Standard "restricted", which the namespace enforces, and a little more."""
    reads_node = env.namespace.endswith(LOGS)
    for namespace in env.of("Namespace"):
        level = namespace["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce")
        if env.pods and not reads_node and level != "restricted":
            yield Issue(namespace, "does not enforce the restricted Pod Security Standard", "metadata.labels")
        version = namespace["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce-version")
        if env.pods and not reads_node and version != f"v{table('versions', 'kubernetes')['oldest']}":
            yield Issue(namespace, f"enforces the version {version} of the standard", "metadata.labels")
    for pod in env.pods:
        for key in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
            if pod.spec.get(key):
                yield pod.issue(f"sets {key}", key)
        for volume in pod.spec.get("volumes", []):
            others = volume.keys() - {"name"} - RESTRICTED_VOLUMES - ({"hostPath"} if reads_node else set())
            if others:
                yield pod.issue(
                    f"volume {volume['name']} is {', '.join(sorted(others))}", f"volumes.[name={volume['name']}]"
                )
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield pod.issue("mounts the token of its ServiceAccount", "automountServiceAccountToken")
        for container in pod.containers:
            for problem in _privileges(pod.spec.get("securityContext", {}), container, reads_node=reads_node):
                yield pod.issue(f"{container['name']} {problem}", container, "securityContext")


def _privileges(of_pod: Mapping[str, Any], container: Mapping[str, Any], *, reads_node: bool) -> list[str]:
    """What a container may do, and should not."""
    own = container.get("securityContext", {})
    both = {**of_pod, **own}
    capabilities = own.get("capabilities", {})
    is_root = (
        both.get("runAsNonRoot") is not True or not isinstance(both.get("runAsUser"), int) or not both["runAsUser"]
    )
    problems = {
        "may run as root": is_root and not reads_node,
        "runs in group 0": not both.get("runAsGroup") and not reads_node,
        "has no seccomp profile": both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"),
        "may gain privileges": own.get("allowPrivilegeEscalation") is not False or bool(own.get("privileged")),
        "keeps capabilities": capabilities.get("drop") != ["ALL"] or bool(capabilities.get("add")),
        "can write to its root file system": own.get("readOnlyRootFilesystem") is not True,
        "opens a port of the node": any("hostPort" in port for port in container.get("ports", [])),
    }
    return [problem for problem, is_so in problems.items() if is_so]


@rejects("a password in the settings", SETTINGS, replace("DATABASE_NAME=app", "DATABASE_PASSWORD=app"))
@rejects("a password in the manifest", DATABASE, change(f"{POD}.containers.0.env.[name=POSTGRES_DB].name", "PASSWORD"))
@rejects("a Secret with data", *extra(BASE, SECRET), also="every_resource_is_used")
@environment_rule
def no_manifest_holds_a_secret(env: Environment) -> Issues:
    """Passwords and tokens come from outside: everybody can read a manifest in the repository."""
    for secret in env.of("Secret"):
        if secret.get("data") or secret.get("stringData"):
            yield Issue(secret, "holds a secret that everybody can read in the repository")
    for resource in env.of("ConfigMap"):
        for name, value in resource.get("data", {}).items():
            if _is_secret(name, value):
                yield Issue(resource, f"{name} holds a secret", name)
    for pod in env.pods:
        for container in pod.containers:
            for item in container.get("env", []):
                if _is_secret(item["name"], item.get("value", "")):
                    yield pod.issue(f"{item['name']} holds a secret", container, f"env.[name={item['name']}]")


def _is_secret(name: str, value: str) -> bool:
    """Whether a variable has a secret in it, and not the path of a file with one."""
    is_path = value.startswith("/")
    return bool(re.search(r"(?i)passw(or)?d|secret|token|api_?key", name) and value and not is_path)


@rejects("a missing role", *extra(BASE, BINDING.format("Role", "reader", "shop")))
@rejects("a missing ServiceAccount", *extra(BASE, BINDING.format("ClusterRole", "view", "nobody")))
@rejects("a role that allows everything", *extra(BASE, ROLE.format('"*"')))
@rejects("a missing role of CI", "kubernetes/namespace/deployer-rolebinding.yaml", change("roleRef.name", "deploy"))
@environment_rule
def every_role_binding_has_a_role(env: Environment) -> Issues:
    """A RoleBinding binds a role and ServiceAccounts that exist, and no Role allows everything of a kind."""
    for binding in env.of("RoleBinding"):
        ref = binding["roleRef"]
        if not (ref["name"] in CLUSTER_ROLES if ref["kind"] == "ClusterRole" else env.get("Role", ref["name"])):
            yield Issue(binding, f"there is no {ref['kind']} {ref['name']}", "roleRef")
        for index, subject in enumerate(binding.get("subjects", [])):
            is_here = subject["kind"] == "ServiceAccount" and subject.get("namespace") == env.namespace
            if is_here and not env.get("ServiceAccount", subject["name"]):
                yield Issue(binding, f"there is no ServiceAccount {subject['name']}", f"subjects.{index}")
    for role in env.of("Role"):
        for index, rule in enumerate(role.get("rules", [])):
            if "*" in [*rule.get("verbs", []), *rule.get("resources", []), *rule.get("apiGroups", [])]:
                yield Issue(role, "allows everything of a kind", f"rules.{index}")


@rejects("a policy that CI may not change", ROLE_OF_CI, replace("      - shop-egress\n", ""))
@rejects("a default that CI may open", ROLE_OF_CI, replace("- shop-egress", "- default-deny\n      - shop-egress"))
@environment_rule
def the_deployer_changes_the_policies_of_the_service_alone(env: Environment) -> Issues:
    """CI can change and delete each NetworkPolicy that it deploys, and not the default that denies the rest."""
    role = env.get("Role", "deployer")
    if not role:
        return
    rules = [rule for rule in role["rules"] if "networkpolicies" in rule["resources"] and "patch" in rule["verbs"]]
    names = {name for rule in rules for name in rule.get("resourceNames", ["default-deny"])}
    if "default-deny" in names:
        yield Issue(role, "CI may change the NetworkPolicy default-deny", "rules")
    for policy in env.of("NetworkPolicy"):
        if (name := policy["metadata"]["name"]) not in names | {"default-deny"}:
            yield Issue(role, f"CI may not change the NetworkPolicy {name}", "rules")


@rejects("a Role of no namespace", *extra("kubernetes/cluster", ROLE.format("get")))
@environment_rule
def every_resource_has_a_namespace(env: Environment) -> Issues:
    """What belongs into a namespace names one: without, it lands in whichever is current."""
    for resource in env.resources if not env.namespace else []:
        if resource["kind"] not in CLUSTER_SCOPED:
            yield Issue(resource, "has no namespace")


@rejects("open egress", "kubernetes/cluster/logs/default-deny-networkpolicy.yaml", remove("spec.policyTypes.1"))
@rejects("a namespace without a quota", NAMESPACE, remove("resources.7"), also="every_file_is_in_a_kustomization")
@rejects("a namespace that nothing creates", NAMESPACE, remove("resources.5"), also="every_file_is_in_a_kustomization")
@environment_rule
def every_namespace_starts_closed(env: Environment) -> Issues:
    """Each namespace is created, denies all traffic by default, and has a quota with defaults for containers."""
    if not env.namespace:
        return
    # Problems of a missing namespace are reported for an object in it.
    namespace = next(iter(env.of("Namespace")), env.resources[0])
    if not env.of("Namespace"):
        yield Issue(namespace, "nothing creates its namespace")
    if not env.pods:
        return
    if not env.namespace.endswith(LOGS) and not (env.of("ResourceQuota") and env.of("LimitRange")):
        yield Issue(namespace, "there is no ResourceQuota, or no LimitRange")
    closed = any(
        policy["spec"]["podSelector"] == {}
        and {"Ingress", "Egress"} <= set(policy["spec"]["policyTypes"])
        and not policy["spec"].get("ingress")
        and not policy["spec"].get("egress")
        for policy in env.of("NetworkPolicy")
    )
    if not closed:
        yield Issue(namespace, "there is no NetworkPolicy that denies everything by default")
