{{/* Parts of NetworkPolicies. Who may reach whom: docs/network.md. */}}

{{/* Peers of the release itself, as items of `from:` or `to:`: dict "root" $ "component" "gateway" "labels" <further>. */}}
{{- define "parlance.peer" -}}
- podSelector:
    matchLabels:
      {{- include "parlance.selector" . | nindent 6 }}
      {{- with .labels }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end -}}

{{/* `ports:` of a rule: a list of numbers, all of TCP. */}}
{{- define "parlance.tcp" -}}
ports:
{{- range . }}
- {protocol: TCP, port: {{ int . }}}
{{- end }}
{{- end -}}

{{/* A rule, as an item of `ingress:` or `egress:`: dict "way" "from" "peers" [NetworkPolicyPeer…] "ports" [80].
     Without peers: everybody. */}}
{{- define "parlance.rule" -}}
{{- if .peers -}}
- {{ .way }}:
  {{- toYaml .peers | nindent 2 }}
  {{- include "parlance.tcp" .ports | nindent 2 }}
{{- else -}}
- {{ include "parlance.tcp" .ports | nindent 2 | trim }}
{{- end -}}
{{- end -}}

{{/* The egress rule for names. Policies hold for what pods really listen on, which is 5353 on OpenShift. */}}
{{- define "parlance.dnsRule" -}}
- to:
  {{- toYaml .Values.networkPolicies.dns | nindent 2 }}
  ports:
  {{- range $port := list 53 5353 }}
  - {protocol: UDP, port: {{ $port }}}
  - {protocol: TCP, port: {{ $port }}}
  {{- end }}
{{- end -}}

{{/* The port of a URL. */}}
{{- define "parlance.urlPort" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- default (ternary "443" "80" (eq $url.scheme "https")) $port -}}
{{- end -}}

{{/* {"ports": [443]}: of upstream models, of clusters that others run (dict "root" $ "of" "serve_url" for the gateway,
     "dashboard_url" for the autoscaler) and, for the gateway, of the collector of traces. */}}
{{- define "parlance.upstreamPorts" -}}
{{- $fleet := include "parlance.fleet" .root | fromJson -}}
{{- $urls := list -}}
{{- range $fleet.clusters -}}
{{- if and . .serve_url -}}
{{- $urls = append $urls (default (ternary "http://ray:8000" "http://ray:8265" (eq $.of "serve_url")) (get . $.of)) -}}
{{- end -}}
{{- end -}}
{{- if eq .of "serve_url" -}}
{{- range $fleet.models -}}
{{- if and .upstream (ne (toString .enabled) "false") -}}
{{- $urls = append $urls .upstream.base_url -}}
{{- end -}}
{{- end -}}
{{- with (default dict (default dict $fleet.gateway).traces).endpoint -}}
{{- $urls = append $urls . -}}
{{- end -}}
{{- end -}}
{{- $ports := list -}}
{{- range $urls -}}
{{- $ports = append $ports (int (include "parlance.urlPort" .)) -}}
{{- end -}}
{{- toJson (dict "ports" ($ports | uniq | sortAlpha)) -}}
{{- end -}}

{{/* {"peers": […]}: who scrapes: the values' monitoring, and the chart's own Prometheus. */}}
{{- define "parlance.scrapers" -}}
{{- $peers := .Values.networkPolicies.monitoring -}}
{{- if not .Values.prometheus.url -}}
{{- $peers = concat $peers (include "parlance.peer" (dict "root" . "component" "prometheus") | fromYamlArray) -}}
{{- end -}}
{{- toJson (dict "peers" $peers) -}}
{{- end -}}
