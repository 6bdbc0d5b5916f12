{{/* Fields of the fleet's sections that must agree with each other; and what the values say of pods, names and kinds. */}}

{{/* slo, autoscaling, gateway and routing of the fleet, each only where its own fields are sound. */}}
{{- define "parlance.checkSections" -}}
{{- $out := .out -}}
{{- $fleet := .fleet -}}
{{- if and (kindIs "map" $fleet.slo) (not (include "parlance.spoilt" (dict "out" $out "at" "fleet.slo"))) -}}
{{- range $field, $bounds := .checks.bounds -}}
{{- $value := get $fleet.slo $field | default nil -}}
{{- if and (not (kindIs "invalid" $value)) (not (has $value $bounds)) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "fleet.slo.%s" $field) "is" (toJson $value) "must" (printf "it must be a bound of the histogram that measures it: one of %s" (join ", " $bounds))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $autoscaling := $fleet.autoscaling -}}
{{- if and (kindIs "map" $autoscaling) (not (include "parlance.spoilt" (dict "out" $out "at" "fleet.autoscaling"))) -}}
{{- $k := mergeOverwrite (dict "duration_s" 30.0 "renew_deadline_s" 20.0 "retry_s" 4.0) (default dict $autoscaling.kubernetes) -}}
{{- if or (ge (mulf $k.retry_s 1.2) $k.renew_deadline_s) (ge $k.renew_deadline_s $k.duration_s) (gt (addf $k.renew_deadline_s (default 5.0 $autoscaling.timeout_s)) $k.duration_s) -}}
{{- include "parlance.problem" (dict "out" $out "at" "fleet.autoscaling.kubernetes" "is" "" "must" (printf "retry_s (%s) × 1.2 must be below renew_deadline_s (%s), and that with autoscaling.timeout_s (%s) at most duration_s (%s): a leader stops before another may begin" (toJson $k.retry_s) (toJson $k.renew_deadline_s) (toJson (default 5.0 $autoscaling.timeout_s)) (toJson $k.duration_s))) -}}
{{- end -}}
{{- range $gpu := keys (default dict (default dict $autoscaling.budget).gpus) | sortAlpha -}}
{{- if not (has $gpu $.facts.gpus) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "fleet.autoscaling.budget.gpus.%s" $gpu) "is" "" "must" (printf "no such GPU is known; %sone of %s" (include "parlance.nearest" (dict "name" $gpu "known" $.facts.gpus)) (join ", " $.facts.gpus))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (kindIs "map" $fleet.gateway) (not (include "parlance.spoilt" (dict "out" $out "at" "fleet.gateway"))) -}}
{{- $endpoint := (default dict $fleet.gateway.traces).endpoint -}}
{{- if and $endpoint (not (regexMatch "^https?://[^/]+/." $endpoint)) -}}
{{- include "parlance.problem" (dict "out" $out "at" "fleet.gateway.traces.endpoint" "is" (quote $endpoint) "must" (printf "it needs a path, for OTLP over HTTP is taken at one: %s/v1/traces is usual" (trimSuffix "/" $endpoint))) -}}
{{- end -}}
{{- with (default dict $fleet.gateway.shifts).stale_after_s -}}
{{- $interval := default 5.0 $fleet.gateway.shifts.interval_s -}}
{{- if le . $interval -}}
{{- include "parlance.problem" (dict "out" $out "at" "fleet.gateway.shifts.stale_after_s" "is" (toJson .) "must" (printf "it must be longer than interval_s (%s): every plan would be stale before the next one is read" (toJson $interval))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (kindIs "map" $fleet.clusters) (not (include "parlance.spoilt" (dict "out" $out "at" "fleet.clusters"))) -}}
{{- range $name, $cluster := $fleet.clusters -}}
{{- if and $cluster.serve_url $cluster.token_env $cluster.token_file -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "fleet.clusters.%s" $name) "is" "" "must" "both token_env and token_file: give one of them") -}}
{{- else if and $cluster.token_file (not (hasPrefix "/" $cluster.token_file)) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "fleet.clusters.%s.token_file" $name) "is" (quote $cluster.token_file) "must" "it must be an absolute path") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
