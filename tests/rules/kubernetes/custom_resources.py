"""Schemas of custom resources: what the templates use of them, and nothing else.

tests/e2e/kubernetes applies the same resources to an API server that has the operators' own definitions.
"""

from __future__ import annotations

from typing import Any

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"^{LABEL}(\.{LABEL})*$"

NAME = {"type": "string", "pattern": SUBDOMAIN, "maxLength": 253}
DNS_LABEL = {"type": "string", "pattern": f"^{LABEL}$", "maxLength": 63}
PORT = {"minimum": 1, "maximum": 65535}

_TEXT = {"type": "string", "minLength": 1}
_HOST = {"type": "string", "pattern": rf"^(\*\.)?{SUBDOMAIN[1:]}", "maxLength": 253}
_NUMBER = {"type": "integer", **PORT}
# https://prometheus.io/docs/prometheus/latest/configuration/configuration/: <duration>; Go's for External Secrets.
_DURATION = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}
_LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.json"  # the file that schema.py writes


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    """Nothing but these properties, with those required that are named, or all."""
    names = list(properties) if required == "*" else required.split()
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": names}


def _list(items: dict[str, Any], **bounds: int) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items, **bounds}


def _resource(spec: dict[str, Any]) -> dict[str, Any]:
    return _object("*", apiVersion={}, kind={}, metadata={"$ref": _METADATA}, spec=spec)


_BACKENDS = _list(_object("*", name=NAME, port=_NUMBER))
_REDIRECT = _object(
    "*",
    type={"const": "RequestRedirect"},
    requestRedirect=_object("*", scheme={"enum": ["http", "https"]}, statusCode={"enum": [301, 302]}),
)

SCHEMAS: dict[tuple[str, str], dict[str, Any]] = {
    ("gateway.networking.k8s.io/v1", "Gateway"): _resource(
        _object(
            "*",
            gatewayClassName=NAME,
            listeners=_list(
                _object(
                    "*",
                    name=NAME,
                    port=_NUMBER,
                    protocol={"enum": ["HTTP"]},
                    allowedRoutes=_object("*", namespaces=_object("*", **{"from": {"enum": ["All", "Same"]}})),
                )
            ),
        )
    ),
    ("gateway.networking.k8s.io/v1", "GatewayClass"): _resource(
        _object("*", controllerName={"type": "string", "pattern": rf"^{SUBDOMAIN[1:-1]}/[A-Za-z0-9/._~-]+$"})
    ),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): _resource(
        _object(
            "*",
            parentRefs=_list(_object("namespace name", namespace=DNS_LABEL, name=NAME, sectionName=NAME)),
            hostnames=_list(_HOST),
            rules=_list(
                {"oneOf": [_object("*", backendRefs=_BACKENDS), _object("*", filters=_list(_REDIRECT))]}, maxItems=16
            ),
        )
    ),
    ("monitoring.coreos.com/v1", "ServiceMonitor"): _resource(
        _object("*", selector=_object("*", matchLabels=_LABELS), endpoints=_list(_object("*", port=DNS_LABEL)))
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): _resource(
        _object(
            "*",
            groups=_list(
                _object(
                    "*",
                    name=_TEXT,
                    rules=_list(
                        _object(
                            "alert expr labels annotations",
                            alert={"type": "string", "pattern": "^[A-Z][A-Za-z]+$"},
                            expr=_TEXT,
                            **{"for": _DURATION},
                            labels={
                                **_LABELS,
                                "properties": {"severity": {"enum": ["page", "ticket"]}},
                                "required": ["severity"],
                            },
                            annotations=_object("*", summary=_TEXT, description=_TEXT),
                        )
                    ),
                )
            ),
        )
    ),
    ("external-secrets.io/v1", "ExternalSecret"): _resource(
        _object(
            "*",
            refreshInterval=_DURATION,
            secretStoreRef=_object("*", kind={"enum": ["SecretStore", "ClusterSecretStore"]}, name=NAME),
            target=_object("name", name=NAME, template=_object("*", type=_TEXT)),
            data=_list(
                _object(
                    "*",
                    secretKey={"type": "string", "pattern": "^[-._a-zA-Z0-9]+$"},
                    remoteRef=_object("*", key=_TEXT, property=_TEXT),
                )
            ),
        )
    ),
}
