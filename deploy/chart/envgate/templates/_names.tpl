{{/* All objects are called after the release: envgate, or RELEASE-envgate. */}}
{{- define "envgate.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}{{ .Release.Name }}{{- else -}}{{ printf "%s-%s" .Release.Name $name }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "envgate.webhook" -}}{{ include "envgate.name" . | trunc 48 | trimSuffix "-" }}-webhook{{- end -}}
{{- define "envgate.secret" -}}{{ include "envgate.webhook" . }}-tls{{- end -}}

{{- define "envgate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: envgate
{{ include "envgate.selector" . }}
{{- end -}}

{{- define "envgate.selector" -}}
app.kubernetes.io/name: envgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "envgate.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* The image that the webhook writes into Pods. */}}
{{- define "envgate.sidecarImage" -}}{{ default (include "envgate.image" .) .Values.webhook.sidecarImage }}{{- end -}}

{{/* What the Pods of this chart may do: nothing. No runAsUser: the image has one, and OpenShift assigns its own. */}}
{{- define "envgate.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}
{{- define "envgate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The namespaces in which Pods are looked at: labelled ones, never the cluster's own or the webhook's. */}}
{{- define "envgate.namespaceSelector" -}}
matchLabels:
  envgate/inject: enabled
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ list "kube-system" .Release.Namespace | uniq | toJson }}
{{- end -}}

{{/*
Whether an object for another namespace is rendered. With a cluster at hand: if that namespace exists, so that the
release doesn't fail for one that is still to come. Without one (helm template, a GitOps controller): always.
*/}}
{{- define "envgate.namespaceExists" -}}
{{- if or (lookup "v1" "Namespace" "" .namespace) (not (lookup "v1" "Namespace" "" "kube-system")) -}}true{{- end -}}
{{- end -}}
