"""What the API server of a cluster would refuse, as kubeconform sees it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.harness import Problem, add, change, rejects, remove
from tests.rules.kubernetes.environment import Issue, Tree, tree_rule

DEPLOYMENT = "kubernetes/base/deployment.yaml"
POLICY = "kubernetes/base/egress-networkpolicy.yaml"
BUDGET = "kubernetes/base/poddisruptionbudget.yaml"
SERVICE = "kubernetes/base/service.yaml"
ALERTS = "kubernetes/overlays/production/prometheusrule.yaml"
EXTERNAL_SECRET = "kubernetes/secrets/database-externalsecret.yaml"  # noqa: S105
SPEC = "spec.template.spec"
CONTAINER = f"{SPEC}.containers.[name=shop]"


@rejects("an unknown field", DEPLOYMENT, add(f"{SPEC}.enableServiceLinkz", False))
@rejects("a field of the wrong type", DEPLOYMENT, change(f"{SPEC}.terminationGracePeriodSeconds", "soon"))
@rejects("a removed API version", BUDGET, change("apiVersion", "policy/v1beta1"))
@rejects("an unknown kind", SERVICE, change("kind", "Servise"))
@rejects("a memory unit that does not exist", DEPLOYMENT, change(f"{CONTAINER}.resources.requests.memory", "256Mib"))
@rejects("a protocol in lower case", POLICY, change("spec.egress.0.ports.0.protocol", "udp"))
@rejects("a port beyond the last", DEPLOYMENT, change(f"{CONTAINER}.ports.[name=http].containerPort", 80800))
@rejects("a name with an underscore", BUDGET, change("metadata.name", "my_shop"))
@rejects("an invalid label", DEPLOYMENT, change("spec.template.metadata.labels.'app.kubernetes.io/name'", "the api"))
@rejects("a long port name", "kubernetes/database/service.yaml", change("spec.ports.0.targetPort", "the-databaseport"))
@rejects("a bad path type", "kubernetes/base/ingress.yaml", change("spec.rules.0.http.paths.0.pathType", "Prefixed"))
@rejects("an unknown field in an HTTPRoute", "kubernetes/base/httproute.yaml", add("spec.parents", []))
@rejects("null", DEPLOYMENT, change(f"{SPEC}.volumes.[name=tmp].emptyDir.sizeLimit", None))
@rejects("null that the published schema allows", DEPLOYMENT, change(f"{SPEC}.terminationGracePeriodSeconds", None))
@rejects("null in a list", DEPLOYMENT, change(f"{SPEC}.volumes.[name=tmp].emptyDir", None))
@rejects("a service type that does not exist", SERVICE, change("spec.type", "Cluster"))
@rejects("an image with a capital", DEPLOYMENT, change(f"{CONTAINER}.image", "Docker.io/acme/shop:1"))
@rejects("a Service with a digit first", "kubernetes/monitoring/service.yaml", change("metadata.name", "9-metrics"))
@rejects("an unknown field in an ExternalSecret", EXTERNAL_SECRET, add("spec.data.0.remote", {}))
@rejects("a refresh that is no duration", EXTERNAL_SECRET, change("spec.refreshInterval", "hourly"))
@rejects("an unknown field in a ServiceMonitor", "kubernetes/monitoring/servicemonitor.yaml", add("spec.endpoint", []))
@rejects("an alert without an expression", ALERTS, remove("spec.groups.0.rules.0.expr"))
@rejects("a severity that nobody handles", ALERTS, change("spec.groups.0.rules.0.labels.severity", "critical"))
@rejects("a Gateway without a listener", "kubernetes/local/gateway.yaml", remove("spec.listeners"))
@rejects(
    "a redirect to an unknown scheme", "kubernetes/base/httproute-redirect.yaml",
    change("spec.rules.0.filters.0.requestRedirect.scheme", "ftp"),
)  # fmt: skip
@tree_rule
def every_resource_matches_its_schema(tree: Tree) -> Iterator[Problem]:
    """Resources match the strict schema of their kind, of the oldest and of the newest version of Kubernetes."""
    for one in tree.built:
        namespace = one.resource.get("metadata", {}).get("namespace") or "cluster"
        for error in one.errors:
            message = f"{error.pointer}: {error.message}" if error.pointer else error.message
            yield tree.problem(namespace, Issue(one.resource, message, error.pointer))
