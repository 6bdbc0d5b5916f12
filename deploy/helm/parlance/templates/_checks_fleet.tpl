{{/* What a schema cannot say of a fleet: what fits together. The reference is serve.fleet.loader, which the gateway and
     the autoscaler read the same file with; what it finds beyond this keeps a pod from starting, not the chart. */}}

{{- define "parlance.checkFleet" -}}
{{- $checks := .root.Files.Get "files/checks.json" | fromJson -}}
{{- $facts := include "parlance.facts" .root | fromJson -}}
{{- $fleet := include "parlance.givenFleet" .root | fromJson -}}
{{- if hasKey $fleet "Error" -}}
{{- include "parlance.problem" (dict "out" .out "at" "fleet" "is" "" "must" (printf "it cannot be read as YAML with `models:` at the top: %s" $fleet.Error)) -}}
{{- else -}}
{{- if not (kindIs "map" .root.Values.fleet) -}}
{{- include "parlance.checkPart" (dict "out" .out "checks" $checks "part" $checks.schema "at" "fleet" "value" $fleet) -}}
{{- end -}}
{{- /* A section that is no mapping is a problem already, and nothing can be read from it. */}}
{{- range $section := list "clusters" "aliases" "gateway" "routing" "slo" "autoscaling" -}}
{{- if not (kindIs "map" (get $fleet $section)) -}}{{- $_ := unset $fleet $section -}}{{- end -}}
{{- end -}}
{{- $entries := list -}}
{{- range $index, $entry := (ternary $fleet.models list (kindIs "slice" $fleet.models)) -}}
{{- $at := printf "fleet.models[%d]" $index -}}
{{- if and (kindIs "map" $entry) (not (include "parlance.spoilt" (dict "out" $.out "at" $at))) -}}
{{- $change := include "parlance.modelChange" (dict "root" $.root "entry" $entry) | fromJson -}}
{{- if $change -}}
{{- $at = printf "models.%s" (ternary $entry.id $entry.use (hasKey $.root.Values.models (default "" $entry.id))) -}}
{{- end -}}
{{- $merged := mergeOverwrite (deepCopy $entry) $change -}}
{{- $entries = append $entries (dict "at" $at "id" (default "" (default $merged.use $merged.id)) "entry" $merged "enabled" (ne (toString $merged.enabled) "false")) -}}
{{- end -}}
{{- end -}}
{{- $absent := gt (len .out.problems) 0 -}}
{{- $about := dict "root" .root "out" .out "checks" $checks "facts" $facts "fleet" $fleet "entries" $entries "absent" $absent -}}
{{- range $entries -}}
{{- if .enabled -}}
{{- include "parlance.checkModel" (dict "about" $about "at" .at "id" .id "entry" .entry) -}}
{{- end -}}
{{- end -}}
{{- include "parlance.checkModelNames" $about -}}
{{- include "parlance.checkFilledIn" $about -}}
{{- include "parlance.checkSections" $about -}}
{{- include "parlance.checkChanges" $about -}}
{{- end -}}
{{- end -}}

{{/* One enabled model: dict "about" <the above> "at" "fleet.models[0]" "id" … "entry" <as merged>. */}}
{{- define "parlance.checkModel" -}}
{{- $out := .about.out -}}
{{- $entry := .entry -}}
{{- $known := get .about.facts.catalogue (default "" $entry.use) -}}
{{- if and $entry.use (not $known) -}}
{{- $names := keys .about.facts.catalogue | sortAlpha -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.use" .at) "is" (quote $entry.use) "must" (printf "the catalogue has no such model; %sit has %s; an own model has `id:` and `card:` instead" (include "parlance.nearest" (dict "name" $entry.use "known" $names)) (join ", " $names))) -}}
{{- else if not $entry.use -}}
{{- include "parlance.checkOwnModel" . -}}
{{- end -}}
{{- if eq .id "auto" -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.id" .at) "is" "\"auto\"" "must" "that name lets Parlance choose: take another") -}}
{{- else if has .id (list "headgroup" "memory") -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.id" .at) "is" (quote .id) "must" "Ray has a group or resource of that name: take another") -}}
{{- end -}}
{{- if and $entry.engine $entry.upstream -}}
{{- include "parlance.problem" (dict "out" $out "at" .at "is" "" "must" (printf "%s has both `engine` and `upstream`: give one of them" .id)) -}}
{{- else if not (or (kindIs "map" $entry.engine) (kindIs "map" $entry.upstream)) -}}
{{- include "parlance.problem" (dict "out" $out "at" .at "is" "" "must" (printf "%s has neither `engine:` (vLLM in this release; `engine: {gpu: H100-SXM-80GB}` is enough) nor `upstream:` (an endpoint of others)" .id)) -}}
{{- end -}}
{{- $clusters := keys (default dict .about.fleet.clusters) | sortAlpha -}}
{{- if kindIs "map" $entry.engine -}}
{{- if and (not $entry.cluster) (gt (len $clusters) 1) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.cluster" .at) "is" "" "must" (printf "is required where there are several: one of %s" (join ", " $clusters))) -}}
{{- else if and $entry.cluster (not (has $entry.cluster (default (list "main") $clusters))) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.cluster" .at) "is" (quote $entry.cluster) "must" (printf "it must be one of fleet.clusters: %s" (default "none is described, so leave it out" (join ", " $clusters)))) -}}
{{- end -}}
{{- include "parlance.checkEngine" (dict "about" .about "at" (printf "%s.engine" .at) "id" .id "entry" $entry "known" $known) -}}
{{- else if kindIs "map" $entry.upstream -}}
{{- if $entry.cluster -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.cluster" .at) "is" (quote $entry.cluster) "must" "an upstream runs on none: leave it out") -}}
{{- end -}}
{{- if hasSuffix "/v1" (trimSuffix "/" $entry.upstream.base_url) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.upstream.base_url" .at) "is" (quote $entry.upstream.base_url) "must" "leave /v1 out: it is added to each path") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A model without a catalogue entry brings its whole card. */}}
{{- define "parlance.checkOwnModel" -}}
{{- $card := default dict .entry.card -}}
{{- $out := .about.out -}}
{{- if not (and .entry.id $card) -}}
{{- include "parlance.problem" (dict "out" $out "at" .at "is" "" "must" "give `use:` (a catalogue entry), or `id:` and `card:` for an own model") -}}
{{- else -}}
{{- range $path, $names := .about.checks.card -}}
{{- $part := $card -}}
{{- if ne $path "card" -}}{{- $part = get $card (trimPrefix "card." $path) -}}{{- end -}}
{{- if kindIs "map" $part -}}
{{- range $name := $names -}}
{{- if not (hasKey $part $name) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.%s.%s" $.at $path $name) "is" "" "must" "is required of a model that is not in the catalogue") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (or .entry.price $card.price) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.price" .at) "is" "" "must" (printf "is required: the card of %s has none" .entry.id)) -}}
{{- end -}}
{{- if and .entry.engine (eq (toString (get (default dict .entry.engine) "weights" | default "hub")) "hub") (not $card.source) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.card.source" .at) "is" "" "must" "is required by engine.weights: hub") -}}
{{- end -}}
{{- $base := eq (toString (default "chat" $card.kind)) "base" -}}
{{- if eq $base (kindIs "map" $card.template) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.card.template" .at) "is" "" "must" (ternary "a base model has none: leave it out" "is required of chat and reasoning models; `{}` takes its defaults" $base)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the fleet says of a release's own addresses and secrets would be overwritten: it must not say it. */}}
{{- define "parlance.checkFilledIn" -}}
{{- $gateway := dict
      "host" "leave it out" "admin_host" "leave it out" "port" "leave it out, and set gateway.service.port" "admin_port" "leave it out"
      "keys_file" "leave it out, and name a Secret in gateway.keys.existingSecret" "state_dir" "leave it out; gateway.state says where it lies"
      "drain_s" "leave it out, and set gateway.drainSeconds" -}}
{{- if .root.Values.autoscaler.enabled -}}
{{- $_ := set $gateway "plan_url" "leave it out" -}}
{{- end -}}
{{- $autoscaling := dict "host" "leave it out" "port" "leave it out" "state_dir" "leave it out" "prometheus_url" "leave it out, and set prometheus.url" -}}
{{- range $section, $names := dict "gateway" $gateway "autoscaling" $autoscaling -}}
{{- $given := get $.fleet $section -}}
{{- if kindIs "map" $given -}}
{{- range $name, $remedy := $names -}}
{{- if not (kindIs "invalid" (get $given $name | default nil)) -}}
{{- $at := printf "fleet.%s.%s" $section $name -}}
{{- include "parlance.problem" (dict "out" $.out "at" $at "is" (include "parlance.shown" (dict "at" $at "value" (get $given $name))) "must" (printf "the chart fills this in: %s" $remedy)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $cluster := default dict .fleet.clusters -}}
{{- if and (kindIs "map" $cluster) (not $cluster.serve_url) -}}
{{- range $field := keys $cluster | sortAlpha -}}
{{- if has $field (list "dashboard_url" "token_env" "token_file" "rayservice") -}}
{{- $at := printf "fleet.clusters.%s.%s" $name $field -}}
{{- include "parlance.problem" (dict "out" $.out "at" $at "is" (include "parlance.shown" (dict "at" $at "value" (get $cluster $field))) "must" "the chart makes this Ray cluster and knows it: leave it out, or give `serve_url` for a cluster that others run") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .fleet.evidence -}}
{{- include "parlance.problem" (dict "out" .out "at" "fleet.evidence" "is" "a list of files" "must" "pods do not have them: write the figures under `card.quality` of their models (`parlance quality show`)") -}}
{{- end -}}
{{- $kubernetes := get (ternary .fleet.autoscaling dict (kindIs "map" .fleet.autoscaling)) "kubernetes" -}}
{{- if kindIs "map" $kubernetes -}}
{{- range $field := list "namespace" "lease" "config_map" -}}
{{- if get $kubernetes $field -}}
{{- include "parlance.problem" (dict "out" $.out "at" (printf "fleet.autoscaling.kubernetes.%s" $field) "is" (quote (get $kubernetes $field)) "must" "the chart fills this in, and its Role names it: leave it out") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* `models:` of the values changes models that are there. */}}
{{- define "parlance.checkChanges" -}}
{{- $names := list -}}
{{- range .entries -}}
{{- $names = concat $names (compact (list (default "" .entry.id) (default "" .entry.use))) -}}
{{- end -}}
{{- $names = $names | uniq | sortAlpha -}}
{{- if not .absent -}}
{{- range $name := keys .root.Values.models | sortAlpha -}}
{{- if not (has $name $names) -}}
{{- include "parlance.problem" (dict "out" $.out "at" (printf "models.%s" $name) "is" "" "must" (printf "the fleet has no such model; %sit has %s" (include "parlance.nearest" (dict "name" $name "known" $names)) (join ", " $names))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
