{{/* The fleet as the values give it, and what templates take from it. All of these give JSON: `| fromJson`. */}}

{{- define "parlance.facts" -}}
{{- .Files.Get "files/facts.json" -}}
{{- end -}}

{{/* The fleet as it was given, a mapping in the values, text, or the chart's own file. {"Error": …}: it is no YAML. */}}
{{- define "parlance.givenFleet" -}}
{{- if kindIs "map" .Values.fleet -}}
{{- toJson .Values.fleet -}}
{{- else -}}
{{- default (.Files.Get "files/fleet.yaml") .Values.fleet | fromYaml | toJson -}}
{{- end -}}
{{- end -}}

{{/* What `models:` of the values changes of an entry, by its id and by its catalogue name: dict "root" $ "entry" …. */}}
{{- define "parlance.modelChange" -}}
{{- $id := default .entry.use .entry.id -}}
{{- $changes := .root.Values.models -}}
{{- merge (deepCopy (default dict (get $changes (default "" $id)))) (default dict (get $changes (default "" .entry.use))) | toJson -}}
{{- end -}}

{{/* The fleet of the values, checked, with `models:` of the values merged over it. */}}
{{- define "parlance.fleet" -}}
{{- include "parlance.checked" . -}}
{{- $fleet := include "parlance.givenFleet" . | fromJson -}}
{{- $models := list -}}
{{- range $entry := default list $fleet.models -}}
{{- $change := include "parlance.modelChange" (dict "root" $ "entry" $entry) | fromJson -}}
{{- $models = append $models (mergeOverwrite (deepCopy $entry) $change) -}}
{{- end -}}
{{- $_ := set $fleet "models" $models -}}
{{- if not $fleet.clusters -}}
{{- $_ := set $fleet "clusters" (dict "main" dict) -}}
{{- end -}}
{{- toJson $fleet -}}
{{- end -}}

{{/* {"models": [...]}: the enabled models whose engines run in this release, complete.
     id, use, entry (as written), engine (with all defaults), cluster, group (name of its worker group), workers
     (processes of a replica), gpus (of a replica, all on one node), drainSeconds. */}}
{{- define "parlance.models" -}}
{{- $facts := include "parlance.facts" . | fromJson -}}
{{- $fleet := include "parlance.fleet" . | fromJson -}}
{{- $names := keys $fleet.clusters | sortAlpha -}}
{{- $found := list -}}
{{- range $entry := $fleet.models -}}
{{- if and $entry.engine (ne (toString $entry.enabled) "false") -}}
{{- $cluster := default (first $names) $entry.cluster -}}
{{- $described := default dict (get $fleet.clusters $cluster) -}}
{{- if not $described.serve_url -}}
{{- $engine := mergeOverwrite (deepCopy $facts.engine) (deepCopy $entry.engine) -}}
{{- $workers := mul (int $engine.tensor_parallel) (int $engine.pipeline_parallel) -}}
{{- $id := default $entry.use $entry.id -}}
{{- $found = append $found (dict
      "id" $id
      "use" (default "" $entry.use)
      "entry" $entry
      "engine" $engine
      "cluster" $cluster
      "group" ($id | replace "." "-" | replace "_" "-")
      "workers" $workers
      "gpus" (ternary $workers 0 (eq $engine.device "gpu"))
      "drainSeconds" (add (ceil $engine.max_stream_s) $facts.serve.drainMarginSeconds)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson (dict "models" $found) -}}
{{- end -}}

{{/* {"clusters": [...]}: the Ray clusters that this release runs: name, rayService (its object's name), models,
     drainSeconds (of the longest). A cluster with a serve_url is others'; one without models is not made. */}}
{{- define "parlance.clusters" -}}
{{- $models := (include "parlance.models" . | fromJson).models -}}
{{- $found := list -}}
{{- range $name := keys (include "parlance.fleet" . | fromJson).clusters | sortAlpha -}}
{{- $mine := list -}}
{{- $longest := 0 -}}
{{- range $model := $models -}}
{{- if eq $model.cluster $name -}}
{{- $mine = append $mine $model -}}
{{- $longest = max $longest (int $model.drainSeconds) -}}
{{- end -}}
{{- end -}}
{{- if $mine -}}
{{- $found = append $found (dict
      "name" $name
      "rayService" (include "parlance.rayService" (dict "root" $ "cluster" $name))
      "models" $mine
      "drainSeconds" $longest) -}}
{{- end -}}
{{- end -}}
{{- toJson (dict "clusters" $found) -}}
{{- end -}}

{{/* A RayService's name: dict "root" $ "cluster" "main". KubeRay takes 41 characters. */}}
{{- define "parlance.rayService" -}}
{{- printf "%s-%s" (include "parlance.fullname" .root) (.cluster | replace "." "-" | replace "_" "-") -}}
{{- end -}}

{{/* How long a gateway's open answers may go on: the values', or as long as the longest stream. Seconds. */}}
{{- define "parlance.gatewayDrain" -}}
{{- $longest := 30 -}}
{{- range (include "parlance.models" . | fromJson).models -}}
{{- $longest = max $longest (int (ceil .engine.max_stream_s)) -}}
{{- end -}}
{{- default $longest .Values.gateway.drainSeconds -}}
{{- end -}}

{{- define "parlance.prometheusUrl" -}}
{{- default (printf "http://%s-prometheus:9090" (include "parlance.fullname" .)) .Values.prometheus.url -}}
{{- end -}}

{{/* fleet.yaml as gateway and autoscaler read it: the values' fleet with what the chart knows of addresses, ports,
     secrets and Kubernetes. What it fills in the values must leave out: templates/checks.yaml. */}}
{{- define "parlance.fleetFile" -}}
{{- $facts := include "parlance.facts" . | fromJson -}}
{{- $fleet := include "parlance.fleet" . | fromJson -}}
{{- $full := include "parlance.fullname" . -}}
{{- range $cluster := (include "parlance.clusters" . | fromJson).clusters -}}
{{- $groups := dict -}}
{{- range $model := $cluster.models -}}
{{- $_ := set $groups $model.id $model.group -}}
{{- end -}}
{{- $_ := set $fleet.clusters $cluster.name (mergeOverwrite (deepCopy (get $fleet.clusters $cluster.name)) (dict
      "serve_url" (printf "http://%s-serve-svc:%d" $cluster.rayService (int $facts.serve.port))
      "rayservice" (mergeOverwrite (dict "name" $cluster.rayService "worker_groups" $groups) (default dict (get $fleet.clusters $cluster.name).rayservice)))) -}}
{{- end -}}
{{- $gateway := dict
      "host" "0.0.0.0"
      "admin_host" "0.0.0.0"
      "port" (int $facts.gateway.port)
      "admin_port" (int $facts.gateway.admin_port)
      "keys_file" (printf "/etc/parlance/keys/%s" .Values.gateway.keys.key)
      "state_dir" "/var/lib/parlance"
      "drain_s" (int (include "parlance.gatewayDrain" .)) -}}
{{- if .Values.autoscaler.enabled -}}
{{- $_ := set $gateway "plan_url" (printf "http://%s-autoscaler:%d/plan" $full (int $facts.autoscaling.port)) -}}
{{- end -}}
{{- $_ := set $fleet "gateway" (mergeOverwrite (default dict $fleet.gateway) $gateway) -}}
{{- $autoscaling := dict
      "host" "0.0.0.0"
      "port" (int $facts.autoscaling.port)
      "prometheus_url" (include "parlance.prometheusUrl" .)
      "kubernetes" (mergeOverwrite (dict "lease" (printf "%s-autoscaler" $full) "config_map" (printf "%s-autoscaler-history" $full)) (default dict (default dict $fleet.autoscaling).kubernetes)) -}}
{{- $_ := set $fleet "autoscaling" (mergeOverwrite (default dict $fleet.autoscaling) $autoscaling) -}}
{{- toYaml $fleet -}}
{{- end -}}
