{{- /* The objects of manifests.yaml, which scripts/deploy.sh builds with Kustomize, with Helm's ownership metadata.

Helm does not delete what running pods depend on: `deploy.sh` applies it before the migration and prunes it after the rollout.
A PersistentVolumeClaim belongs to no release, because it outlives them all. The part is release, relied-on or all.

A claim of live.yaml can only grow, and a StatefulSet cannot change its volumeClaimTemplates: other changes to them are ignored. */}}
{{- $reliedOn := list "ConfigMap" "NetworkPolicy" "PersistentVolumeClaim" "Service" "ServiceAccount" "StatefulSet" "ExternalSecret" }}
{{- $owner := dict "meta.helm.sh/release-name" .Release.Name "meta.helm.sh/release-namespace" .Release.Namespace }}
{{- $live := dict }}
{{- range (fromYaml (.Files.Get "live.yaml")).items }}
{{- $_ := set $live (print .kind "/" .metadata.name) .spec }}
{{- end }}
{{- $objects := list }}
{{- range splitList "\n---\n" (.Files.Get "manifests.yaml") }}
{{- $object := fromYaml . }}
{{- $objects = append $objects $object }}
{{- range dig "spec" "volumeClaimTemplates" list $object }}
{{- $name := printf "%s-%s-0" .metadata.name $object.metadata.name }}
{{- $claim := get $live (print "PersistentVolumeClaim/" $name) }}
{{- if and $claim (ne $claim.resources.requests.storage .spec.resources.requests.storage) }}
{{- $objects = append $objects (dict "apiVersion" "v1" "kind" "PersistentVolumeClaim" "metadata" (dict "name" $name) "spec" .spec) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $object := $objects }}
{{- with get $live (print .kind "/" .metadata.name) }}
{{- if .volumeClaimTemplates }}
{{- $_ := set $object.spec "volumeClaimTemplates" .volumeClaimTemplates }}
{{- else }}
{{- $_ := set $object "spec" (mergeOverwrite . (pick $object.spec "resources")) }}
{{- end }}
{{- end }}
{{- $isReliedOn := has .kind $reliedOn }}
{{- $keep := ternary (dict "helm.sh/resource-policy" "keep") dict $isReliedOn }}
{{- $marks := dict "labels" (dict "app.kubernetes.io/managed-by" "Helm") "annotations" (merge $keep $owner) }}
{{- $isReleased := ne .kind "PersistentVolumeClaim" }}
{{- if get (dict "all" true "relied-on" $isReliedOn "release" $isReleased) $.Values.part }}
---
{{ toYaml (mergeOverwrite . (dict "metadata" $marks)) }}
{{- end }}
{{- end }}
