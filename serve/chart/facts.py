"""What the chart's templates cannot reckon themselves: defaults of the description, and constants of the engines.

Templates know no catalogue and no pydantic. Everything here follows from the same objects that the gateway, the
autoscaler and the engines use; `parlance chart render` writes it into the chart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serve.engines.application import DEPLOYMENT
from serve.engines.config import HEALTH_PERIOD_S, HEALTH_TIMEOUT_S, KEEP_ALIVE_S, QUEUE_FACTOR
from serve.engines.described import IMPORT_PATH, RESTARTS
from serve.engines.environment import DRAIN_MARGIN_S, NodePorts, ray_environment
from serve.fleet import catalogue
from serve.fleet.autoscaling import Autoscaling
from serve.fleet.card import ModelCard
from serve.fleet.engine import Engine
from serve.fleet.gateway import Gateway
from serve.fleet.gpus import gpus

Facts = dict[str, Any]
# Variables whose value is the longest drain of a cluster's models, in whole seconds: templates put that in.
LONGEST = (
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S",
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S",
    "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S",
)


def facts() -> Facts:
    """All of it, for files/facts.json."""
    return {
        "engine": Engine().model_dump(mode="json"),
        "gateway": Gateway().model_dump(mode="json", include={"port", "admin_port", "workers"}),
        "autoscaling": Autoscaling().model_dump(mode="json", include={"port", "interval_s"}),
        "serve": {
            "importPath": IMPORT_PATH,
            "deployment": DEPLOYMENT,
            "queueFactor": QUEUE_FACTOR,
            "healthPeriodSeconds": HEALTH_PERIOD_S,
            "healthTimeoutSeconds": HEALTH_TIMEOUT_S,
            "drainMarginSeconds": DRAIN_MARGIN_S,
            "keepAliveSeconds": KEEP_ALIVE_S,
            "restarts": {name: list(fields) for name, fields in RESTARTS.items()},
            "port": 8000,
        },
        "ports": _ports(NodePorts()),
        "rayEnvironment": {name: value for name, value in ray_environment([]).items() if name not in LONGEST},
        "longestDrain": list(LONGEST),
        "gpus": list(gpus()),
        "catalogue": {name: _entry(ModelCard.model_validate(catalogue.raw(name))) for name in catalogue.names()},
    }


def _ports(ports: NodePorts) -> Mapping[str, int]:
    return {
        "haproxyMetrics": ports.haproxy_metrics,
        "haproxyStats": ports.haproxy_stats,
        "fallbackProxy": ports.fallback_proxy,
        "replicaLow": ports.replica_low,
        "replicaHigh": ports.replica_high,
    }


def _entry(card: ModelCard) -> Facts:
    """A catalogue model: what notes and engines say of it."""
    return {
        "title": card.title,
        "chats": card.chats,
        "gated": card.licence.gated,
        "contextTokens": card.context_tokens,
        "source": card.source,
    }
