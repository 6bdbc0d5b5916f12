{{/* Whether the values make sense, before anything is rendered of them. `helm install` fails with every problem at once:
     which value, what it is, what is allowed, what helps. */}}

{{/* Checks once a render: Helm renders templates in an order of its own, and all of them read the fleet. What was done
     is remembered in .Release, never in .Values. */}}
{{- define "parlance.checked" -}}
{{- if not (hasKey .Release "parlanceChecked") -}}
{{- $_ := set .Release "parlanceChecked" true -}}
{{- $out := dict "problems" list -}}
{{- include "parlance.checkFleet" (dict "root" . "out" $out) -}}
{{- include "parlance.checkGateway" (dict "root" . "out" $out) -}}
{{- include "parlance.checkEngines" (dict "root" . "out" $out) -}}
{{- include "parlance.checkNames" (dict "root" . "out" $out) -}}
{{- /* These read what the chart makes of the fleet, which must be sound for that. */}}
{{- if not $out.problems -}}
{{- include "parlance.checkClusters" (dict "root" . "out" $out) -}}
{{- include "parlance.checkRunning" (dict "root" . "out" $out) -}}
{{- end -}}
{{- include "parlance.checkKinds" (dict "root" . "out" $out) -}}
{{- with $out.problems -}}
{{- $many := ternary "1 problem" (printf "%d problems" (len .)) (eq (len .) 1) -}}
{{- $sentences := list -}}
{{- range . -}}{{- $sentences = append $sentences (printf "  - %s" .sentence) -}}{{- end -}}
{{- fail (printf "\n\nParlance has %s:\n%s\n" $many (join "\n" $sentences)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* "true" when a problem was found at a path or below it: dict "out" … "at" …. */}}
{{- define "parlance.spoilt" -}}
{{- $found := "" -}}
{{- range .out.problems -}}
{{- if or (eq .at $.at) (hasPrefix (printf "%s." $.at) .at) (hasPrefix (printf "%s[" $.at) .at) -}}
{{- $found = "true" -}}
{{- end -}}
{{- end -}}
{{- $found -}}
{{- end -}}

{{/* Kinds that this cluster must know for what the values ask. `helm template` knows a cluster's only by --api-versions. */}}
{{- define "parlance.checkKinds" -}}
{{- $values := .root.Values -}}
{{- $asked := list
      (dict "kind" "monitoring.coreos.com/v1/PodMonitor" "by" "monitoring.monitors.enabled" "on" $values.monitoring.monitors.enabled "help" "install the Prometheus operator's CRDs (`helm install prometheus-operator-crds oci://ghcr.io/prometheus-community/charts/prometheus-operator-crds`), or set it to false")
      (dict "kind" "monitoring.coreos.com/v1/PrometheusRule" "by" "monitoring.rules.enabled" "on" $values.monitoring.rules.enabled "help" "install the Prometheus operator's CRDs (`helm install prometheus-operator-crds oci://ghcr.io/prometheus-community/charts/prometheus-operator-crds`), or set it to false")
      (dict "kind" "gateway.networking.k8s.io/v1/HTTPRoute" "by" "gateway.httpRoute.enabled" "on" $values.gateway.httpRoute.enabled "help" "install the Gateway API (https://gateway-api.sigs.k8s.io/guides/#installing-gateway-api), or take gateway.ingress") -}}
{{- if eq (include "parlance.runsEngines" .) "true" -}}
{{- $asked = prepend $asked (dict "kind" "ray.io/v1/RayService" "by" "the fleet's engines" "on" true "help" "install KubeRay 1.6 or later (`helm repo add kuberay https://ray-project.github.io/kuberay-helm && helm install kuberay-operator kuberay/kuberay-operator --version 1.6.0 --namespace kuberay-system --create-namespace`)") -}}
{{- end -}}
{{- range $asked -}}
{{- if and .on (not ($.root.Capabilities.APIVersions.Has .kind)) -}}
{{- include "parlance.problem" (dict "out" $.out "at" .by "is" "" "must" (printf "this needs the kind %s, which the cluster does not have: %s; where no cluster is asked (helm template, GitOps), render with --api-versions %s" .kind .help .kind)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* "true" unless the fleet is known to run nothing here. */}}
{{- define "parlance.runsEngines" -}}
{{- if .out.problems -}}
{{- $sound := true -}}
{{- range .out.problems -}}{{- if hasPrefix "fleet" .at -}}{{- $sound = false -}}{{- end -}}{{- end -}}
{{- if not $sound -}}true
{{- else -}}{{- gt (len (include "parlance.clusters" .root | fromJson).clusters) 0 -}}
{{- end -}}
{{- else -}}
{{- gt (len (include "parlance.clusters" .root | fromJson).clusters) 0 -}}
{{- end -}}
{{- end -}}
