{{/* The parts of a RayService. They take dict "root" $ and, where one is meant, "cluster" or "model" (_fleet.tpl). */}}

{{/* serveConfigV2 of a cluster: serve.engines.config.serve_config as a template. A change of `args` restarts the
     replicas of a model; what stands under `deployments` is taken over without. */}}
{{- define "parlance.serveConfig" -}}
{{- $serve := (include "parlance.facts" .root | fromJson).serve -}}
{{- $targets := include "parlance.targets" .root | fromJson -}}
{{- $applications := list -}}
{{- range $model := .cluster.models -}}
{{- $ongoing := int $model.engine.max_ongoing_requests -}}
{{- $applications = append $applications (dict
      "name" $model.id
      "route_prefix" (printf "/%s" $model.id)
      "import_path" $serve.importPath
      "external_scaler_enabled" true
      "args" (dict "model" (include "parlance.engineEntry" (dict "root" $.root "model" $model) | fromJson) "resource" $model.group)
      "deployments" (list (dict
        "name" $serve.deployment
        "num_replicas" (max 1 (int (include "parlance.replicas" (dict "model" $model "targets" $targets))))
        "max_ongoing_requests" $ongoing
        "max_queued_requests" (mul $ongoing (int $serve.queueFactor))
        "graceful_shutdown_timeout_s" (int $model.drainSeconds)
        "health_check_period_s" (int $serve.healthPeriodSeconds)
        "health_check_timeout_s" (int $serve.healthTimeoutSeconds)))) -}}
{{- end -}}
{{- toYaml (dict
      "proxy_location" "EveryNode"
      "http_options" (dict "host" "0.0.0.0" "port" (int $serve.port) "request_timeout_s" nil "keep_alive_timeout_s" (int $serve.keepAliveSeconds))
      "logging_config" (dict "log_level" "INFO" "enable_access_log" false)
      "applications" $applications) -}}
{{- end -}}

{{/* What of a model's entry decides how its engine runs (serve.engines.described.RESTARTS): price, evidence, aliases
     and bounds are left out, so that no change of them restarts a replica. */}}
{{- define "parlance.engineEntry" -}}
{{- $parts := (include "parlance.facts" .root | fromJson).serve.restarts -}}
{{- $entry := .model.entry -}}
{{- $tiny := eq .model.engine.weights "tiny" -}}
{{- $given := default dict $entry.card -}}
{{- $card := include "parlance.picked" (dict "of" $given "names" (ternary (concat $parts.card $parts.tiny_card) $parts.card $tiny)) | fromJson -}}
{{- $template := include "parlance.picked" (dict "of" (default dict $given.template) "names" (ternary (concat $parts.template $parts.tiny_template) $parts.template $tiny)) | fromJson -}}
{{- if hasKey $given "template" -}}
{{- $_ := set $card "template" (ternary nil $template (kindIs "invalid" $given.template)) -}}
{{- end -}}
{{- $out := dict "engine" (include "parlance.picked" (dict "of" $entry.engine "names" $parts.engine) | fromJson) -}}
{{- if $card -}}
{{- $_ := set $out "card" $card -}}
{{- end -}}
{{- toJson (merge $out (include "parlance.picked" (dict "of" $entry "names" (list "use" "id")) | fromJson)) -}}
{{- end -}}

{{/* Those keys of a mapping that are named: dict "of" … "names" (list …). JSON. */}}
{{- define "parlance.picked" -}}
{{- $out := dict -}}
{{- range $name := .names -}}
{{- if hasKey $.of $name -}}
{{- $_ := set $out $name (get $.of $name) -}}
{{- end -}}
{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* {"<model id>": n}: how many replicas the autoscaler last asked for. Empty without a cluster (helm template), at the
     first install, and where the autoscaler is off. */}}
{{- define "parlance.targets" -}}
{{- $found := dict -}}
{{- if .Values.autoscaler.enabled -}}
{{- $own := default dict (default dict (include "parlance.fleet" . | fromJson).autoscaling).kubernetes | default dict -}}
{{- $name := default (printf "%s-autoscaler-history" (include "parlance.fullname" .)) $own.config_map -}}
{{- $found = default dict (lookup "v1" "ConfigMap" (default .Release.Namespace $own.namespace) $name).data -}}
{{- end -}}
{{- $targets := default "{}" $found.targets | fromJson -}}
{{- ternary dict $targets (hasKey $targets "Error") | toJson -}}
{{- end -}}

{{/* A model's replicas: what runs by the autoscaler's last word, within the fleet's bounds; else `replicas.initial`.
     Ray Serve resets a deployment to this number when anything of it changes. dict "model" … "targets" … */}}
{{- define "parlance.replicas" -}}
{{- $bounds := .model.engine.replicas -}}
{{- $live := get .targets .model.id -}}
{{- if kindIs "float64" $live -}}
{{- max (int $bounds.min) (min (int $bounds.max) (int $live)) -}}
{{- else -}}
{{- int $bounds.initial -}}
{{- end -}}
{{- end -}}

{{/* Environment of every Ray node, head and workers alike: Serve's data plane works only where they agree; but a
     head (dict "root" … "cluster" … "head" true) drains nothing. What `engines.env` names goes before ours: a name may stand
     in the list once only. */}}
{{- define "parlance.rayEnvironment" -}}
{{- $facts := include "parlance.facts" .root | fromJson -}}
{{- $ours := $facts.rayEnvironment -}}
{{- range $name := $facts.longestDrain -}}
{{- $_ := set $ours $name (toString (int $.cluster.drainSeconds)) -}}
{{- end -}}
{{- if .head -}}
{{- $_ := set $ours "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S" "0" -}}
{{- end -}}
{{- $ours = merge $ours (include "parlance.hubEnvironment" .root | fromJson) -}}
{{- range $own := .root.Values.engines.env -}}
{{- $_ := unset $ours $own.name -}}
{{- end -}}
{{- range $name, $value := $ours }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- with .root.Values.engines.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Where models' files are and caches go, as JSON. The root is read-only: what compilers and libraries keep goes below
     HOME, on the pod's own volume. */}}
{{- define "parlance.hubEnvironment" -}}
{{- $out := dict "HF_HOME" "/weights/hub" "HOME" "/tmp/home" -}}
{{- with .Values.engines.hub.endpoint -}}
{{- $_ := set $out "HF_ENDPOINT" . -}}
{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* The volume with the models' weights. */}}
{{- define "parlance.weightsVolume" -}}
{{- $weights := .Values.engines.weights -}}
name: weights
{{- if eq $weights.kind "persistentVolumeClaim" }}
persistentVolumeClaim: {claimName: {{ default (printf "%s-weights" (include "parlance.fullname" .)) $weights.existingClaim }}}
{{- else if eq $weights.kind "hostPath" }}
hostPath: {path: {{ $weights.hostPath | quote }}, type: DirectoryOrCreate}
{{- else }}
emptyDir: {sizeLimit: {{ $weights.size }}}
{{- end }}
{{- end -}}
