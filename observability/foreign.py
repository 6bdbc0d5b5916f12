"""Metrics of others that our queries use: vLLM under Ray, Ray Serve, Ray's nodes, HAProxy.

Each stands in the recording of the pinned versions with this type and these labels (tests hold that), so that an
upgrade that renames one fails here and not in an empty panel. `labels` are those that a query needs; Ray adds others
(`Component`, `WorkerId`, `SessionName`, …).

A histogram's `_sum` is none where Ray exports it: Ray passes on how many observations fell into each bucket and puts
them at the bucket's middle, so that a thousand zeros in the bucket up to 1 add up to 500. `_bucket` and `_count` are
right, and quantiles with them; means are not.
"""

from __future__ import annotations

from observability.metric import Exporter, Kind, Metric, Unit

_ENGINE = ("model_name", "ReplicaId", "engine")


def _vllm(name: str, kind: Kind, help_: str, *labels: str) -> Metric:
    unit = Unit.SECONDS if name.endswith("_seconds") else Unit.TOKENS if "tokens" in name else Unit.COUNT
    unit = Unit.RATIO if name.endswith("_perc") else unit
    return Metric(f"ray_vllm_{name}", kind, help_, (*_ENGINE, *labels), exporter=Exporter.RAY, unit=unit)


def _serve(name: str, kind: Kind, help_: str, *labels: str) -> Metric:
    return Metric(f"ray_serve_{name}", kind, help_, labels, exporter=Exporter.RAY)


def _node(name: str, help_: str, *labels: str, unit: Unit = Unit.COUNT) -> Metric:
    return Metric(f"ray_{name}", Kind.GAUGE, help_, labels, exporter=Exporter.RAY, unit=unit)


def _haproxy(name: str, kind: Kind, help_: str, *labels: str) -> Metric:
    return Metric(f"haproxy_{name}", kind, help_, labels, exporter=Exporter.HAPROXY)


def _kuberay(name: str, help_: str, *labels: str) -> Metric:
    return Metric(f"kuberay_{name}", Kind.GAUGE, help_, ("name", "namespace", *labels), exporter=Exporter.KUBERAY)


VLLM_RUNNING = _vllm("num_requests_running", Kind.GAUGE, "Requests in the engine's running batch.")
VLLM_WAITING = _vllm("num_requests_waiting", Kind.GAUGE, "Requests that wait for room in the batch or the KV cache.")
VLLM_KV_USE = _vllm("kv_cache_usage_perc", Kind.GAUGE, "Share of the KV cache that is in use, 0 to 1.")
VLLM_PROMPT_TOKENS = _vllm("prompt_tokens_total", Kind.COUNTER, "Prompt tokens that were processed.")
VLLM_OUTPUT_TOKENS = _vllm("generation_tokens_total", Kind.COUNTER, "Tokens that were generated.")
VLLM_FINISHED = _vllm("request_success_total", Kind.COUNTER, "Requests that ended, by reason.", "finished_reason")
VLLM_TTFT = _vllm("time_to_first_token_seconds", Kind.HISTOGRAM, "From arrival at the engine to the first token.")
VLLM_ITL = _vllm("inter_token_latency_seconds", Kind.HISTOGRAM, "Between two tokens of one request.")
VLLM_QUEUE = _vllm("request_queue_time_seconds", Kind.HISTOGRAM, "From arrival to the first time in the batch.")
VLLM_PREFILL = _vllm("request_prefill_time_seconds", Kind.HISTOGRAM, "In prefill.")
VLLM_DECODE = _vllm("request_decode_time_seconds", Kind.HISTOGRAM, "In decode.")
VLLM_E2E = _vllm("e2e_request_latency_seconds", Kind.HISTOGRAM, "From arrival at the engine to the last token.")
VLLM_PROMPT_LENGTH = _vllm("request_prompt_tokens", Kind.HISTOGRAM, "Prompt tokens of a request.")
VLLM_OUTPUT_LENGTH = _vllm("request_generation_tokens", Kind.HISTOGRAM, "Generated tokens of a request.")
VLLM_BATCH_TOKENS = _vllm("iteration_tokens_total", Kind.HISTOGRAM, "Tokens of one step of the engine.")
VLLM_PREEMPTIONS = _vllm("request_num_preemptions", Kind.HISTOGRAM, "How often a request was put back into the queue.")
VLLM_PREFIX_QUERIES = _vllm(
    "prefix_cache_queries_total", Kind.COUNTER, "Tokens that were looked up in the prefix cache."
)
# vLLM's own counter of hits appears with the first hit only; here the hits are one source among others.
VLLM_PROMPT_SOURCES = _vllm(
    "prompt_tokens_by_source_total",
    Kind.COUNTER,
    "Prompt tokens by where their keys and values came from: local_compute, local_cache_hit, external_kv_transfer.",
    "source",
)

SERVE_REPLICA_HEALTHY = _serve(
    "deployment_replica_healthy", Kind.GAUGE, "1 while a replica answers its health checks.", "application", "replica"
)
SERVE_REPLICA_STARTS = _serve(
    "deployment_replica_starts_total", Kind.COUNTER, "Replicas that started.", "application", "replica"
)
SERVE_TARGET = _serve("autoscaling_target_replicas", Kind.GAUGE, "Replicas that were asked for.", "application")
SERVE_REQUESTS = _serve(
    "deployment_request_counter_total", Kind.COUNTER, "Requests that replicas took.", "application", "replica", "route"
)
SERVE_APPLICATION = _serve("application_status", Kind.GAUGE, "State of an application, as a number.", "application")
SERVE_HAPROXY_MISMATCH = _serve(
    "haproxy_target_mismatch", Kind.GAUGE, "1 while HAProxy's servers are not the replicas that there are.", "node_id"
)

NODES = _node("cluster_active_nodes", "Nodes of the cluster.", "node_type")
# Workers of a tensor-parallel group are processes of their replica and have no series of their own; what they hold has.
NODE_RESOURCES = _node("resources", "Resources of the nodes by name (CPU, GPU, …) and state.", "Name", "State")
NODE_DISK = _node("node_disk_utilization_percentage", "Disk of a node in use, percent.", "ip", "IsHeadNode")
NODE_CPU = _node("node_cpu_utilization", "CPU of a node in use, percent.", "ip", "IsHeadNode")
NODE_MEMORY_USED = _node("node_mem_used", "Memory of a node in use, bytes.", "ip", "IsHeadNode", unit=Unit.BYTES)
NODE_MEMORY_TOTAL = _node("node_mem_total", "Memory of a node, bytes.", "ip", "IsHeadNode", unit=Unit.BYTES)

HAPROXY_SERVERS = _haproxy("backend_active_servers", Kind.GAUGE, "Servers of a backend that are up.", "proxy")
HAPROXY_SESSIONS = _haproxy("backend_current_sessions", Kind.GAUGE, "Requests that a backend is serving.", "proxy")
HAPROXY_RESPONSES = _haproxy(
    "backend_http_responses_total", Kind.COUNTER, "Responses of a backend by class of status.", "proxy", "code"
)
HAPROXY_CONNECTIONS = _haproxy("process_current_connections", Kind.GAUGE, "Connections that HAProxy holds.")
HAPROXY_LIMIT = _haproxy("process_max_connections", Kind.GAUGE, "Connections that HAProxy may hold.")

KUBERAY_SERVICE_READY = _kuberay(
    "service_condition_ready", "1 for the condition that holds: a RayService takes requests.", "condition"
)
KUBERAY_SERVICE_UPGRADING = _kuberay(
    "service_condition_upgrade_in_progress",
    "1 for the condition that holds: being upgraded.",
    "condition",
)
KUBERAY_CLUSTER_PROVISIONED = _kuberay(
    "cluster_condition_provisioned",
    "1 for the condition that holds: all pods have run.",
    "condition",
)

VLLM = (
    VLLM_RUNNING, VLLM_WAITING, VLLM_KV_USE, VLLM_PROMPT_TOKENS, VLLM_OUTPUT_TOKENS, VLLM_FINISHED, VLLM_TTFT, VLLM_ITL,
    VLLM_QUEUE, VLLM_PREFILL, VLLM_DECODE, VLLM_E2E, VLLM_PROMPT_LENGTH, VLLM_OUTPUT_LENGTH, VLLM_BATCH_TOKENS,
    VLLM_PREEMPTIONS, VLLM_PREFIX_QUERIES, VLLM_PROMPT_SOURCES,
)  # fmt: skip
SERVE = (
    SERVE_REPLICA_HEALTHY, SERVE_REPLICA_STARTS, SERVE_TARGET, SERVE_REQUESTS, SERVE_APPLICATION,
    SERVE_HAPROXY_MISMATCH,
)  # fmt: skip
NODE = (NODES, NODE_RESOURCES, NODE_CPU, NODE_DISK, NODE_MEMORY_USED, NODE_MEMORY_TOTAL)
HAPROXY = (HAPROXY_SERVERS, HAPROXY_SESSIONS, HAPROXY_RESPONSES, HAPROXY_CONNECTIONS, HAPROXY_LIMIT)
KUBERAY = (KUBERAY_SERVICE_READY, KUBERAY_SERVICE_UPGRADING, KUBERAY_CLUSTER_PROVISIONED)
ALL = (*VLLM, *SERVE, *NODE, *HAPROXY, *KUBERAY)
