{{/* Values of pods, services, names and volumes that contradict each other. What one value alone may be, the schema says. */}}

{{/* A Secret's key goes with a Secret: dict "out" "at" "test.key" "of" <SecretKey>. */}}
{{- define "parlance.checkSecretKey" -}}
{{- if and .of.existingSecret (not .of.key) -}}
{{- include "parlance.problem" (dict "out" .out "at" (printf "%s.key" .at) "is" "" "must" (printf "is required with %s.existingSecret: the key in the Secret %s" .at .of.existingSecret)) -}}
{{- end -}}
{{- end -}}

{{- define "parlance.checkGateway" -}}
{{- $out := .out -}}
{{- $of := .root.Values.gateway -}}
{{- $scaling := $of.autoscaling -}}
{{- if and $scaling.enabled (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- include "parlance.problem" (dict "out" $out "at" "gateway.autoscaling.minReplicas" "is" (toJson (int $scaling.minReplicas)) "must" (printf "it must be at most gateway.autoscaling.maxReplicas, which is %d" (int $scaling.maxReplicas))) -}}
{{- end -}}
{{- with $of.state.existingClaim -}}
{{- if $scaling.enabled -}}
{{- include "parlance.problem" (dict "out" $out "at" "gateway.state.existingClaim" "is" (quote .) "must" "the ledger on it is one file, for one pod: set gateway.autoscaling.enabled to false and gateway.replicas to 1, or leave it out") -}}
{{- else if gt (int $of.replicas) 1 -}}
{{- include "parlance.problem" (dict "out" $out "at" "gateway.replicas" "is" (toJson (int $of.replicas)) "must" (printf "it must be 1 with gateway.state.existingClaim (%s): the ledger on it is one file, for one pod" .)) -}}
{{- end -}}
{{- end -}}
{{- if and $of.httpRoute.enabled (not $of.httpRoute.parentRefs) -}}
{{- include "parlance.problem" (dict "out" $out "at" "gateway.httpRoute.parentRefs" "is" "empty" "must" "with gateway.httpRoute.enabled it must name a Gateway: `- {name: public, namespace: edge}`") -}}
{{- end -}}
{{- if and $of.ingress.enabled (not $of.ingress.hosts) (not (kindIs "invalid" $of.ingress.tls)) -}}
{{- include "parlance.problem" (dict "out" $out "at" "gateway.ingress.hosts" "is" "empty" "must" "with gateway.ingress.tls it must name the hosts of the certificate") -}}
{{- end -}}
{{- if and $of.service.loadBalancerSourceRanges (ne $of.service.type "LoadBalancer") -}}
{{- include "parlance.problem" (dict "out" $out "at" "gateway.service.loadBalancerSourceRanges" "is" "a list" "must" (printf "it shuts nobody out of a Service of type %s: set gateway.service.type to LoadBalancer, or say who may call in networkPolicies.clients" $of.service.type)) -}}
{{- end -}}
{{- if not $of.keys.key -}}
{{- include "parlance.problem" (dict "out" $out "at" "gateway.keys.key" "is" "empty" "must" "it must name the keys file in the Secret: keys.yaml is usual") -}}
{{- end -}}
{{- include "parlance.checkSecretKey" (dict "out" $out "at" "test.key" "of" .root.Values.test.key) -}}
{{- end -}}

{{- define "parlance.checkEngines" -}}
{{- $out := .out -}}
{{- $of := .root.Values.engines -}}
{{- $weights := $of.weights -}}
{{- if and (eq $weights.kind "hostPath") (not (hasPrefix "/" $weights.hostPath)) -}}
{{- include "parlance.problem" (dict "out" $out "at" "engines.weights.hostPath" "is" (quote $weights.hostPath) "must" "with engines.weights.kind hostPath it must be an absolute path on the nodes: /var/lib/parlance/weights") -}}
{{- else if and $weights.hostPath (ne $weights.kind "hostPath") -}}
{{- include "parlance.problem" (dict "out" $out "at" "engines.weights.hostPath" "is" (quote $weights.hostPath) "must" (printf "engines.weights.kind is %s: set that to hostPath, or leave this out" $weights.kind)) -}}
{{- end -}}
{{- if and $weights.existingClaim (ne $weights.kind "persistentVolumeClaim") -}}
{{- include "parlance.problem" (dict "out" $out "at" "engines.weights.existingClaim" "is" (quote $weights.existingClaim) "must" (printf "engines.weights.kind is %s: set that to persistentVolumeClaim, or leave this out" $weights.kind)) -}}
{{- end -}}
{{- if and (eq $weights.kind "emptyDir") (not $weights.download) -}}
{{- include "parlance.problem" (dict "out" $out "at" "engines.weights.download" "is" "false" "must" "an emptyDir begins empty: set it to true, or engines.weights.kind to persistentVolumeClaim or hostPath") -}}
{{- end -}}
{{- $redis := $of.faultTolerance -}}
{{- if and $redis.enabled (not (regexMatch "^rediss?://[^\\s/@]+$" $redis.address)) -}}
{{- $is := "empty" -}}{{- if $redis.address -}}{{- $is = ternary "(not shown)" (quote $redis.address) (contains "@" $redis.address) -}}{{- end -}}
{{- include "parlance.problem" (dict "out" $out "at" "engines.faultTolerance.address" "is" $is "must" "with engines.faultTolerance.enabled it must say where Redis is: redis://host:6379, or rediss:// for TLS; the password stands in a Secret, engines.faultTolerance.password") -}}
{{- end -}}
{{- include "parlance.checkSecretKey" (dict "out" $out "at" "engines.hub.token" "of" $of.hub.token) -}}
{{- include "parlance.checkSecretKey" (dict "out" $out "at" "engines.faultTolerance.password" "of" $redis.password) -}}
{{- end -}}

{{/* Names and labels of objects. */}}
{{- define "parlance.checkNames" -}}
{{- $out := .out -}}
{{- $values := .root.Values -}}
{{- $full := include "parlance.fullname" .root -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $full) -}}
{{- include "parlance.problem" (dict "out" $out "at" "fullnameOverride" "is" "" "must" (printf "names of objects would begin with %q, and a Service's must begin with a letter and have lower-case letters, digits and dashes only: give one that does" $full)) -}}
{{- end -}}
{{- $ours := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/part-of" "app.kubernetes.io/managed-by" "helm.sh/chart" "parlance.dev/cluster" -}}
{{- range $label := keys $values.commonLabels | sortAlpha -}}
{{- if has $label $ours -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "commonLabels.%s" $label) "is" "" "must" "the chart sets this label, and selects by it: take another name") -}}
{{- end -}}
{{- end -}}
{{- $pods := dict "gateway" $values.gateway.podLabels "autoscaler" $values.autoscaler.podLabels "prometheus" $values.prometheus.podLabels "engines.head" $values.engines.head.podLabels "engines.workers" $values.engines.workers.podLabels -}}
{{- range $at, $labels := $pods -}}
{{- range $label := keys (default dict $labels) | sortAlpha -}}
{{- if or (has $label $ours) (hasKey $values.commonLabels $label) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "%s.podLabels.%s" $at $label) "is" "" "must" (ternary "the chart sets this label, and selects by it: take another name" "commonLabels has this label for all pods: leave it out of one of them" (has $label $ours))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Names that follow from those of the fleet: KubeRay's limits, and two that become one. */}}
{{- define "parlance.checkClusters" -}}
{{- $out := .out -}}
{{- $root := .root -}}
{{- $services := dict -}}
{{- range (include "parlance.clusters" .root | fromJson).clusters -}}
{{- $cluster := .name -}}
{{- $at := printf "fleet.clusters.%s" .name -}}
{{- if gt (len .rayService) 41 -}}
{{- include "parlance.problem" (dict "out" $out "at" $at "is" "" "must" (printf "its RayService would be called %s, %d characters, and KubeRay takes 41: give the cluster a shorter name, or set fullnameOverride" .rayService (len .rayService))) -}}
{{- end -}}
{{- if hasKey $services .rayService -}}
{{- include "parlance.problem" (dict "out" $out "at" $at "is" "" "must" (printf "its RayService would be called %s, as that of fleet.clusters.%s: dots and underscores become dashes; give one of them another name" .rayService (get $services .rayService))) -}}
{{- end -}}
{{- $_ := set $services .rayService .name -}}
{{- $groups := dict -}}
{{- range .models -}}
{{- if hasKey $groups .group -}}
{{- include "parlance.problem" (dict "out" $out "at" "fleet.models" "is" "" "must" (printf "%s and %s would both have the worker group %s, for dots and underscores become dashes: give one of them another `id:`" (get $groups .group) .id .group)) -}}
{{- end -}}
{{- $_ := set $groups .group .id -}}
{{- end -}}
{{- end -}}
{{- $ids := list -}}
{{- range (include "parlance.fleet" .root | fromJson).models -}}
{{- $ids = append $ids (default .use .id) -}}
{{- end -}}
{{- range $name := keys .root.Values.engines.groups | sortAlpha -}}
{{- if not (has $name $ids) -}}
{{- include "parlance.problem" (dict "out" $out "at" (printf "engines.groups.%s" $name) "is" "" "must" (printf "the fleet has no model of that id; %sit has %s" (include "parlance.nearest" (dict "name" $name "known" $ids)) (join ", " $ids))) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the running Ray clusters cannot become. KubeRay leaves their pods as they are under `upgrade: None`, but Ray Serve
     deploys the model anew at once: a replica with more GPUs fits no pod, and one with fewer leaves some idle. */}}
{{- define "parlance.checkRunning" -}}
{{- if and (eq .root.Values.engines.upgrade "None") (.root.Capabilities.APIVersions.Has "ray.io/v1/RayService") -}}
{{- range $cluster := (include "parlance.clusters" .root | fromJson).clusters -}}
{{- $running := default dict (lookup "ray.io/v1" "RayService" $.root.Release.Namespace $cluster.rayService) -}}
{{- $pods := dict -}}
{{- range default list (dig "spec" "rayClusterConfig" "workerGroupSpecs" list $running) -}}
{{- $_ := set $pods .groupName (dig "rayStartParams" "num-gpus" "0" . | int) -}}
{{- end -}}
{{- range $model := $cluster.models -}}
{{- if hasKey $pods $model.group -}}
{{- $has := get $pods $model.group -}}
{{- if ne (int $model.gpus) (int $has) -}}
{{- include "parlance.problem" (dict "out" $.out "at" (printf "the engine of %s" $model.id) "is" (printf "%d GPUs a replica" (int $model.gpus)) "must" (printf "its running pods have %d, and engines.upgrade None leaves them as they are: set engines.upgrade to NewCluster for this upgrade, or give the model another `id:`" (int $has))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
