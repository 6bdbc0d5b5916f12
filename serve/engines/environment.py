"""The environment of every Ray node, head and workers alike: Serve's data plane reads it when its processes start.

One place, because HAProxy and throughput mode work only when all nodes agree. The chart renders the same mapping.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from serve.fleet import Model

# After the longest stream, the time that a reload of HAProxy or the end of a replica may still take.
DRAIN_MARGIN_S = 30

# HAProxy replays a request on another replica only while it holds the whole body: a long chat is larger than the
# default buffer of 16 KiB. Memory is two buffers a connection, used only while they are filled.
BUFFER_BYTES = 262_144

# Connections that HAProxy holds at once; Ray's default of 4,096 is no more than two busy gateways. HAProxy takes two
# and a half file descriptors for each when it starts, and does not start if it cannot have them: see `connections`.
MAX_CONNECTIONS = 16_384


@dataclass(frozen=True, slots=True)
class NodePorts:
    """Ports that Serve opens on a node beside the one that clients use. Defaults are Ray's own."""

    haproxy_metrics: int = 9101
    haproxy_stats: int = 8404
    fallback_proxy: int = 8500
    fallback_grpc: int = 9500
    replica_low: int = 30_000
    replica_high: int = 31_000


def drain_s(model: Model) -> float:
    """How long a replica of this model may take to end its streams when it is stopped."""
    return (model.engine.max_stream_s if model.engine else 0) + DRAIN_MARGIN_S


def connections(descriptor_limit: int) -> int:
    """How many connections HAProxy may be given where a process may open `descriptor_limit` files."""
    return max(64, min(MAX_CONNECTIONS, descriptor_limit // 3))


def ray_environment(
    models: Iterable[Model],
    ports: NodePorts | None = None,
    threads: int = 4,
    max_connections: int = MAX_CONNECTIONS,
) -> dict[str, str]:
    """Environment variables for `ray start` (or a Ray pod) of a cluster that serves these models.

    `threads` and `max_connections` are HAProxy's. Each value's reason stands beside it; facts about Ray 2.60.
    """
    ports = ports or NodePorts()
    longest = math.ceil(max((drain_s(model) for model in models), default=DRAIN_MARGIN_S))
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        # Requests go from HAProxy straight to the replica's HTTP server; no token passes a Ray handle.
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # A reload (each change of replicas) keeps the old HAProxy until its last stream has ended. The quarantine of
        # freed replica ports follows from it by default and must stay longer: RAY_SERVE_PORT_QUARANTINE_S is unset.
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(longest),
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": str(longest),
        # A worker that is told to go (SIGTERM: its pod is evicted) drains its node first: Serve stops its replica,
        # which ends its streams, and starts another elsewhere. Ray's default of 30 s cuts what is longer. The cluster's
        # longest, for a node's HAProxy carries every model's streams; a replica with a shorter drain stays open until
        # its successor runs, or until its own drain has to begin. A head has no replica: it overrides this with 0.
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": str(longest),
        # The time in which HAProxy learns of a stopping replica before the replica refuses.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5",
        # A request that has no byte of an answer yet may be sent again: the replica's Guard says 503 when its engine
        # is dead, and an empty answer means that the replica died. 429 is an answer and is not replayed.
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response 503",
        "RAY_SERVE_HAPROXY_RETRIES": "3",
        # A replica that refuses a connection is gone: at the first refusal the retry goes elsewhere, or to the 503 of
        # the fallback. At Ray's 3, a request may spend its retries on the dead one. (The request that is on its way at
        # that moment may still get HAProxy's bare 500: measured, one in a thousand; the gateway takes it for a 503.)
        "RAY_SERVE_HAPROXY_OBSERVE_ERROR_LIMIT": "1",
        "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": str(BUFFER_BYTES),
        "RAY_SERVE_HAPROXY_MAXCONN": str(max_connections),
        "RAY_SERVE_HAPROXY_NBTHREAD": str(threads),
        # The proxy that HAProxy falls back to when an application has no replica must not keep the request.
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve.engines.fallback:middlewares",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.haproxy_metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.haproxy_stats),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback_proxy),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports.fallback_grpc),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replica_low),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replica_high),
    }
