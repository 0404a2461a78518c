{{- /* The objects of manifests.yaml, which scripts/deploy.sh has Kustomize write, with the marks by which Helm knows its own.

What running pods rely on is kept by Helm: `deploy.sh` applies it before the migration and removes it after the rollout.
A PersistentVolumeClaim belongs to no release, because it outlives them all. The part is release, relied-on or all. */}}
{{- $reliedOn := list "ConfigMap" "NetworkPolicy" "PersistentVolumeClaim" "Service" "ServiceAccount" "StatefulSet" "ExternalSecret" }}
{{- $owner := dict "meta.helm.sh/release-name" .Release.Name "meta.helm.sh/release-namespace" .Release.Namespace }}
{{- range splitList "\n---\n" (.Files.Get "manifests.yaml") }}
{{- $object := fromYaml . }}
{{- $isReliedOn := has $object.kind $reliedOn }}
{{- $keep := ternary (dict "helm.sh/resource-policy" "keep") dict $isReliedOn }}
{{- $marks := dict "labels" (dict "app.kubernetes.io/managed-by" "Helm") "annotations" (merge $keep $owner) }}
{{- $isReleased := ne $object.kind "PersistentVolumeClaim" }}
{{- if get (dict "all" true "relied-on" $isReliedOn "release" $isReleased) $.Values.part }}
---
{{ toYaml (mergeOverwrite $object (dict "metadata" $marks)) }}
{{- end }}
{{- end }}
