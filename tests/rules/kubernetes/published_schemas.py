"""The published schemas of Kubernetes for kubeconform, with what the API server checks beyond them.

The published schemas hold no enums, patterns or ranges, and allow null nearly everywhere: they pass `protocol: tcp`
and `memory: 256Mib`. RULES adds what the API server refuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import kubernetes_validate

from tests.rules.kubernetes.custom_resources import DNS_LABEL, LABEL, NAME, PORT, SCHEMAS, SUBDOMAIN

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
RULES: dict[str, dict[str, Any]] = {
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
_NAMES: dict[str, str] = {
    "Service": r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$",
    "StatefulSet": r"^.{1,52}$",
    "CronJob": r"^.{1,52}$",
}


def write(folder: Path, minors: Iterable[str]) -> str:
    """Write the schemas of these minor releases, a file a definition, and return where kubeconform finds them."""
    for minor in minors:
        (folder / f"v{minor}.0").mkdir()
        for name, schema in _schemas(minor).items():
            text = json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
            (folder / f"v{minor}.0/{name}.json").write_text(re.sub(r'"#/\$defs/([^"]+)"', r'"\1.json"', text))
    return f"{folder}/{{{{ .NormalizedKubernetesVersion }}}}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"


def _schemas(minor: str) -> dict[str, Any]:
    """Return every definition, and the schema of every kind under the name by which kubeconform looks for it."""
    folder = Path(kubernetes_validate.__file__).parent / f"kubernetes-json-schema/v{minor}.0-local-strict"
    found: dict[str, Any] = _strict(json.loads((folder / "_definitions.json").read_text())["$defs"])
    for name, properties in RULES.items():
        for key, rule in properties.items():
            found[name]["properties"][key].update(rule)
    found["io.k8s.apimachinery.pkg.api.resource.Quantity"] = _QUANTITY
    kinds = {
        (f"{kind['group']}/{kind['version']}".removeprefix("/"), kind["kind"]): {"$ref": f"#/$defs/{name}"}
        for name, definition in found.items()
        for kind in definition.get("x-kubernetes-group-version-kind", [])
    }
    return found | {
        f"{kind}-{re.sub(r'[.][^/]*', '', version).replace('/', '-')}".lower(): {
            "allOf": [schema],
            "required": ["metadata"],
            "properties": {
                "apiVersion": {"const": version},
                "metadata": {"required": ["name"], "properties": {"name": {"pattern": _NAMES.get(kind, ".")}}},
            },
        }
        for (version, kind), schema in (kinds | SCHEMAS).items()
    }


def _strict(value: Any) -> Any:
    """Remove null, which is never intended, and descriptions, which are slow to parse."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items() if key != "description" or isinstance(item, dict)}
    if isinstance(value, list):
        return [_strict(item) for item in value if item != "null"]
    return value
