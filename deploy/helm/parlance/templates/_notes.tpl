{{/* What NOTES.txt says. Nothing in it is secret: a key is read from its Secret by who may. */}}

{{- define "parlance.notes" -}}
{{- $full := include "parlance.fullname" . -}}
{{- $in := printf "--namespace %s" .Release.Namespace -}}
{{- $gateway := .Values.gateway -}}
{{- $models := (include "parlance.models" . | fromJson).models -}}
Parlance {{ .Chart.AppVersion }} is installed as {{ .Release.Name }} in namespace {{ .Release.Namespace }}.
{{- if $models }}

Engines come up now; the first time they download images and weights, which takes minutes to an hour:
{{ range $models }}
    {{ printf "%-36s" .id }} {{ int .engine.replicas.initial }} replica{{ if ne (int .engine.replicas.initial) 1 }}s{{ end }} of {{ if .gpus }}{{ int .gpus }} x {{ .engine.gpu }}{{ else }}{{ int .workers }} CPU worker{{ if ne (int .workers) 1 }}s{{ end }}{{ end }}
{{- end }}

    kubectl {{ $in }} get rayservice --watch
    kubectl {{ $in }} get pods --selector app.kubernetes.io/instance={{ .Release.Name }}

A pod that stays Pending says why: kubectl {{ $in }} describe pod NAME
{{- end }}

The first request:
{{ if $gateway.keys.existingSecret }}
    export PARLANCE_API_KEY=…        # a key whose digest is in the Secret {{ $gateway.keys.existingSecret }}
{{- else }}
    export PARLANCE_API_KEY=$(kubectl {{ $in }} get secret {{ include "parlance.keysSecret" . }} --output go-template='{{ "{{index .data \"api-key\" | base64decode}}" }}')
{{- end }}
{{- $url := "http://127.0.0.1:8080" }}
{{- if and $gateway.ingress.enabled $gateway.ingress.hosts }}
{{- $url = printf "%s://%s" (ternary "http" "https" (kindIs "invalid" $gateway.ingress.tls)) (first $gateway.ingress.hosts) }}
{{- else if and $gateway.httpRoute.enabled $gateway.httpRoute.hostnames }}
{{- $url = printf "https://%s" (first $gateway.httpRoute.hostnames) }}
{{- else }}
    kubectl {{ $in }} port-forward service/{{ $full }}-gateway 8080:{{ int $gateway.service.port }} &
{{- end }}
    curl {{ $url }}/v1/chat/completions \
      -H "authorization: Bearer $PARLANCE_API_KEY" -H 'content-type: application/json' \
      -d '{"model": "auto", "messages": [{"role": "user", "content": "Hva heter hovedstaden i Norge?"}]}' --include

x-parlance-model in the answer names the model that was chosen. Inside the cluster: http://{{ $full }}-gateway.{{ .Release.Namespace }}{{ if ne (int $gateway.service.port) 80 }}:{{ int $gateway.service.port }}{{ end }}/v1
The same from a pod, with the key and the wait: helm test {{ .Release.Name }} {{ $in }}

What it does, and why: kubectl {{ $in }} port-forward deployment/{{ $full }}-gateway 8081:8081, then http://127.0.0.1:8081/
{{- if .Values.monitoring.dashboards.enabled }}
Dashboards are ConfigMaps that Grafana's sidecar loads; they begin with "Parlance".
{{- else }}
Dashboards and alerts: monitoring.dashboards.enabled, monitoring.rules.enabled, monitoring.monitors.enabled.
{{- end }}
{{- $notices := (include "parlance.notices" . | fromJson).notices }}
{{- if $notices }}

To look at:
{{- range $notices }}
  * {{ . }}
{{- end }}
{{- end }}
{{ end -}}

{{/* {"notices": [...]}: what is allowed, and may not be meant. */}}
{{- define "parlance.notices" -}}
{{- $values := .Values -}}
{{- $facts := include "parlance.facts" . | fromJson -}}
{{- $fleet := include "parlance.fleet" . | fromJson -}}
{{- $models := (include "parlance.models" . | fromJson).models -}}
{{- $out := list -}}
{{- $gated := list -}}
{{- $longest := 0 -}}
{{- range $models -}}
{{- $longest = max $longest (int (ceil .engine.max_stream_s)) -}}
{{- $card := default dict .entry.card -}}
{{- $catalogue := default dict (get $facts.catalogue .use) -}}
{{- $licence := default dict $card.licence -}}
{{- if and (eq (toString .engine.weights) "hub") (ternary $licence.gated $catalogue.gated (hasKey $licence "gated")) -}}
{{- $gated = append $gated (default $catalogue.source $card.source) -}}
{{- end -}}
{{- end -}}
{{- if and $gated $values.engines.weights.download (not $values.engines.hub.token.existingSecret) -}}
{{- $where := default "https://huggingface.co" $values.engines.hub.endpoint -}}
{{- $pages := list -}}
{{- range $gated | uniq -}}{{- $pages = append $pages (printf "%s/%s" $where .) -}}{{- end -}}
{{- $out = append $out (printf "Gated weights wait for a token, unless they lie in the cache or a mirror has them: accept the terms at %s, then `kubectl create secret generic hub --namespace %s --from-file=token=/dev/stdin` and set engines.hub.token.existingSecret to hub." (join ", " $pages) .Release.Namespace) -}}
{{- end -}}
{{- with $values.gateway.drainSeconds -}}
{{- if lt (int .) $longest -}}
{{- $out = append $out (printf "gateway.drainSeconds is %d, and streams may last %d s (engine.max_stream_s): a rollout of the gateway cuts those that are longer." (int .) $longest) -}}
{{- end -}}
{{- end -}}
{{- if and $values.gateway.keys.existingSecret (not $values.test.key.existingSecret) -}}
{{- $out = append $out (printf "`helm test` has no key: the Secret %s holds digests. Set test.key to a Secret with a key in plain text." $values.gateway.keys.existingSecret) -}}
{{- end -}}
{{- $environment := list -}}
{{- range $values.gateway.env -}}{{- $environment = append $environment .name -}}{{- end -}}
{{- range $entry := $fleet.models -}}
{{- $wanted := (default dict $entry.upstream).api_key_env -}}
{{- if and $wanted (ne (toString $entry.enabled) "false") (not (has $wanted $environment)) -}}
{{- $out = append $out (printf "%s takes its key from the variable %s, which gateway.env does not set: `- {name: %s, valueFrom: {secretKeyRef: {name: …, key: …}}}`." (default $entry.use $entry.id) $wanted $wanted) -}}
{{- end -}}
{{- end -}}
{{- if and $values.gateway.ingress.enabled (not $values.gateway.ingress.hosts) -}}
{{- $out = append $out "gateway.ingress.hosts is empty: the Ingress takes requests for every host that the controller has no other rule for." -}}
{{- end -}}
{{- if and $values.gateway.ingress.enabled $values.gateway.ingress.hosts (kindIs "invalid" $values.gateway.ingress.tls) -}}
{{- $out = append $out "gateway.ingress.tls is null: API keys cross the network in plain text, unless something before the Ingress ends TLS." -}}
{{- end -}}
{{- if and (eq $values.gateway.service.type "LoadBalancer") (not $values.gateway.service.loadBalancerSourceRanges) -}}
{{- $out = append $out "The load balancer lets everybody in and speaks plain HTTP: gateway.service.loadBalancerSourceRanges, or an Ingress with TLS." -}}
{{- end -}}
{{- if and $models (not $values.autoscaler.enabled) -}}
{{- $out = append $out "autoscaler.enabled is false: every model keeps replicas.initial, whatever the load." -}}
{{- else if and $models $values.autoscaler.dryRun -}}
{{- $out = append $out "autoscaler.dryRun is true: plans are told (/plan), and nothing is scaled." -}}
{{- end -}}
{{- if not $values.networkPolicies.enabled -}}
{{- $out = append $out "networkPolicies.enabled is false: whoever reaches the cluster's pods reaches Ray's ports, which know no keys." -}}
{{- end -}}
{{- if and $models (not $values.engines.faultTolerance.enabled) -}}
{{- $out = append $out "engines.faultTolerance.enabled is false: a Ray head that is lost takes its engines with it (minutes until they are back)." -}}
{{- end -}}
{{- if and $models $values.engines.weights.download (eq $values.engines.weights.kind "emptyDir") -}}
{{- $out = append $out "engines.weights.kind is emptyDir: each new replica downloads its weights anew. A persistentVolumeClaim or hostPath keeps them." -}}
{{- end -}}
{{- toJson (dict "notices" $out) -}}
{{- end -}}
