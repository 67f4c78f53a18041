{{/* An image's full name: registry/repository:tag, the tag defaulting to the chart's appVersion. */}}
{{- define "securemodel.image" -}}
{{- $registry := .root.Values.image.registry -}}
{{- with .image -}}
{{- if $registry }}{{ $registry }}/{{ end }}{{ .repository }}:{{ .tag | default $.root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "securemodel.labels" -}}
app.kubernetes.io/name: securemodel-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}
