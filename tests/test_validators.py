"""Every check fails when it should: each row breaks one thing in good files, which exactly the named checks see."""

# ruff: noqa: E501

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
import yaml

from tests.judge import Judge
from tests.render import Renderer
from tests.template import Template
from tests.test_files import LOCKED
from tests.validators import (
    Files,
    Finding,
    compose,
    dockerfile,
    go_code,
    kubernetes,
    kustomize,
    makefiles,
    network,
    python_code,
    text,
    typescript_code,
    yaml_files,
)
from tests.validators.fragments import Fragments
from tests.validators.kubernetes_schema import Schemas

DETAILS = {"project_name": "Shop", "service_name": "shop"}
# The projects that are good, and are broken below: the first that holds the path and the text.
GOOD: list[dict[str, str | int | bool]] = [
    {
        **DETAILS, "database": "postgres", "exposure": "ingress", "image_repository": "docker.io/acme/shop",
        "customize": True, "cluster_issuer": "",
    },
    {**DETAILS, "database": "redis", "exposure": "gateway", "image_repository": "docker.io/acme/shop"},
    {
        **DETAILS, "database": "postgres", "exposure": "nodeport", "image_repository": "docker.io/acme/shop",
        "customize": True, "database_hosting": "external", "secrets": "external-secrets", "monitoring": True,
        "log_agent": True, "cluster": "kops", "node_selector": "pool=web", "autoscaling": False,
    },
    {
        **DETAILS, "ci_provider": "gitlab", "database": "mysql", "exposure": "loadbalancer",
        "image_repository": "ghcr.io/acme/shop",
    },
    {
        **DETAILS, "ci_provider": "gitlab", "database": "none", "exposure": "ingress", "replicas": 1,
        "image_repository": "registry.gitlab.com/acme/shop", "customize": True, "tls": False,
    },
    {
        **DETAILS, "database": "none", "exposure": "loadbalancer", "replicas": 1, "ci_provider": "github",
        "image_repository": "ghcr.io/acme/shop",
    },
    {**DETAILS, "language": "typescript", "database": "mysql", "image_repository": "docker.io/acme/shop"},
    {**DETAILS, "language": "go", "database": "postgres", "image_repository": "docker.io/acme/shop"},
]  # fmt: skip


class Row(NamedTuple):
    checks: str  # that see it; none, if it only looks wrong
    broken: str  # what is wrong
    path: str
    old: str
    new: str  # instead of the first `old`


BASE = "kubernetes/base"
DEPLOYMENT, SERVICE, HPA = f"{BASE}/deployment.yaml", f"{BASE}/service.yaml", f"{BASE}/horizontalpodautoscaler.yaml"
DATABASE, POLICY, PDB = (
    "kubernetes/database/statefulset.yaml",
    f"{BASE}/networkpolicy.yaml",
    f"{BASE}/poddisruptionbudget.yaml",
)
KUSTOMIZATION, STAGING = f"{BASE}/kustomization.yaml", "kubernetes/overlays/staging/kustomization.yaml"
ALERTS = "kubernetes/overlays/production/prometheusrule.yaml"
QUOTA, LIMITS = "kubernetes/namespace/resourcequota.yaml", "kubernetes/namespace/limitrange.yaml"
EXTRA = "---\napiVersion: v1\nkind: {}\nmetadata:\n  name: extra\n{}:\n  password: /x\n"
EXTRA_ROLE = """\
---
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
    name: shop
"""
WILD_ROLE = """\
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: shop
rules:
  - apiGroups: [""]
    resources: [pods]
    verbs: ["*"]
"""

KUBERNETES = [
    Row("schema", "an unknown field", DEPLOYMENT, "enableServiceLinks", "enableServiceLinkz"),
    Row("schema", "a field of the wrong type", DEPLOYMENT, "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: soon"),
    Row("schema", "a removed API version", PDB, "policy/v1\n", "policy/v1beta1\n"),
    Row("schema", "an unknown kind", SERVICE, "kind: Service\n", "kind: Servise\n"),
    Row("schema", "a memory unit that does not exist", DEPLOYMENT, "memory: 256Mi", "memory: 256Mib"),
    Row("schema", "a protocol in lower case", POLICY, "protocol: UDP", "protocol: udp"),
    Row("schema", "a port beyond the last", DEPLOYMENT, "containerPort: 8080", "containerPort: 80800"),
    Row("schema", "a name with an underscore", PDB, "name: shop", "name: my_shop"),
    Row("schema", "a label that is no label", DEPLOYMENT, "component: api", "component: the api"),
    Row("schema", "a port name of sixteen letters", "kubernetes/database/service.yaml", "name: database", "name: the_database_port"),
    Row("schema", "a path type that does not exist", f"{BASE}/ingress.yaml", "pathType: Prefix", "pathType: Prefixed"),
    Row("schema", "an unknown field in an HTTPRoute", f"{BASE}/httproute.yaml", "parentRefs", "parents"),
    Row("schema", "null", DEPLOYMENT, "sizeLimit: 64Mi", "sizeLimit:"),
    Row("schema", "a service type that does not exist", SERVICE, "type: ClusterIP", "type: Cluster"),
    Row("schema", "an image with a capital", DEPLOYMENT, "image: docker.io", "image: Docker.io"),
    Row("kustomize", "a duplicate key", DEPLOYMENT, "enableServiceLinks: false", "enableServiceLinks: false\n      enableServiceLinks: true"),
    Row("kustomize + listed", "a resource that does not exist", KUSTOMIZATION, "- deployment.yaml", "- deploymnt.yaml"),
    Row("kustomize", "a resource twice", KUSTOMIZATION, "- service.yaml", "- service.yaml\n  - service.yaml"),
    Row("listed", "a file that no kustomization lists", KUSTOMIZATION, "  - poddisruptionbudget.yaml\n", ""),
    Row("kustomization + selectors", "selectors rewritten by an overlay", STAGING, "includeTemplates: true", "includeSelectors: true"),
    Row("patch + hosts", "a patch that meets nothing", STAGING, "kind: Ingress\n      name: shop", "kind: Ingress\n      name: shops"),
    Row("patch", "a patch without a target that meets nothing", "kubernetes/overlays/local/kustomization.yaml", "kind: HorizontalPodAutoscaler\n      metadata:\n        name: shop", "kind: HorizontalPodAutoscaler\n      metadata:\n        name: shops"),
    Row("replicas", "replicas of nothing", STAGING, "labels:", "replicas:\n  - name: shops\n    count: 2\nlabels:"),
    Row("kustomize", "settings merged into nothing", STAGING, "- name: shop\n    behavior", "- name: shops\n    behavior"),
    Row("kustomize", "settings made twice", STAGING, "    behavior: merge\n", ""),
    Row("kustomize", "an operation on a field that does not exist", STAGING, "path: /spec/rules/0/host", "path: /spec/rules/1/host"),
    Row("kustomize", "two resources of one name", DEPLOYMENT, "apiVersion: apps/v1\n", "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: shop\n---\napiVersion: apps/v1\n"),
    Row("kustomize", "a folder that is a resource of itself", KUSTOMIZATION, "  - deployment.yaml\n", "  - deployment.yaml\n  - ../base\n"),
    Row("image", "an image that no container runs", STAGING, "labels:", "images:\n  - name: docker.io/acme/shops\n    newTag: x\nlabels:"),
    Row("selectors", "a selector that can never change, with a label that does", DEPLOYMENT, "      app.kubernetes.io/name: shop\n  strategy", "      app.kubernetes.io/name: shop\n      app.kubernetes.io/component: api\n  strategy"),
    Row("selectors + services + disruption-budgets + network-policies", "a selector that matches the pods of another workload too", "kubernetes/database/backup-cronjob.yaml", "            app.kubernetes.io/name: shop-backup", "            app.kubernetes.io/name: shop"),
    Row("selectors", "a selector that does not match the pods", DEPLOYMENT, "      app.kubernetes.io/name: shop\n  strategy", "      app.kubernetes.io/name: shops\n  strategy"),
    Row("services", "a Service that selects nothing", SERVICE, "selector:\n    app.kubernetes.io/name: shop", "selector:\n    app.kubernetes.io/name: shops"),
    Row("services", "a Service whose target port does not exist", SERVICE, "targetPort: http", "targetPort: web"),
    Row("services", "a Service that selects two workloads", SERVICE, "app.kubernetes.io/name: shop\n  ports", "app.kubernetes.io/part-of: shop\n  ports"),
    Row("stateful-sets", "a StatefulSet whose Service does not exist", DATABASE, "serviceName: shop-database", "serviceName: shop-db"),
    Row("stateful-sets", "a StatefulSet whose Service is not headless", "kubernetes/database/service.yaml", "clusterIP: None", "type: ClusterIP"),
    Row("backends", "an Ingress to a Service that does not exist", f"{BASE}/ingress.yaml", "                name: shop\n", "                name: shops\n"),
    Row("backends", "an Ingress to a port that does not exist", f"{BASE}/ingress.yaml", "name: http", "name: web"),
    Row("backends", "an Ingress with TLS for another host", f"{BASE}/ingress.yaml", "    - host: shop.example.com", "    - host: shops.example.com"),
    Row("backends", "an HTTPRoute to a port that does not exist", f"{BASE}/httproute.yaml", "port: 80", "port: 81"),
    Row("autoscalers", "an autoscaler of nothing", HPA, "    name: shop\n  minReplicas", "    name: shops\n  minReplicas"),
    Row("autoscalers", "an autoscaler with its bounds swapped", HPA, "minReplicas: 2", "minReplicas: 7"),
    Row("autoscalers", "replicas beside an autoscaler", DEPLOYMENT, "  revisionHistoryLimit: 5", "  replicas: 2\n  revisionHistoryLimit: 5"),
    Row("autoscalers", "an autoscaler by a resource that nobody requests", HPA, "name: cpu", "name: ephemeral-storage"),
    Row("disruption-budgets", "a budget that never lets a pod go", PDB, "maxUnavailable: 1", "minAvailable: 2"),
    Row("disruption-budgets", "a budget of everything", PDB, "maxUnavailable: 1", "minAvailable: 100%"),
    Row("disruption-budgets", "a budget of no pods", PDB, "app.kubernetes.io/name: shop", "app.kubernetes.io/name: shops"),
    Row("network-policies + dependencies", "a policy of no pods", POLICY, "podSelector:\n    matchLabels:\n      app.kubernetes.io/name: shop\n", "podSelector:\n    matchLabels:\n      app.kubernetes.io/name: shops\n"),
    Row("network-policies", "a policy for a port that does not exist", POLICY, "port: metrics", "port: metric"),
    Row("network-policies", "a policy that opens every port", POLICY, "      ports:\n        - port: http\n", ""),
    Row("dependencies + network-policies", "a database that the service may not reach", "kubernetes/database/service-networkpolicy.yaml", "- port: 5432", "- port: 5433"),
    Row("dependencies", "a database that lets nobody in", "kubernetes/database/networkpolicy.yaml", "app.kubernetes.io/name: shop\n        - podSelector", "app.kubernetes.io/name: shop-database\n        - podSelector"),
    Row("dependencies", "no way to DNS", POLICY, "port: 53\n          protocol: UDP", "port: 54\n          protocol: UDP"),
    Row("dependencies", "a database host that does not exist", f"{BASE}/config.env", "DATABASE_HOST=shop-database", "DATABASE_HOST=database"),
    Row("dependencies", "a database port that does not exist", f"{BASE}/config.env", "DATABASE_PORT=5432", "DATABASE_PORT=3306"),
    Row("references + orphans", "a ServiceAccount that does not exist", DEPLOYMENT, "serviceAccountName: shop", "serviceAccountName: shops"),
    Row("references", "a ConfigMap that does not exist", DEPLOYMENT, "- configMapRef:\n                name: shop", "- configMapRef:\n                name: shops"),
    Row("references", "a Secret that nobody makes", DEPLOYMENT, "secretName: shop-database", "secretName: shop-db"),
    Row("references", "a Secret for pulling that nobody makes", f"{BASE}/serviceaccount.yaml", "name: shop-registry", "name: shop-docker"),
    Row("references", "a certificate that nobody makes", f"{BASE}/ingress.yaml", "secretName: shop-tls", "secretName: shop-cert"),
    Row("references", "a key that the Secret does not have", DEPLOYMENT, "secretName: shop-database", "secretName: shop-database\n            items:\n              - key: passwort\n                path: password"),
    Row("orphans", "a ConfigMap that nothing uses", SERVICE, "      targetPort: http\n", "      targetPort: http\n" + EXTRA.format("ConfigMap", "data")),
    Row("volumes", "a mount without a volume", DEPLOYMENT, "            - name: tmp\n              mountPath", "            - name: temp\n              mountPath"),
    Row("volumes", "a volume that nothing mounts", DEPLOYMENT, "      volumes:\n", "      volumes:\n        - name: cache\n          emptyDir: {}\n"),
    Row("volumes", "two volumes at one path", DATABASE, "mountPath: /var/run/postgresql", "mountPath: /tmp"),
    Row("probes", "a probe of a port that does not exist", DEPLOYMENT, "path: /livez\n              port: http", "path: /livez\n              port: web"),
    Row("probes", "no readiness probe", DEPLOYMENT, "          readinessProbe:\n            httpGet:\n              path: /readyz\n              port: http\n            periodSeconds: 5\n            timeoutSeconds: 2\n", ""),
    Row("probes", "liveness that asks the database too", DEPLOYMENT, "path: /readyz", "path: /livez"),
    Row("probes", "no time for running requests", DEPLOYMENT, "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 20"),
    Row("resources", "a request above the limit", DATABASE, "limits:\n              memory: 512Mi", "limits:\n              memory: 511Mi"),
    Row("resources", "no request for CPU", DATABASE, "              cpu: 250m\n", ""),
    Row("resources", "no limit of memory", DATABASE, "limits:\n              memory: 512Mi", "limits:\n              cpu: 1"),
    Row("restricted", "a root user", DEPLOYMENT, "runAsUser: 65532", "runAsUser: 0"),
    Row("restricted", "the root group", DEPLOYMENT, "runAsGroup: 65532", "runAsGroup: 0"),
    Row("restricted", "no seccomp profile", DEPLOYMENT, "type: RuntimeDefault", "type: Unconfined"),
    Row("restricted", "privileges", DEPLOYMENT, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"),
    Row("restricted", "capabilities", DEPLOYMENT, "- ALL", "- NET_RAW"),
    Row("restricted", "a root file system that can be written", DEPLOYMENT, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
    Row("restricted", "a token of the API", DEPLOYMENT, "automountServiceAccountToken: false", "automountServiceAccountToken: true"),
    Row("restricted", "the node's network", DEPLOYMENT, "enableServiceLinks: false", "hostNetwork: true"),
    Row("restricted", "a folder of the node", DEPLOYMENT, "emptyDir:\n            medium: Memory\n            sizeLimit: 64Mi", "hostPath:\n            path: /tmp"),
    Row("restricted", "a port of the node", DEPLOYMENT, "containerPort: 8080", "containerPort: 8080\n              hostPort: 8080"),
    Row("restricted", "a namespace that enforces nothing", "kubernetes/namespace/namespace.yaml", "enforce: restricted", "enforce: baseline"),
    Row("images", "latest", DEPLOYMENT, ":set-by-make-deploy", ":latest"),
    Row("images", "no tag", DEPLOYMENT, ":set-by-make-deploy", ""),
    Row("secrets", "a password in the settings", f"{BASE}/config.env", "DATABASE_NAME=app", "DATABASE_NAME=app\nDATABASE_PASSWORD=app"),
    Row("secrets", "a password in the manifest", DATABASE, "- name: POSTGRES_DB\n", "- name: POSTGRES_PASSWORD\n"),
    Row("secrets + orphans", "a Secret with data", SERVICE, "      targetPort: http\n", "      targetPort: http\n" + EXTRA.format("Secret", "stringData")),
    Row("spread", "pods spread over pods of others", DEPLOYMENT, "labelSelector:\n            matchLabels:\n              app.kubernetes.io/name: shop", "labelSelector:\n            matchLabels:\n              app.kubernetes.io/name: shops"),
    Row("roles", "a role that does not exist", SERVICE, "      targetPort: http\n", "      targetPort: http\n" + EXTRA_ROLE.format("Role", "reader")),
    Row("roles", "a role that allows everything", SERVICE, "      targetPort: http\n", "      targetPort: http\n" + WILD_ROLE + EXTRA_ROLE.format("Role", "shop")),
    Row("quota", "a quota too small for a rollout", QUOTA, 'pods: "12"', 'pods: "7"'),
    Row("quota", "a quota without room for the claim", QUOTA, "persistentvolumeclaims: \"2\"", "persistentvolumeclaims: \"1\""),
    Row("quota", "a quota of something unknown", QUOTA, "pods:", 'count/pods: "12"\n    pods:'),
    Row("limits", "a default request above the default limit", LIMITS, "memory: 128Mi", "memory: 512Mi"),
    Row("limits", "a claim above the maximum", LIMITS, "storage: 10Gi", "storage: 1Gi"),
    Row("namespace + network-policies", "a namespace that is open", "kubernetes/namespace/networkpolicy.yaml", "podSelector: {}", "podSelector:\n    matchLabels:\n      a: b"),
    Row("namespace", "a namespace that is open to the outside", "kubernetes/namespace/networkpolicy.yaml", "    - Egress\n", ""),
    Row("namespace + listed", "a namespace without a quota", "kubernetes/namespace/kustomization.yaml", "  - resourcequota.yaml\n", ""),
    Row("schema", "an unknown field in an ExternalSecret", "kubernetes/secrets/database-externalsecret.yaml", "remoteRef", "remote"),
    Row("schema", "a refresh that is no duration", "kubernetes/secrets/database-externalsecret.yaml", "refreshInterval: 1h", "refreshInterval: hourly"),
    Row("schema", "an unknown field in a ServiceMonitor", "kubernetes/monitoring/servicemonitor.yaml", "endpoints", "endpoint"),
    Row("schema", "an alert without an expression", "kubernetes/overlays/production/prometheusrule.yaml", "          expr: |", "          expression: |"),
    Row("expressions", "an alert that Prometheus does not read", "kubernetes/overlays/production/prometheusrule.yaml", "absent(up{", "absent(up({"),
    Row("expressions", "a panel of a function that does not exist", "kubernetes/monitoring/dashboard.json", "histogram_quantile(0.5,", "histogram_quantil(0.5,"),
    Row("schema", "a severity that nobody handles", "kubernetes/overlays/production/prometheusrule.yaml", "severity: page", "severity: critical"),
    Row("schema", "a Gateway without a listener", "kubernetes/local/gateway.yaml", "listeners:", "listener:"),
    Row("schema", "a redirect to an unknown scheme", f"{BASE}/httproute-redirect.yaml", "scheme: https", "scheme: ftp"),
    Row("services", "metrics that no pod serves", "kubernetes/monitoring/service.yaml", "targetPort: metrics", "targetPort: metric"),
    Row("dependencies", "a database outside that the service may not reach", "kubernetes/overlays/production/database-networkpolicy.yaml", "port: 5432", "port: 5433"),
    Row("quota", "a quota without room for a Service", QUOTA, 'services: "5"', 'services: "1"'),
    Row("quota", "a quota without room for the Secrets", QUOTA, 'secrets: "20"', 'secrets: "0"'),
    Row("quota", "a quota without room for the CronJobs", QUOTA, 'count/cronjobs.batch: "4"', 'count/cronjobs.batch: "1"'),
    Row("quota", "a quota without room for the finished jobs", QUOTA, 'count/jobs.batch: "20"', 'count/jobs.batch: "3"'),
    Row("restricted", "a log agent with capabilities", "kubernetes/cluster/logs/daemonset.yaml", "- ALL", "- NET_RAW"),
    Row("restricted", "a folder of the node for the service", "kubernetes/database/backup-cronjob.yaml", "emptyDir:\n                sizeLimit: 64Mi", "hostPath:\n                path: /tmp"),
    Row("namespace", "logs in a namespace that is open", "kubernetes/cluster/logs/default-deny-networkpolicy.yaml", "    - Egress\n", ""),
    Row("roles", "a deployer without a role", "kubernetes/namespace/deployer-rolebinding.yaml", "kind: Role\n  name: deployer", "kind: Role\n  name: deploy"),
    Row("references", "a volume for backups that does not exist", "kubernetes/database/backup-cronjob.yaml", "claimName: shop-backup", "claimName: shop-backups"),
    Row("hosts", "one host in every environment", f"{BASE}/httproute.yaml", "  hostnames:\n", "  hostnames:\n    - www.example.com\n"),
    Row("schema", "null where the published schema has it too", DEPLOYMENT, "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds:"),
    Row("schema", "null in a list", DEPLOYMENT, "          emptyDir:\n            medium: Memory\n            sizeLimit: 64Mi", "          emptyDir:"),
    Row("kustomization", "a kustomization without a version", KUSTOMIZATION, "apiVersion: kustomize.config.k8s.io/v1beta1\n", ""),
    Row("patch", "a patch in a file that meets nothing", KUSTOMIZATION, "  - poddisruptionbudget.yaml\n  - service.yaml\n  - serviceaccount.yaml\n", "  - service.yaml\n  - serviceaccount.yaml\npatches:\n  - path: poddisruptionbudget.yaml\n"),
    Row("", "an image that a container runs", STAGING, "labels:", "images:\n  - name: docker.io/acme/shop\n    newTag: x\nlabels:"),
    Row("", "a patch that meets a generated ConfigMap", STAGING, "  - target:\n", "  - target:\n      kind: ConfigMap\n      name: shop\n    patch: |\n      - {op: add, path: /data/A, value: b}\n  - target:\n"),
    Row("services", "a Service with two ports of one name", SERVICE, "      targetPort: http\n", "      targetPort: http\n    - name: http\n      port: 81\n      targetPort: http\n"),
    Row("disruption-budgets", "a budget of nothing at all", PDB, "  maxUnavailable: 1\n", ""),
    Row("volumes", "two volumes of one name", DEPLOYMENT, "      volumes:\n", "      volumes:\n        - name: tmp\n          emptyDir: {}\n"),
    Row("schema", "a Service whose name starts with a digit", "kubernetes/monitoring/service.yaml", "  name: shop-metrics\n", "  name: 9-metrics\n"),
    Row("namespaced", "a Role of no namespace", "kubernetes/cluster/storageclass.yaml", "apiVersion: storage", WILD_ROLE.replace("---\n", "").replace('"*"', "get") + "---\napiVersion: storage"),
    Row("stateful-sets + services + dependencies", "a headless Service of other pods", "kubernetes/database/service.yaml", "  selector:\n    app.kubernetes.io/name: shop-database", "  selector:\n    app.kubernetes.io/name: shop"),
    Row("backends", "an Ingress with TLS for a host that it does not serve", f"{BASE}/ingress.yaml", "        - shop.example.com\n", "        - shop.example.com\n        - www.example.com\n"),
    Row("backends", "an Ingress that serves a host without TLS", f"{BASE}/ingress.yaml", "                  name: http\n", "                  name: http\n    - {host: www.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {name: http}}}}]}}\n"),
    Row("autoscalers", "an autoscaler that scales by nothing", HPA, "  metrics:\n    - type: Resource\n      resource:\n        name: cpu\n        target:\n          type: Utilization\n          averageUtilization: 70\n", ""),
    Row("network-policies", "a policy with rules for a direction that is none of it", POLICY, "    - Ingress\n", ""),
    Row("network-policies + dependencies", "a policy for callers that do not exist", "kubernetes/database/networkpolicy.yaml", "app.kubernetes.io/name: shop-backup", "app.kubernetes.io/name: shop-backups"),
    Row("references", "a Secret of a pod for pulling that nobody makes", DEPLOYMENT, "      serviceAccountName: shop\n", "      serviceAccountName: shop\n      imagePullSecrets:\n        - name: shop-docker\n"),
    Row("references", "settings from a Secret that nobody makes", DEPLOYMENT, "          envFrom:\n", "          envFrom:\n            - secretRef:\n                name: shop-settings\n"),
    Row("references", "a key that the ConfigMap does not have", DEPLOYMENT, "          envFrom:\n", "          env:\n            - {name: X, valueFrom: {configMapKeyRef: {name: shop, key: NOTHING}}}\n          envFrom:\n"),
    Row("references", "a key for a variable that the Secret does not have", DEPLOYMENT, "          envFrom:\n", "          env:\n            - {name: X, valueFrom: {secretKeyRef: {name: shop-database, key: nothing}}}\n          envFrom:\n"),
    Row("probes", "no liveness probe", DEPLOYMENT, "          livenessProbe:\n            httpGet:\n              path: /livez\n              port: http\n            timeoutSeconds: 5\n", ""),
    Row("probes", "a probe of a TCP port that does not exist", DEPLOYMENT, "          livenessProbe:\n            httpGet:\n              path: /livez\n              port: http\n", "          livenessProbe:\n            tcpSocket:\n              port: web\n"),
    Row("probes", "a probe over gRPC of a port that does not exist", DEPLOYMENT, "          livenessProbe:\n            httpGet:\n              path: /livez\n              port: http\n", "          livenessProbe:\n            grpc:\n              port: 8081\n"),
    *(Row("restricted", f"a pod with {key}", DEPLOYMENT, "enableServiceLinks: false", f"{key}: true") for key in ("hostPID", "hostIPC", "shareProcessNamespace")),
    Row("roles", "a role for a ServiceAccount that does not exist", SERVICE, "      targetPort: http\n", "      targetPort: http\n" + EXTRA_ROLE.format("ClusterRole", "view").removesuffix("shop\n") + "nobody\n    namespace: shop-production\n"),
    *(Row("quota", f"no quota of {name}", QUOTA, line, "") for name, line in (("CPUs", "    requests.cpu: 1350m\n"), ("requested memory", "    requests.memory: 3328Mi\n"), ("memory", "    limits.memory: 3328Mi\n"), ("pods", '    pods: "12"\n'))),
    Row("quota", "a quota of CPUs too small for a rollout", QUOTA, "requests.cpu: 1350m", "requests.cpu: 900m"),
    Row("quota", "a quota of requested memory too small for a rollout", QUOTA, "requests.memory: 3328Mi", "requests.memory: 2Gi"),
    Row("quota", "a quota of memory too small for a rollout", QUOTA, "limits.memory: 3328Mi", "limits.memory: 2Gi"),
    Row("limits", "a claim below the minimum", LIMITS, "      max:\n        storage: 10Gi\n", "      min:\n        storage: 20Gi\n"),
    Row("namespace + listed", "a namespace that nothing creates", "kubernetes/namespace/kustomization.yaml", "  - namespace.yaml\n", ""),
]  # fmt: skip

# What Kustomize knows and `Fragments` does not take apart.
REFUSED = [
    Row("kustomization", "a deprecated key", KUSTOMIZATION, "resources:", "vars: []\nresources:"),
    Row("", "a prefix of every name", STAGING, "labels:", "namePrefix: a-\nlabels:"),
    Row("", "a component", STAGING, "labels:", "components: []\nlabels:"),
    Row("", "a patch that may rename", STAGING, "  - target:\n", "  - options:\n      allowNameChange: true\n    target:\n"),
    Row("", "a patch of a name", STAGING, "path: /spec/rules/0/host", "path: /metadata/name"),
]  # fmt: skip

DATABASE_POLICY, BACKUP_POLICY, OUTSIDE_POLICY = (
    "kubernetes/database/networkpolicy.yaml",
    "kubernetes/database/backup-networkpolicy.yaml",
    "kubernetes/overlays/production/database-networkpolicy.yaml",
)
NETWORK = [
    Row("network", "a service that reaches everybody", POLICY, "  egress:\n", "  egress:\n    - {}\n"),
    Row("network", "a service that a proxy of another namespace reaches", POLICY, "kubernetes.io/metadata.name: \"traefik\"", "kubernetes.io/metadata.name: proxies"),
    Row("network", "a service that all but one namespace reach", POLICY, "            matchLabels:\n              kubernetes.io/metadata.name: \"traefik\"", "            matchExpressions:\n              - key: kubernetes.io/metadata.name\n                operator: NotIn\n                values:\n                  - default"),
    Row("network", "a service that everybody reaches", POLICY, "kubernetes.io/metadata.name: \"traefik\"\n", "kubernetes.io/metadata.name: \"traefik\"\n        - ipBlock:\n            cidr: 0.0.0.0/0\n"),
    Row("network", "more ports than the one answered", POLICY, "        - port: http\n", "        - port: 8080\n          endPort: 8090\n"),
    Row("network", "metrics that everybody reads", POLICY, "kubernetes.io/metadata.name: monitoring", "kubernetes.io/metadata.name: default"),
    Row("network", "a namespace whose pods reach everything", "kubernetes/namespace/networkpolicy.yaml", "    - Egress\n", ""),
    Row("network", "a database that other namespaces reach", DATABASE_POLICY, "        - podSelector:\n", "        - namespaceSelector: {}\n        - podSelector:\n"),
    Row("network", "a database that its backup does not reach", DATABASE_POLICY, "app.kubernetes.io/name: shop-backup", "app.kubernetes.io/name: shop-backups"),
    Row("network", "a backup that cannot ask DNS again over TCP", BACKUP_POLICY, "protocol: TCP", "protocol: SCTP"),
    Row("network", "a backup that asks every pod of kube-system", BACKUP_POLICY, "          podSelector:\n            matchLabels:\n              k8s-app: kube-dns\n", ""),
    Row("network", "a database outside that is not reached in a private network", OUTSIDE_POLICY, "cidr: 0.0.0.0/0\n", "cidr: 0.0.0.0/0\n            except:\n              - 10.0.0.0/8\n"),
    Row("network", "a database outside that is not reached by IPv6", OUTSIDE_POLICY, "        - ipBlock:\n            cidr: ::/0\n", ""),
    Row("network", "nothing that runs the service", DEPLOYMENT, "metadata:\n  name: shop\n", "metadata:\n  name: shops\n"),
    Row("network", "a service that a second namespace reaches", POLICY, "            matchLabels:\n              kubernetes.io/metadata.name: \"traefik\"", "            matchExpressions:\n              - key: kubernetes.io/metadata.name\n                operator: In\n                values:\n                  - traefik\n                  - default"),
]  # fmt: skip

COMPOSE = [
    Row("config", "an unknown key", "prod.yml", "restart:", "restarts:"),
    Row("config", "a service that does not exist", "prod.yml", "      database:\n        condition", "      databas:\n        condition"),
    Row("config", "a volume that is not declared", "docker-compose.yml", "\nvolumes:\n  database:\n", ""),
    Row("config", "a duplicate key", "docker-compose.yml", "    build: .\n", "    build: .\n    build: .\n"),
    Row("tag", "a tag that is not required", "prod.yml", "${TAG:?set TAG to the commit hash of the image to run}", "${TAG:-main}"),
    Row("extends + healthy + hardened", "a service that shares nothing", "docker-compose.yml", "  database:\n    extends:\n      file: common.yml\n      service: database\n", "  database:\n    image: x:1\n"),
    Row("ports", "a port published twice", "docker-compose.yml", "127.0.0.1:9090:9090", "127.0.0.1:8080:9090"),
    Row("healthy", "waiting for health that nobody checks", "common.yml", "    healthcheck:\n", "    x-healthcheck:\n"),
    Row("stages", "a stage that does not exist", "docker-compose.yml", "target: test", "target: tests"),
    Row("hardened", "a root file system that can be written", "common.yml", "read_only: true", "read_only: false"),
    Row("hardened", "capabilities", "common.yml", "cap_drop:\n      - ALL", "cap_drop:\n      - NET_RAW"),
    Row("hardened", "privileges", "common.yml", "no-new-privileges:true", "no-new-privileges:false"),
    Row("hardened", "no /tmp", "common.yml", "target: /tmp", "target: /temp"),
    Row("hardened", "a root user", "common.yml", 'user: "999:999"', 'user: "0:0"'),
    Row("images", "an image without a version", "common.yml", "postgres:18-trixie", "postgres"),
    Row("secrets", "a secret in git", ".gitignore", "/secrets/\n", ""),
    Row("secrets", "a password in the file", "common.yml", "DATABASE_NAME: app", "DATABASE_NAME: app\n      DATABASE_PASSWORD: app"),
    Row("secrets", "a password file that is not mounted", "common.yml", "DATABASE_PASSWORD_FILE: /run/secrets/database/password", "DATABASE_PASSWORD_FILE: /run/secrets/password"),
    Row("dependencies", "a database that does not exist", "common.yml", "DATABASE_HOST: database", "DATABASE_HOST: databas"),
    Row("dependencies", "a database on another network", "prod.yml", "      - front\n      - back\n", "      - front\n"),
    Row("unused", "a network that nothing uses", "prod.yml", "networks:\n  front:\n", "networks:\n  front:\n  side:\n"),
    Row("unused", "a volume that nothing uses", "prod.yml", "volumes:\n  database:\n", "volumes:\n  database:\n  cache:\n"),
    Row("unused", "a secret that nothing uses", "prod.yml", "secrets:\n  database-password:", "secrets:\n  token:\n    file: secrets/token\n  database-password:"),
    Row("extends", "a part of common.yml that nothing takes", "common.yml", "\n  database:\n", "\n  cache:\n    image: x:1\n\n  database:\n"),
    Row("swarm", "a name that a stack does not take", "scripts/swarm.sed", "/^name:/d", ""),
    Row("swarm", "conditions that a stack does not know", "scripts/swarm.sed", "/^    depends_on:$/,", "/^    dependson:$/,"),
    Row("swarm", "a port as text, which a stack does not take", "scripts/swarm.sed", "(published|size)", "(publish|size)"),
    Row("swarm", "a size as text, which a stack does not take", "scripts/swarm.sed", "(published|size)", "(published|sizes)"),
    Row("swarm", "migrations for which a deploy waits for ever", "scripts/swarm.sed", "mode: replicated-job", "mode: replicated"),
    Row("swarm", "CPUs as a number, which a stack does not take", "scripts/swarm.sed", "cpus", "cpu"),
    Row("local", "a port open to the network", "docker-compose.yml", "127.0.0.1:8080:8080", "8080:8080"),
    Row("production", "a database that everybody reaches", "prod.yml", "    volumes:\n      - database:", "    ports:\n      - 5432:5432\n    volumes:\n      - database:"),
    Row("production", "a network that leads outside", "prod.yml", "internal: true", "internal: false"),
    Row("production", "no limits", "prod.yml", "          memory: 512M\n", ""),
    Row("production", "no restart", "prod.yml", "    restart: unless-stopped\n", ""),
    Row("tag", "a tag that may be empty", "prod.yml", "${TAG:?set TAG to the commit hash of the image to run}", "${TAG}"),
    Row("extends", "a service of production that takes from another file", "prod.yml", "file: common.yml", "file: ./common.yml"),
    Row("healthy", "waiting for the end of what starts again", "prod.yml", "restart: on-failure", "restart: unless-stopped"),
    *(Row("hardened", f"a container with {key}", "docker-compose.yml", "    build: .\n", f"    build: .\n    {key}: {value}\n") for key, value in (("privileged", "true"), ("pid", "host"), ("ipc", "host"), ("container_name", "shop"), ("links", "[migrate]"))),
    Row("hardened + dependencies", "a container with network_mode", "docker-compose.yml", "    build: .\n", "    build: .\n    network_mode: host\n"),
    Row("dependencies", "a service that does not wait for its database", "docker-compose.yml", "    depends_on:\n      test-database:\n        condition: service_healthy\n", ""),
    Row("local", "a service that is not built from the source", "docker-compose.yml", "    build: .\n", "    image: x:1\n"),
    Row("production", "a service that is built where it runs", "prod.yml", "    restart: unless-stopped\n", "    restart: unless-stopped\n    build: .\n"),
]  # fmt: skip

DOCKERFILE = [
    Row("source", "a file that is not there", "Dockerfile", "COPY pyproject.toml .", "COPY project.toml ."),
    Row("left out", "an image without the migrations", "Dockerfile", "COPY migrations migrations\n", ""),
    Row("source", "a file that .dockerignore hides", ".dockerignore", "!app\n", ""),
    Row("source", "a bind mount of a file that is not there", "Dockerfile", "source=requirements.txt", "source=requirement.txt"),
    Row("stage", "a stage that does not exist", "Dockerfile", "--from=source", "--from=sources"),
    Row("user", "another user", "Dockerfile", "USER 65532:65532\nEXPOSE", "USER 1000:1000\nEXPOSE"),
    Row("user", "a user by name", "Dockerfile", "USER 65532:65532\nEXPOSE", "USER nobody\nEXPOSE"),
    Row("expose", "no port", "Dockerfile", "EXPOSE 8080 9090\n", ""),
    Row("healthcheck", "no health check", "Dockerfile", "HEALTHCHECK --", "# --"),
    Row("entrypoint", "a shell as process 1", "Dockerfile", 'ENTRYPOINT ["python", "-m", "app"]', "ENTRYPOINT python -m app"),
    Row("entrypoint", "no entry point", "Dockerfile", 'ENTRYPOINT ["python", "-m", "app"]\n', ""),
    Row("version", "no argument VERSION", "Dockerfile", "ARG VERSION=dev", "ARG REVISION=dev"),
    Row("stages", "no stage for tests", "Dockerfile", " AS test\n", " AS tests\n"),
    Row("argument", "an argument that does not exist", "Dockerfile", "python:3.14-slim-trixie AS", "python:${PYTHON}-3-slim-trixie AS"),
    Row("base", "a base image without a version", "Dockerfile", "python:3.14-slim-trixie AS", "python AS"),
    Row("base", "a runtime without a version", "Dockerfile", "FROM gcr.io/distroless/static-debian13:", "FROM gcr.io/distroless/static:"),
    Row("base", "whatever is the latest", "Dockerfile", "FROM gcr.io/distroless/static-debian13:nonroot", "FROM gcr.io/distroless/static-debian13:latest"),
]  # fmt: skip

TEXT = [
    Row("marker", "what the template's language leaves in a workflow", ".github/workflows/service.yml", "# A push replaces", "# A {{ push }} replaces"),
    Row("marker", "an expression of GitHub outside its workflows", "Makefile", "# The commit, marked", "# The ${{ github.sha }}, marked"),
    Row("yaml", "a branch that is a truth value to some", ".github/workflows/service.yml", "      - main\n", "      - on\n"),
    Row("end", "no newline at the end", "common.yml", "stop_grace_period: 2m\n", "stop_grace_period: 2m"),
    Row("end + blank", "two newlines at the end", "common.yml", "stop_grace_period: 2m\n", "stop_grace_period: 2m\n\n"),
    Row("blank", "blanks at the end of a line", "common.yml", "services:\n", "services: \n"),
    Row("blank", "two blank lines", "common.yml", "\n\n", "\n\n\n"),
    Row("blank", "a blank line at the start", "common.yml", "services:\n", "\nservices:\n"),
    Row("encoding + blank", "carriage returns", "common.yml", "services:\n", "services:\r\n"),
    Row("encoding", "a byte order mark", "common.yml", "services:\n", "\ufeffservices:\n"),
    Row("tab", "a tab", "README.md", "## Run", "##\tRun"),
    Row("dead", "a line that is commented out", "common.yml", "    read_only: true", "    # read_only: true"),
    Row("dead", "an item that is commented out", "common.yml", "      - ALL", "      # - ALL"),
    Row("dead", "an instruction that is commented out", "Dockerfile", "USER 65532:65532", "# USER 65532:65532"),
    Row("dead + format", "a setting that is commented out", f"{BASE}/config.env", "LOG_LEVEL=info", "# LOG_LEVEL=info"),
    Row("dead", "a variable that is commented out", "Makefile", "SERVICE :=", "# SERVICE :="),
    Row("dead", "a setting of a tool that is commented out", "pyproject.toml", "line-length = 120", "# line-length = 120"),
    Row("marker", "an expression of the template", "README.md", "## Run", "## {{ service_name }}"),
    Row("marker", "a block of the template", "README.md", "## Run", "{% if x %}"),
    Row("format", "TOML that does not parse", "pyproject.toml", "[project]", "[project"),
    Row("format", "a setting twice", f"{BASE}/config.env", "LOG_LEVEL=info", "PORT=1"),
    Row("format", "a template of migrations that is no Python", "migrations/script.py.mako", "def upgrade()", "def upgrade("),
    Row("format", "an expression that is no Python", "migrations/script.py.mako", "${repr(up_revision)}", "${repr(up_revision}"),
    Row("format", "settings of editors that do not parse", ".editorconfig", "[*]", "[*"),
    Row("format", "settings of npm that stand twice", ".npmrc", "engine-strict=true", "engine-strict=true\nengine-strict=true"),
    Row("format", "SQL that does not parse", "migrations/0001.do.create-items.sql", "CREATE TABLE", "CREATED TABLE"),
    Row("format", "SQL that changes no schema", "migrations/0001.do.create-items.sql", "CREATE TABLE", "SELECT 1; CREATE TABLE"),
    Row("yaml", "a key twice", "common.yml", "    read_only: true", "    read_only: true\n    read_only: true"),
    Row("yaml", "a word that YAML changes", "prod.yml", "name: shop", "name: yes"),
    Row("yaml", "an octal number of YAML 1.2", "prod.yml", "memory: 256M", "memory: 0o17"),
    Row("yaml", "a number of Go's YAML", "prod.yml", "name: shop", "name: 1.e5"),
    Row("yaml", "a broken indent", "common.yml", "    read_only: true", "   read_only: true"),
    Row("lock", "a dependency that is not locked", "pyproject.toml", '"fastapi', '"slowapi'),
    Row("lock", "a lock that pyproject.toml does not allow", "pyproject.toml", "fastapi~=", "fastapi~=9"),
    Row("lock", "a lock without hashes", "requirements.txt", "annotated-types==", "attrs==1.0\nannotated-types=="),
    Row("lock", "a lock with an address", "requirements.txt", "annotated-types==", "--index-url https://example.com/\nannotated-types=="),
    Row("lock", "a lock of no exact version", "requirements.txt", "annotated-types==", "annotated-types>="),
    Row("yaml", "a letter that YAML does not take", "common.yml", "services:\n", "# \x07\nservices:\n"),
    Row("lock", "a lock without a dependency", "requirements.txt", "\nfastapi==", "\nfastapis=="),
    Row("lock", "a lock without a tool", "requirements-dev.txt", "\npytest==", "\npytests=="),
    Row("lock", "a lock of other packages", "package.json", '"fastify": "^5', '"fastify": "^4'),
    Row("lock", "a package without a hash", "package-lock.json", '"integrity": "sha512-', '"integrity": "sha1-'),
    Row("lock", "a package with an address", "package-lock.json", '      "integrity"', '      "resolved": "https://example.com",\n      "integrity"'),
    Row("module", "a module whose files have no hash", "go.mod", "jackc/pgx/v5 v5.", "jackc/pgx/v5 v9."),
    Row("module", "a module whose go.mod has no hash", "go.sum", "github.com/jackc/pgx/v5 v5.12.0/go.mod h1", "github.com/jackc/pgx/v5 v5.12.0/go.mod h2"),
    Row("module", "a tool that has no hash", "tools/go.mod", "gotest.tools/gotestsum v1.", "gotest.tools/gotestsum v9."),
    Row("module", "any version of Go", "go.mod", "\ngo 1.", "\n// go 1."),
]  # fmt: skip

MAKEFILE = [
    Row("phony", "a target that a file would stop", "Makefile", ".PHONY: up\n", ""),
    Row("make", "a prerequisite that nothing makes", "kubernetes.mk", "\nload: image", "\nload: images"),
    Row("make", "a variable that nothing sets", "Makefile", "--tag=$(IMAGE):latest", "--tag=$(IMAG):latest"),
    Row("make", "a call of a target that does not exist", "kubernetes.mk", "$(MAKE) deploy", "$(MAKE) deplo"),
    Row("make", "blanks for a tab", "Makefile", "\tdocker push", "    docker push"),
    Row("shellcheck SC2046", "a word that splits", "kubernetes.mk", "docker compose logs --follow", "docker compose logs $$(date)"),
    Row("shellcheck SC1073 + shellcheck SC1061 + shellcheck SC1062 + shellcheck SC1072", "a loop without an end", "kubernetes.mk", 'docker compose logs --follow', 'for i in 1; do echo'),
]  # fmt: skip

SHELL = [Row("shellcheck SC2086", "a word that splits", "scripts/check.sh", 'kustomize "$folder"', "kustomize $folder")]
PYTHON = [
    Row("unformatted", "code that the formatter changes", "app/metrics.py", " = ", "  =  "),
    Row("F841", "a variable that nothing uses", "app/metrics.py", "    return ", "    unused = 1\n    return "),
    Row("invalid-syntax", "code that does not parse", "app/metrics.py", "import ", "imports "),
]
TYPESCRIPT = [
    Row("biome format", "code that the formatter changes", "src/metrics.ts", " = ", "  =  "),
    Row(
        "biome lint/correctness/noUnusedVariables",
        "a variable that nothing uses",
        "src/metrics.ts",
        "  return ",
        "  const unused = 1;\n  return ",
    ),
    Row(
        "biome parse + biome format",
        "code that does not parse",
        "src/metrics.ts",
        "collectDefaultMetrics();",
        "collectDefaultMetrics(;",
    ),
]
GO = [
    Row("gofmt", "code that the formatter changes", "internal/metrics/metrics.go", "\treturn ", "\t  return "),
    Row("go syntax", "code that does not parse", "internal/metrics/metrics.go", "\treturn ", "\t)return "),
]
HADOLINT = [
    Row("hadolint DL3007", "latest", "Dockerfile", "python:3.14-slim-trixie AS", "python:latest AS"),
    Row(
        "hadolint SC2086",
        "a word that splits",
        "Dockerfile",
        "RUN python -m compileall -q .",
        "RUN python -m compileall $x",
    ),
]


@pytest.fixture(scope="module")
def good(renderer: Renderer) -> list[Files]:
    return [
        {path: file.content for path, file in renderer.project(answers).items() if not path.endswith("/")}
        for answers in GOOD
    ]


@pytest.fixture(scope="module")
def schemas(template: Template) -> list[Schemas]:
    versions = template.table("versions", "kubernetes")
    return [Schemas(versions["oldest"]), Schemas(versions["newest"])]


def broken(good: list[Files], row: Row) -> dict[str, bytes]:
    for files in good:
        if row.old.encode() in files.get(row.path, b""):
            return {**files, row.path: files[row.path].replace(row.old.encode(), row.new.encode(), 1)}
    raise AssertionError(f"no good project has {row.old!r} in {row.path}: mend this row")


def check_sources(files: Files) -> list[Finding]:
    try:
        return list(kustomize.check_sources(files))
    except (ValueError, yaml.YAMLError) as error:
        return [Finding("kubernetes", "", "kustomize", str(error))]


def check_built(built: Sequence[dict[str, object]] | ValueError, schemas: list[Schemas]) -> list[Finding]:
    if isinstance(built, ValueError):
        return [Finding("kubernetes", "", "kustomize", str(built))]
    return kubernetes.check_resources(built, schemas)


def manifests(files: Files, *, everything: bool) -> Files:
    """The base with all environments, or with one, which shows what is wrong with the base."""
    return {
        path: content
        for path, content in files.items()
        if re.fullmatch("kubernetes/.+/.+", path)
        and (everything or not path.startswith(("kubernetes/overlays/local", "kubernetes/overlays/staging")))
    }


def whole(files: Files, scratch: Path) -> list[dict[str, object]] | ValueError:
    try:
        return kustomize.build(files, scratch)
    except (ValueError, yaml.YAMLError) as error:
        return ValueError(str(error))


def check_text(files: Files) -> list[Finding]:
    findings = [
        *text.check(files),
        *text.check_markers(files),
        *text.check_formats(files),
    ]
    findings += yaml_files.check({path: content for path, content in files.items() if path.endswith((".yml", ".yaml"))})
    if not any(finding.check == "format" for finding in findings):
        findings += (finding for name, check in LOCKED.items() if name in files for finding in check(files))
    locks = {path: content for path, content in files.items() if path.startswith("requirements")}
    return [*findings, *python_code.check_locks(locks)]


def makefiles_of(files: Files) -> Files:
    return {path: files[path] for path in files if path.endswith(("Makefile", ".mk", ".txt", ".json", ".mod", ".sum"))}


def expect(rows: list[Row], results: Iterable[list[Finding]]) -> None:
    """Each row is seen by its checks and by no other."""
    wrong = []
    for row, findings in zip(rows, results, strict=True):
        found = {finding.check: finding for finding in findings}
        if {*filter(None, row.checks.split(" + "))} != found.keys():
            wrong.append(f"{row.broken}: wanted {row.checks}, found {' + '.join(found) or 'nothing'}")
            wrong.extend(f"    {finding}" for finding in found.values())
    assert not wrong, "\n".join(wrong)


def test_broken_manifests(good: list[Files], schemas: list[Schemas], tmp_path: Path) -> None:
    """Each is put together from fragments; some are built whole too, which has to show the same."""
    for files in good:
        assert check_sources(manifests(files, everything=True)) == []
    sources = [check_sources(manifests(broken(good, row), everything=True)) for row in KUBERNETES]
    sets = [manifests(files, everything=True) for files in good]
    for row in KUBERNETES:
        parts = ("kubernetes/overlays", "kubernetes/cluster", "kubernetes/monitoring")
        everything = row.path.startswith(parts) or "hosts" in row.checks
        sets.append(manifests(broken(good, row), everything=everything))

    def found(results: Sequence[Sequence[dict[str, object]] | ValueError], rows: Iterable[int]) -> list[list[Finding]]:
        return [[*sources[row], *check_built(result, schemas)] for row, result in zip(rows, results, strict=True)]

    composed = Fragments(tmp_path, batch=20).build_all(sets)  # small, because many are wrong and built again
    assert [check_built(result, schemas) for result in composed[: len(good)]] == [[]] * len(good)
    expect(
        KUBERNETES,
        [
            [item._replace(check=item.check.replace("duplicates", "kustomize")) for item in one]
            for one in found(composed[len(good) :], range(len(KUBERNETES)))
        ],
    )
    rows = [number for number, row in enumerate(KUBERNETES) if "kustomize" in row.checks or number % 4 == 0]
    with ThreadPoolExecutor(kustomize.WORKERS) as pool:
        wholes = list(pool.map(lambda row: whole(sets[len(good) + row], tmp_path), rows))
    expect(
        [KUBERNETES[row] for row in rows],
        # Where only a whole tree tells Kustomize that something is wrong, checks of our own tell it of fragments.
        [[item for item in one if item.check != "kustomize" or not instead(one)] for one in found(wholes, rows)],
    )


def instead(findings: list[Finding]) -> bool:
    return any(finding.check in ("patch", "replicas") for finding in findings)


def test_broken_networks(good: list[Files], template: Template, tmp_path: Path) -> None:
    contexts = []
    for answers in GOOD:
        worker = template.worker(dict(answers))
        worker._ask()
        contexts.append(worker._render_context())
    sets = [*good, *(broken(good, row) for row in NETWORK)]
    contexts += [
        next(c for c, g in zip(contexts, good, strict=True) if row.old.encode() in g.get(row.path, b""))
        for row in NETWORK
    ]
    built = Fragments(tmp_path).build_all(manifests(files, everything=True) for files in sets)
    table = network.Network()
    results = []
    for one, context in zip(built, contexts, strict=True):
        assert not isinstance(one, ValueError), one
        results.append(list(table.check(one, context)))
    assert results[: len(good)] == [[]] * len(good)
    expect(NETWORK, results[len(good) :])


def test_what_is_not_taken_apart_is_refused(good: list[Files], tmp_path: Path) -> None:
    for row in REFUSED:
        files = manifests(broken(good, row), everything=True)
        assert [finding.check for finding in check_sources(files)] == [*filter(None, [row.checks])], row.broken
        with pytest.raises(NotImplementedError):
            Fragments(tmp_path).build_all([files])


def test_broken_compose_files(good: list[Files], tmp_path: Path) -> None:
    assert compose.check_all(good, tmp_path) == [[]] * len(good)
    expect(COMPOSE, compose.check_all([broken(good, row) for row in COMPOSE], tmp_path))


def test_broken_dockerfiles(good: list[Files], tmp_path: Path) -> None:
    assert [list(dockerfile.check(files)) for files in good] == [[]] * len(good)
    expect(DOCKERFILE, (list(dockerfile.check(broken(good, row))) for row in DOCKERFILE))
    expect(HADOLINT, dockerfile.lint([broken(good, row)["Dockerfile"] for row in HADOLINT], tmp_path))


def test_broken_texts(good: list[Files]) -> None:
    assert [check_text(files) for files in good] == [[]] * len(good)
    expect(TEXT, (check_text(broken(good, row)) for row in TEXT))


def test_broken_makefiles(good: list[Files], tmp_path: Path) -> None:
    sets = [makefiles_of(files) for files in (*good, *(broken(good, row) for row in MAKEFILE))]
    results = makefiles.check_all(sets, tmp_path)
    assert results[: len(good)] == [[]] * len(good)
    expect(MAKEFILE, results[len(good) :])


def test_broken_scripts(good: list[Files], tmp_path: Path) -> None:
    sets = [{"scripts/check.sh": files["scripts/check.sh"]} for files in (*good, *(broken(good, row) for row in SHELL))]
    results = makefiles.check_scripts(sets, tmp_path)
    assert results[: len(good)] == [[]] * len(good)
    expect(SHELL, results[len(good) :])


def test_broken_python(good: list[Files], tmp_path: Path) -> None:
    own = [files for files in good if "pyproject.toml" in files]
    sets = [
        {path: files[path] for path in files if path.endswith(".py") or path == "pyproject.toml"}
        for files in (*own, *(broken(own, row) for row in PYTHON))
    ]
    results = python_code.lint(sets, tmp_path)
    assert results[: len(own)] == [[]] * len(own)
    expect(PYTHON, results[len(own) :])


def test_broken_typescript(good: list[Files], tmp_path: Path) -> None:
    own = [files for files in good if "package.json" in files]
    sets = [
        {path: files[path] for path in files if path.endswith((".ts", ".json"))}
        for files in (*own, *(broken(own, row) for row in TYPESCRIPT))
    ]
    results = typescript_code.lint(sets, typescript_code.install(own[0]), tmp_path)
    assert results[: len(own)] == [[]] * len(own)
    expect(TYPESCRIPT, results[len(own) :])


def test_broken_go(good: list[Files], tmp_path: Path) -> None:
    own = [files for files in good if "go.mod" in files]
    sets = [
        {path: files[path] for path in files if path.endswith(".go")}
        for files in (*own, *(broken(own, row) for row in GO))
    ]
    results = go_code.lint(sets, tmp_path)
    assert results[: len(own)] == [[]] * len(own)
    expect(GO, results[len(own) :])


CATALOGUE: dict[tuple[ModuleType, ...], list[Row]] = {
    (kubernetes, kustomize): [*KUBERNETES, *REFUSED],
    (network,): NETWORK,
    (compose,): COMPOSE,
    (dockerfile,): [*DOCKERFILE, *HADOLINT],
    (makefiles,): [*MAKEFILE, *SHELL],
    (text, yaml_files, python_code, typescript_code, go_code): [*TEXT, *PYTHON, *TYPESCRIPT, *GO],
}


def names_in(module: ModuleType) -> Iterator[str]:
    """The checks that a module names where it reports a finding, or in its tables of checks."""
    for table in ("CHECKS", "DEVELOPMENT_CHECKS", "PRODUCTION_CHECKS", "RULES", "SAME"):
        if isinstance(checks := getattr(module, table, None), dict):
            yield from checks
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
        items: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
            items = node.args[2:3]
        elif isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 3:
            items = node.value.elts[1:2]
        yield from (item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str))


def test_every_check_has_a_row_that_only_it_sees(judge: Judge) -> None:
    """`make mutants` shows that each place that reports has one."""
    for table in CATALOGUE.values():
        assert len({row[2:] for row in table}) == len(table), "a fault stands twice"
    # Two validators may see the same one.
    faults = {row[2:] for table in CATALOGUE.values() for row in table if row.checks}
    judge.count("faults, each caught for its own reason", len(faults))
    lacking = {
        f"{module.__name__}: {name}"
        for modules, table in CATALOGUE.items()
        for module in modules
        for name in names_in(module)
        if name.replace("duplicates", "kustomize") not in {row.checks for row in table}
    }
    assert lacking == set(), "add a row for each"
