{{/* Who is scraped: for PodMonitors, for the chart's own Prometheus and for its policies alike. */}}

{{- define "parlance.watched" -}}
{{- .Files.Get "files/watched.json" -}}
{{- end -}}

{{/* {"scrapes": [{"job", "component", "labels" (of the pods, beside the component's), "port" (its name), "number",
     "service" (headless)}]}: jobs are those of observability/scrape.py, which rules and dashboards name. */}}
{{- define "parlance.scrapes" -}}
{{- $facts := include "parlance.facts" . | fromJson -}}
{{- $jobs := (include "parlance.watched" . | fromJson).jobs -}}
{{- $full := include "parlance.fullname" . -}}
{{- $found := list -}}
{{- range (include "parlance.gatewayAdminPorts" . | fromJson).ports -}}
{{- $found = append $found (dict "job" $jobs.gateway "component" "gateway" "labels" dict "port" .name "number" .port "service" (printf "%s-gateway-admin" $full)) -}}
{{- end -}}
{{- if .Values.autoscaler.enabled -}}
{{- $found = append $found (dict "job" $jobs.autoscaler "component" "autoscaler" "labels" dict "port" "http" "number" $facts.autoscaling.port "service" (printf "%s-autoscaler-pods" $full)) -}}
{{- end -}}
{{- if (include "parlance.clusters" . | fromJson).clusters -}}
{{- $engines := printf "%s-engines" $full -}}
{{- $heads := printf "%s-heads" $full -}}
{{- $head := dict "ray.io/node-type" "head" -}}
{{- $found = concat $found (list
      (dict "job" $jobs.ray "component" "engines" "labels" dict "port" "metrics" "number" 8080 "service" $engines)
      (dict "job" $jobs.ray "component" "engines" "labels" $head "port" "as-metrics" "number" 44217 "service" $heads)
      (dict "job" $jobs.ray "component" "engines" "labels" $head "port" "dash-metrics" "number" 44227 "service" $heads)
      (dict "job" $jobs.haproxy "component" "engines" "labels" dict "port" "haproxy" "number" $facts.ports.haproxyMetrics "service" $engines)) -}}
{{- end -}}
{{- toJson (dict "scrapes" $found) -}}
{{- end -}}

{{/* A PodMonitor: dict "root" $ "component" "gateway". */}}
{{- define "parlance.podMonitor" -}}
{{- $monitors := .root.Values.monitoring.monitors -}}
{{- $watched := include "parlance.watched" .root | fromJson -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ include "parlance.fullname" .root }}-{{ .component }}
  {{- include "parlance.watcherMetadata" (dict "root" .root "of" $monitors) | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- include "parlance.selector" . | nindent 6 }}
  namespaceSelector:
    matchNames: [{{ .root.Release.Namespace }}]
  podMetricsEndpoints:
  {{- range $scrape := (include "parlance.scrapes" .root | fromJson).scrapes }}
  {{- if eq $scrape.component $.component }}
  - port: {{ $scrape.port }}
    path: /metrics
    interval: {{ $monitors.interval }}
    relabelings:
    # While weights are fetched nobody listens: a target that is down would be an alert.
    - {sourceLabels: [__meta_kubernetes_pod_phase], regex: Running, action: keep}
    {{- if eq $scrape.job $watched.jobs.haproxy }}
    # HAProxy comes with the pod's first replica, and a worker is ready when HAProxy answers.
    - {sourceLabels: [__meta_kubernetes_pod_ready], regex: "true", action: keep}
    {{- end }}
    - {targetLabel: job, replacement: {{ $scrape.job }}, action: replace}
    # `endpoint` is a label of Ray's own metrics: the operator's would rename it.
    - {regex: container|endpoint, action: labeldrop}
    metricRelabelings:
    - {sourceLabels: [__name__], regex: {{ $watched.dropped | quote }}, action: drop}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* metadata, without the name, of what an operator finds by labels: dict "root" $ "of" (labels, annotations). */}}
{{- define "parlance.watcherMetadata" -}}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- $own := include "parlance.labels" (dict "root" .root "component" "monitoring") | fromYaml }}
  {{- mergeOverwrite $own .of.labels | toYaml | nindent 2 }}
{{- with merge (deepCopy .of.annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where runbooks are published. */}}
{{- define "parlance.runbooks" -}}
{{- default (printf "%s/blob/main/%s" .Chart.Home (include "parlance.watched" . | fromJson).runbooks) .Values.monitoring.runbooksUrl | trimSuffix "/" -}}
{{- end -}}

{{/* "true" where the shipped recordings hold: they have the default objectives in them. */}}
{{- define "parlance.defaultObjectives" -}}
{{- $slo := (include "parlance.watched" . | fromJson).rules.slo -}}
{{- $fleet := include "parlance.fleet" . | fromJson -}}
{{- eq (toJson $slo) (toJson (mergeOverwrite (deepCopy $slo) (default dict $fleet.slo))) -}}
{{- end -}}

{{/* Recording rules, {"groups": […]} as YAML: the values', else the shipped ones where they hold. */}}
{{- define "parlance.recordings" -}}
{{- if .Values.monitoring.rules.recordings -}}
{{- .Values.monitoring.rules.recordings -}}
{{- else if eq (include "parlance.defaultObjectives" .) "true" -}}
{{- .Files.Get "files/rules/recordings.yaml" -}}
{{- else -}}
groups: []
{{- end -}}
{{- end -}}

{{/* Why the shipped rules are not those of this fleet; nothing where they are, or where the values have others. */}}
{{- define "parlance.otherObjectives" -}}
{{- $rules := (include "parlance.watched" . | fromJson).rules -}}
{{- $scaling := default dict (include "parlance.fleet" . | fromJson).autoscaling -}}
{{- $clusters := len (include "parlance.clusters" . | fromJson).clusters -}}
{{- $own := .Values.monitoring.rules -}}
{{- if and $own.recordings $own.alerts -}}
{{- else if or $own.recordings $own.alerts -}}
recordings and alerts go together, and one of the two is missing
{{- else if ne (include "parlance.defaultObjectives" .) "true" -}}
fleet.slo is not the default one
{{- else if ne $clusters (int $rules.clusters) -}}
{{ printf "engines run on %d clusters, and the shipped rules are for %d" $clusters (int $rules.clusters) }}
{{- else if gt (float64 (default 0 $scaling.interval_s)) $rules.autoscaling.interval_s -}}
{{ printf "fleet.autoscaling.interval_s is above %v" $rules.autoscaling.interval_s }}
{{- else if gt (float64 (default 0 $scaling.stale_after_s)) $rules.autoscaling.stale_after_s -}}
{{ printf "fleet.autoscaling.stale_after_s is above %v" $rules.autoscaling.stale_after_s }}
{{- end -}}
{{- end -}}
