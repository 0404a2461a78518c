{{- /* The objects of labelled.yaml with fields that kubectl manages, and these as fields that Helm applied. Then a release
removes those that it lacks. Fields of controllers stay theirs. */}}
{{- if eq .Values.part "edited" }}
{{- range $object := (fromYaml (.Files.Get "labelled.yaml")).items }}
{{- $isEdited := false }}
{{- $fields := dict }}
{{- $others := list }}
{{- range .metadata.managedFields }}
{{- $isKubectl := or (hasPrefix "kubectl" .manager) (and (eq .manager "helm") (eq .operation "Update")) }}
{{- if .subresource }}
{{- $others = append $others . }}
{{- else if or $isKubectl (eq .manager "helm") }}
{{- $isEdited = or $isEdited $isKubectl }}
{{- $fields = mergeOverwrite $fields .fieldsV1 }}
{{- else }}
{{- $others = append $others . }}
{{- end }}
{{- end }}
{{- if $isEdited }}
{{- $applied := dict "manager" "helm" "operation" "Apply" "apiVersion" .apiVersion "fieldsType" "FieldsV1" "fieldsV1" $fields }}
{{- $_ := set .metadata "managedFields" (append $others $applied) }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}
{{- end }}
