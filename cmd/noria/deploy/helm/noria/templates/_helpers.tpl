{{/* The name of all that the chart makes. */}}
{{- define "noria.name" -}}
{{- if contains "noria" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-noria" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods. It never changes. */}}
{{- define "noria.selector" -}}
app.kubernetes.io/name: noria
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "noria.labels" -}}
{{ include "noria.selector" . }}
app.kubernetes.io/part-of: noria
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
{{- end -}}
