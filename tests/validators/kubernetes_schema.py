"""The published Kubernetes schemas, strict, with the enums, patterns and ranges that they leave out."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate

from tests.validators import custom_resources
from tests.validators.custom_resources import DNS_LABEL, LABEL, NAME, PORT, SUBDOMAIN

Resource = dict[str, Any]

_QUALIFIED_NAME = rf"^({LABEL}(\.{LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$"

_LABELS = {
    "propertyNames": {"pattern": _QUALIFIED_NAME},
    "additionalProperties": {"type": "string", "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"},
}
_PORT_OR_NAME = {"anyOf": [{"type": "integer", **PORT}, {"type": "string", "pattern": f"^{LABEL}$", "maxLength": 15}]}
_PROTOCOL = {"enum": ["TCP", "UDP", "SCTP"]}
_IMAGE = {"type": "string", "pattern": r"^[a-z0-9][a-z0-9.:/_-]*(@sha256:[0-9a-f]{64})?$"}
_PROBE = {"periodSeconds": {"minimum": 1}, "timeoutSeconds": {"minimum": 1}, "failureThreshold": {"minimum": 1}}

# What the API server checks beyond the published schemas, by definition and property.
_RULES: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {
        "name": NAME,
        "namespace": DNS_LABEL,
        "labels": _LABELS,
        "annotations": {"propertyNames": {"pattern": _QUALIFIED_NAME}, "additionalProperties": {"type": "string"}},
    },
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector": {"matchLabels": _LABELS},
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement": {
        "operator": {"enum": ["In", "NotIn", "Exists", "DoesNotExist"]}
    },
    "io.k8s.api.core.v1.ServicePort": {
        "name": DNS_LABEL,
        "port": PORT,
        "nodePort": {"minimum": 30000, "maximum": 32767},
        "targetPort": _PORT_OR_NAME,
        "protocol": _PROTOCOL,
    },
    "io.k8s.api.core.v1.ServiceSpec": {
        "type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]},
        "externalTrafficPolicy": {"enum": ["Cluster", "Local"]},
        "internalTrafficPolicy": {"enum": ["Cluster", "Local"]},
        "sessionAffinity": {"enum": ["None", "ClientIP"]},
        "selector": _LABELS,
    },
    "io.k8s.api.core.v1.ContainerPort": {
        "name": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 15},
        "containerPort": PORT,
        "hostPort": PORT,
        "protocol": _PROTOCOL,
    },
    "io.k8s.api.core.v1.Container": {
        "name": DNS_LABEL,
        "image": _IMAGE,
        "imagePullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
        "terminationMessagePolicy": {"enum": ["File", "FallbackToLogsOnError"]},
    },
    "io.k8s.api.core.v1.EnvVar": {"name": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}, "value": {"type": "string"}},
    "io.k8s.api.core.v1.ConfigMap": {"data": {"additionalProperties": {"type": "string"}}},
    "io.k8s.api.core.v1.VolumeMount": {"mountPath": {"pattern": "^/[^:]*$"}},
    "io.k8s.api.core.v1.Volume": {"name": DNS_LABEL},
    "io.k8s.api.core.v1.SecretVolumeSource": {"defaultMode": {"minimum": 0, "maximum": 0o777}, "secretName": NAME},
    "io.k8s.api.core.v1.ConfigMapVolumeSource": {"defaultMode": {"minimum": 0, "maximum": 0o777}},
    "io.k8s.api.core.v1.EmptyDirVolumeSource": {"medium": {"enum": ["", "Memory"]}},
    "io.k8s.api.core.v1.Probe": _PROBE,
    "io.k8s.api.core.v1.HTTPGetAction": {
        "path": {"pattern": "^/"},
        "port": _PORT_OR_NAME,
        "scheme": {"enum": ["HTTP", "HTTPS"]},
    },
    "io.k8s.api.core.v1.SeccompProfile": {"type": {"enum": ["RuntimeDefault", "Localhost", "Unconfined"]}},
    "io.k8s.api.core.v1.PodSecurityContext": {"fsGroupChangePolicy": {"enum": ["OnRootMismatch", "Always"]}},
    "io.k8s.api.core.v1.PodSpec": {
        "restartPolicy": {"enum": ["Always", "OnFailure", "Never"]},
        "dnsPolicy": {"enum": ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]},
        "serviceAccountName": NAME,
        "nodeSelector": _LABELS,
        "terminationGracePeriodSeconds": {"minimum": 0},
    },
    "io.k8s.api.core.v1.Toleration": {
        "operator": {"enum": ["Exists", "Equal"]},
        "effect": {"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
    },
    "io.k8s.api.core.v1.TopologySpreadConstraint": {
        "maxSkew": {"minimum": 1},
        "whenUnsatisfiable": {"enum": ["DoNotSchedule", "ScheduleAnyway"]},
    },
    "io.k8s.api.core.v1.PersistentVolumeClaimSpec": {
        "accessModes": {
            "minItems": 1,
            "items": {"enum": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]},
        },
        "volumeMode": {"enum": ["Filesystem", "Block"]},
    },
    "io.k8s.api.core.v1.LimitRangeItem": {"type": {"enum": ["Pod", "Container", "PersistentVolumeClaim"]}},
    "io.k8s.api.apps.v1.DeploymentSpec": {"replicas": {"minimum": 0}, "revisionHistoryLimit": {"minimum": 1}},
    "io.k8s.api.apps.v1.DeploymentStrategy": {"type": {"enum": ["RollingUpdate", "Recreate"]}},
    "io.k8s.api.apps.v1.StatefulSetSpec": {
        "replicas": {"minimum": 0},
        "podManagementPolicy": {"enum": ["OrderedReady", "Parallel"]},
    },
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec": {
        "minReplicas": {"minimum": 1},
        "maxReplicas": {"minimum": 1},
    },
    "io.k8s.api.autoscaling.v2.MetricSpec": {
        "type": {"enum": ["ContainerResource", "External", "Object", "Pods", "Resource"]}
    },
    "io.k8s.api.autoscaling.v2.MetricTarget": {
        "type": {"enum": ["Utilization", "Value", "AverageValue"]},
        "averageUtilization": {"minimum": 1},
    },
    "io.k8s.api.batch.v1.CronJobSpec": {
        "concurrencyPolicy": {"enum": ["Allow", "Forbid", "Replace"]},
        "schedule": {"pattern": r"^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|\S+( \S+){4})$"},
    },
    "io.k8s.api.networking.v1.HTTPIngressPath": {
        "pathType": {"enum": ["Exact", "Prefix", "ImplementationSpecific"]},
        "path": {"pattern": "^/"},
    },
    "io.k8s.api.networking.v1.IngressRule": {"host": {"pattern": rf"^(\*\.)?{SUBDOMAIN[1:]}", "maxLength": 253}},
    "io.k8s.api.networking.v1.NetworkPolicyPort": {"port": _PORT_OR_NAME, "protocol": _PROTOCOL},
    "io.k8s.api.networking.v1.NetworkPolicySpec": {"policyTypes": {"items": {"enum": ["Ingress", "Egress"]}}},
    "io.k8s.api.networking.v1.ServiceBackendPort": {"number": PORT},
    "io.k8s.api.policy.v1.PodDisruptionBudgetSpec": {
        "unhealthyPodEvictionPolicy": {"enum": ["IfHealthyBudget", "AlwaysAllow"]}
    },
    "io.k8s.api.rbac.v1.RoleRef": {"kind": {"enum": ["Role", "ClusterRole"]}},
    "io.k8s.api.rbac.v1.Subject": {"kind": {"enum": ["User", "Group", "ServiceAccount"]}},
    "io.k8s.api.storage.v1.StorageClass": {
        "reclaimPolicy": {"enum": ["Delete", "Retain"]},
        "volumeBindingMode": {"enum": ["Immediate", "WaitForFirstConsumer"]},
    },
}
_QUANTITY = {
    "type": ["string", "number"],
    "pattern": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
}

# A Service's name is a label that starts with a letter; the others get a suffix for their pods and must leave room.
_NAMES = {"Service": r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$", "StatefulSet": r"^.{1,52}$", "CronJob": r"^.{1,52}$"}


class Schemas:
    """The schemas of one minor release of Kubernetes."""

    def __init__(self, minor: str) -> None:
        self.minor = minor
        top = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
        self._folder = top / f"v{minor}.0-local-strict"
        definitions = json.loads((self._folder / "_definitions.json").read_text())
        for name, properties in _RULES.items():
            for key, rule in properties.items():
                definitions["$defs"][name]["properties"][key].update(rule)
        definitions["$defs"]["io.k8s.apimachinery.pkg.api.resource.Quantity"].update(_QUANTITY)
        self._registry = jsonschema_rs.Registry([(definitions["$id"], definitions)])

    @functools.cache  # noqa: B019
    def _validator(self, api_version: str, kind: str) -> jsonschema_rs.Draft202012Validator | None:
        schema = custom_resources.SCHEMAS.get((api_version, kind))
        if not schema:
            group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
            file = self._folder / f"{kind.lower()}-{group}.json"
            if not file.exists():
                return None
            schema = json.loads(file.read_text())
        return jsonschema_rs.Draft202012Validator(schema, registry=self._registry)

    def errors(self, resource: Resource) -> Iterator[str]:
        kind = str(resource.get("kind"))
        validator = self._validator(str(resource.get("apiVersion")), kind)
        if not validator:
            yield f"Kubernetes {self.minor} has no {resource.get('apiVersion')} {kind}"
            return
        for error in validator.iter_errors(resource):
            yield f"{'.'.join(map(str, error.instance_path))}: {error.message}"
        name = resource["metadata"].get("name")
        if not isinstance(name, str) or not re.search(_NAMES.get(kind, "."), name):
            yield f"metadata.name: {name!r} is not a name of a {kind}"
        yield from (f"{path}: null" for path in _nulls(resource, ""))


def _nulls(value: Any, path: str) -> Iterator[str]:
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _nulls(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nulls(item, f"{path}.{index}")
