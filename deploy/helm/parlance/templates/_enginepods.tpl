{{/* Pods of a Ray cluster. */}}

{{/* metadata of a Ray pod: dict "root" $ "cluster" … "of" (podLabels, podAnnotations). */}}
{{- define "parlance.rayPodMetadata" -}}
labels:
  {{- include "parlance.podLabels" (dict "root" .root "component" "engines" "labels" (merge (dict "parlance.dev/cluster" .cluster.name) (default dict .of.podLabels))) | nindent 2 }}
{{- with merge (deepCopy (default dict .of.podAnnotations)) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "parlance.headPod" -}}
{{- $head := .root.Values.engines.head -}}
metadata:
  {{- include "parlance.rayPodMetadata" (dict "root" .root "cluster" .cluster "of" $head) | nindent 2 }}
spec:
  # Its service account is KubeRay's: Ray's autoscaler beside it changes the cluster's size.
  enableServiceLinks: false
  # No request passes the head. Ray's autoscaler takes no SIGTERM, and KubeRay makes another head when this one is gone.
  terminationGracePeriodSeconds: 30
  securityContext:
    {{- include "parlance.podSecurity" .root | nindent 4 }}
  {{- with include "parlance.placed" (dict "root" .root "of" $head "component" "engines") | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
  - name: ray-head
    image: {{ include "parlance.image" (dict "root" .root "image" .root.Values.images.engine) }}
    imagePullPolicy: {{ .root.Values.images.engine.pullPolicy }}
    securityContext:
      {{- include "parlance.containerSecurity" .root | nindent 6 }}
    env:
    {{- include "parlance.rayEnvironment" (merge (dict "head" true) .) | trim | nindent 4 }}
    ports:
    - {name: gcs-server, containerPort: 6379}
    - {name: dashboard, containerPort: 8265}
    - {name: client, containerPort: 10001}
    - {name: as-metrics, containerPort: 44217}
    - {name: dash-metrics, containerPort: 44227}
    {{- include "parlance.rayPorts" .root | nindent 4 }}
    resources:
      {{- toYaml $head.resources | nindent 6 }}
    volumeMounts:
    - {name: tmp, mountPath: /tmp}
  volumes:
  - {name: tmp, emptyDir: {}}
{{- end -}}

{{/* Of head and workers alike. */}}
{{- define "parlance.rayPorts" -}}
{{- $facts := include "parlance.facts" . | fromJson -}}
- {name: serve, containerPort: {{ int $facts.serve.port }}}
- {name: metrics, containerPort: 8080}
- {name: haproxy, containerPort: {{ int $facts.ports.haproxyMetrics }}}
{{- end -}}

{{/* What holds for a model's pods: `workers` with its GPU's node labels and `groups.<id>` over it. JSON. */}}
{{- define "parlance.group" -}}
{{- $engines := .root.Values.engines -}}
{{- $of := deepCopy $engines.workers -}}
{{- $own := dict -}}
{{- range $name, $value := default dict (get $engines.groups .model.id) -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $own $name $value -}}
{{- end -}}
{{- end -}}
{{- $gpu := default dict (get $engines.gpuNodeSelectors (default "" .model.engine.gpu)) -}}
{{- $_ := set $of "nodeSelector" (mergeOverwrite (deepCopy $of.nodeSelector) $gpu (default dict $own.nodeSelector)) -}}
{{- $of = mergeOverwrite $of (deepCopy (omit $own "nodeSelector")) -}}
{{- if .model.gpus -}}
{{- range $kind := list "requests" "limits" -}}
{{- $_ := set $of.resources $kind (set (default dict (get $of.resources $kind)) $engines.gpuResource (int $.model.gpus)) -}}
{{- end -}}
{{- end -}}
{{- toJson $of -}}
{{- end -}}

{{- define "parlance.workerPod" -}}
{{- $group := include "parlance.group" . | fromJson -}}
{{- $values := .root.Values -}}
{{- $image := include "parlance.image" (dict "root" .root "image" $values.images.engine) -}}
metadata:
  {{- include "parlance.rayPodMetadata" (dict "root" .root "cluster" .cluster "of" $group) | nindent 2 }}
spec:
  serviceAccountName: {{ include "parlance.fullname" .root }}-engines
  automountServiceAccountToken: false
  enableServiceLinks: false
  # On SIGTERM Ray drains its node for RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S: its replica ends its streams, and its HAProxy
  # those of any model. Then its processes end, within the margin.
  terminationGracePeriodSeconds: {{ add (int .cluster.drainSeconds) (int (include "parlance.facts" .root | fromJson).serve.drainMarginSeconds) }}
  securityContext:
    {{- include "parlance.podSecurity" .root | nindent 4 }}
  {{- with include "parlance.placed" (dict "root" .root "of" $group "component" "engines") | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  initContainers:
  - name: weights
    image: {{ $image }}
    imagePullPolicy: {{ $values.images.engine.pullPolicy }}
    # It reads the fleet when it starts, so that a pod's template does not follow every change of a model.
    command:
    - python
    - -m
    - serve.engines.fetch
    - --fleet=/etc/parlance/fleet.yaml
    - --model={{ .model.id }}
    {{- if not $values.engines.weights.download }}
    - --no-download
    {{- end }}
    terminationMessagePolicy: FallbackToLogsOnError
    securityContext:
      {{- include "parlance.containerSecurity" .root | nindent 6 }}
    env:
    {{- range $name, $value := include "parlance.hubEnvironment" .root | fromJson }}
    - {name: {{ $name }}, value: {{ $value | quote }}}
    {{- end }}
    {{- with $values.engines.hub.token }}
    {{- if and .existingSecret $values.engines.weights.download }}
    - name: HF_TOKEN
      valueFrom:
        secretKeyRef: {name: {{ .existingSecret }}, key: {{ .key }}}
    {{- end }}
    {{- end }}
    resources:
      {{- toYaml $values.engines.weights.resources | nindent 6 }}
    volumeMounts:
    - {name: weights, mountPath: /weights}
    - {name: tmp, mountPath: /tmp}
    - {name: fleet, mountPath: /etc/parlance, readOnly: true}
  containers:
  - name: ray-worker
    image: {{ $image }}
    imagePullPolicy: {{ $values.images.engine.pullPolicy }}
    securityContext:
      {{- include "parlance.containerSecurity" .root | nindent 6 }}
    env:
    {{- include "parlance.rayEnvironment" . | trim | nindent 4 }}
    ports:
    {{- include "parlance.rayPorts" .root | nindent 4 }}
    resources:
      {{- toYaml $group.resources | nindent 6 }}
    volumeMounts:
    - {name: weights, mountPath: /weights}
    - {name: tmp, mountPath: /tmp}
    - {name: shm, mountPath: /dev/shm}
  volumes:
  - {{ include "parlance.weightsVolume" .root | nindent 4 | trim }}
  - {name: tmp, emptyDir: {}}
  # Of vLLM's workers and Ray's objects; it counts as the container's memory.
  - {name: shm, emptyDir: {medium: Memory, sizeLimit: {{ $group.sharedMemory }}}}
  - {name: fleet, configMap: {name: {{ include "parlance.fullname" .root }}-fleet}}
{{- end -}}
