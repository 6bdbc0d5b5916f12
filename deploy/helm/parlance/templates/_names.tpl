{{/* Names, labels and the parts that all pods share. */}}

{{- define "parlance.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Begins the name of every object. At most 30 characters: KubeRay adds to the names of RayServices. Of a longer name
     the beginning stays, and a checksum tells it from others with the same one. */}}
{{- define "parlance.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) .Values.fullnameOverride -}}
{{- if gt (len $full) 30 -}}
{{- $full = printf "%s-%s" ($full | trunc 21 | trimSuffix "-") ($full | sha256sum | trunc 8) -}}
{{- end -}}
{{- $full -}}
{{- end -}}

{{/* What selects a component's pods: dict "root" $ "component" "gateway". Never changes over upgrades. */}}
{{- define "parlance.selector" -}}
app.kubernetes.io/name: {{ include "parlance.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of an object: dict "root" $ "component" "gateway". */}}
{{- define "parlance.labels" -}}
{{ include "parlance.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: parlance
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The labels of a component's pods: without version and chart, which would roll them at every upgrade of the chart.
     dict "root" $ "component" "gateway" "labels" <further ones> */}}
{{- define "parlance.podLabels" -}}
{{ include "parlance.selector" . }}
app.kubernetes.io/part-of: parlance
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with .labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* `metadata:` of an object, without its name: dict "root" $ "component" "gateway" "annotations" <further ones>. */}}
{{- define "parlance.metadata" -}}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "parlance.labels" . | nindent 2 }}
{{- with merge (deepCopy (default dict .annotations)) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* An image's reference: dict "root" $ "image" .Values.images.gateway. */}}
{{- define "parlance.image" -}}
{{- $tag := default .root.Chart.AppVersion .image.tag -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository $tag -}}
{{- end -}}
{{- end -}}

{{/* The pod's half of restricted pod security. */}}
{{- define "parlance.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* The container's half, with a read-only root. */}}
{{- define "parlance.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where pods go: dict "root" $ "of" .Values.gateway "component" "gateway". Spread over zones, then nodes. */}}
{{- define "parlance.placed" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .of.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- if hasKey .of "topologySpreadConstraints" }}
topologySpreadConstraints:
{{- if .of.topologySpreadConstraints }}
  {{- toYaml .of.topologySpreadConstraints | nindent 2 }}
{{- else }}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "parlance.selector" $ | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A service account's name: dict "root" $ "of" .Values.gateway "component" "gateway". */}}
{{- define "parlance.serviceAccount" -}}
{{- $own := printf "%s-%s" (include "parlance.fullname" .root) .component -}}
{{- default (ternary $own "default" .of.serviceAccount.create) .of.serviceAccount.name -}}
{{- end -}}
