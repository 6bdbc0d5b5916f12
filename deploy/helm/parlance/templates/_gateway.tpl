{{/* What the gateway's and the autoscaler's templates share. */}}

{{/* Processes of a gateway pod: worker i has the operator's port 8081 + i. */}}
{{- define "parlance.gatewayWorkers" -}}
{{- $facts := include "parlance.facts" . | fromJson -}}
{{- $fleet := include "parlance.fleet" . | fromJson -}}
{{- int (default $facts.gateway.workers (default dict $fleet.gateway).workers) -}}
{{- end -}}

{{/* The operator's ports, a port name and number for each worker: {"ports": [{"name": "admin", "port": 8081}, …]}. */}}
{{- define "parlance.gatewayAdminPorts" -}}
{{- $first := int (include "parlance.facts" . | fromJson).gateway.admin_port -}}
{{- $ports := list -}}
{{- range $worker := until (int (include "parlance.gatewayWorkers" .)) -}}
{{- $ports = append $ports (dict "name" (ternary (printf "admin-%d" $worker) "admin" (gt $worker 0)) "port" (add $first $worker)) -}}
{{- end -}}
{{- toJson (dict "ports" $ports) -}}
{{- end -}}

{{- define "parlance.keysSecret" -}}
{{- default (printf "%s-keys" (include "parlance.fullname" .)) .Values.gateway.keys.existingSecret -}}
{{- end -}}

{{/* `data:` of the generated Secret, as JSON: that of the one which is there, else a new key and its digest. Made once a
     render, and remembered in .Release (never in .Values): the pods' checksum and the Secret must speak of the same key. */}}
{{- define "parlance.generatedKeys" -}}
{{- if not (hasKey .Release "parlanceKeys") -}}
{{- $found := default dict (lookup "v1" "Secret" .Release.Namespace (include "parlance.keysSecret" .)) -}}
{{- $data := default dict $found.data -}}
{{- if not (hasKey $data "keys.yaml") -}}
{{- $key := printf "pk-%s" (randAlphaNum 43) -}}
{{- $entry := dict "name" "generated" "tenant" "default" "sha256" (sha256sum $key) -}}
{{- $data = dict
      "keys.yaml" (toYaml (dict "version" 1 "keys" (list $entry)) | b64enc)
      "api-key" ($key | b64enc) -}}
{{- end -}}
{{- $_ := set .Release "parlanceKeys" (toJson $data) -}}
{{- end -}}
{{- get .Release "parlanceKeys" -}}
{{- end -}}

{{/* Changes with the keys: pods roll then. Of a Secret that others keep the content is known only where a cluster is
     asked (`helm install`, `helm upgrade`, not `helm template`): docs/install.md says what GitOps does. */}}
{{- define "parlance.keysChecksum" -}}
{{- if .Values.gateway.keys.existingSecret -}}
{{- $found := default dict (lookup "v1" "Secret" .Release.Namespace .Values.gateway.keys.existingSecret) -}}
{{- printf "%s %s" .Values.gateway.keys.existingSecret (toJson (default dict $found.data)) | sha256sum -}}
{{- else -}}
{{- get (include "parlance.generatedKeys" . | fromJson) "keys.yaml" | sha256sum -}}
{{- end -}}
{{- end -}}

{{/* What every pod of gateway and autoscaler has in its environment. */}}
{{- define "parlance.environment" -}}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: POD_IP
  valueFrom:
    fieldRef: {fieldPath: status.podIP}
# numpy's threads would be as many as the node has cores: its matrices here are small.
- {name: OPENBLAS_NUM_THREADS, value: "1"}
- {name: OMP_NUM_THREADS, value: "1"}
{{- end -}}

{{/* `serviceAccount:` objects: dict "root" $ "of" .Values.gateway "component" "gateway". None has a token unless its pod
     asks for one. */}}
{{- define "parlance.serviceAccountObject" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "parlance.serviceAccount" . }}
  {{- include "parlance.metadata" (dict "root" .root "component" .component "annotations" .of.serviceAccount.annotations) | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}

{{/* A PodDisruptionBudget: dict "root" $ "of" .Values.gateway "component" "gateway". A pod that is not ready serves
     nobody: it may always be evicted, or it would hold up a node's drain. */}}
{{- define "parlance.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "parlance.fullname" .root }}-{{ .component }}
  {{- include "parlance.metadata" (dict "root" .root "component" .component) | nindent 2 }}
spec:
  maxUnavailable: {{ .of.podDisruptionBudget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "parlance.selector" (dict "root" .root "component" .component) | nindent 6 }}
{{- end -}}
