{{/* The chart's own Prometheus. */}}

{{/* Its configuration. Targets are found by name: no account, no rights. */}}
{{- define "parlance.prometheusConfig" -}}
{{- $watched := include "parlance.watched" . | fromJson -}}
{{- $interval := .Values.prometheus.scrapeInterval -}}
{{- $jobs := dict -}}
{{- range $scrape := (include "parlance.scrapes" . | fromJson).scrapes -}}
{{- $names := default list (get $jobs $scrape.job) -}}
{{- range $type := list "A" "AAAA" -}}
{{- $names = append $names (dict "names" (list $scrape.service) "type" $type "port" (int $scrape.number) "refresh_interval" "15s") -}}
{{- end -}}
{{- $_ := set $jobs $scrape.job $names -}}
{{- end -}}
{{- $scrapes := list -}}
{{- range $job, $names := $jobs -}}
{{- $scrapes = append $scrapes (dict
      "job_name" $job
      "dns_sd_configs" $names
      "metric_relabel_configs" (list (dict "source_labels" (list "__name__") "regex" $watched.dropped "action" "drop"))) -}}
{{- end -}}
{{- toYaml (dict
      "global" (dict "scrape_interval" $interval "evaluation_interval" $interval)
      "storage" (dict "exemplars" (dict "max_exemplars" (int $watched.maxExemplars)))
      "rule_files" (list "/etc/prometheus/recordings.yaml")
      "scrape_configs" $scrapes) -}}
{{- end -}}

{{/* A quantity in MiB, rounded down: "10Gi" is 10240. */}}
{{- define "parlance.mebibytes" -}}
{{- $units := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $unit := regexFind "[A-Za-z]+$" . -}}
{{- divf (mulf (float64 (trimSuffix $unit .)) (get $units $unit)) 1048576.0 | floor | int64 -}}
{{- end -}}
