"""Ray Serve's configuration of one cluster, from the fleet: the body of PUT /api/serve/applications/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from serve.engines.application import DEPLOYMENT, EngineArgs
from serve.engines.environment import drain_s
from serve.engines.flags import Weights, argv, engine_of, environment, weights
from serve.fleet import Fleet, Model

IMPORT_PATH = "serve.engines.application:build"

# Requests that wait at a replica for one of its `max_ongoing_requests` slots before 429; vLLM has its own queue.
QUEUE_FACTOR = 1

HEALTH_PERIOD_S = 5
HEALTH_TIMEOUT_S = 30

# An idle connection of the gateway's; it must outlast the gateway's own limit.
KEEP_ALIVE_S = 90


def serve_config(
    fleet: Fleet,
    cluster: str,
    *,
    host: str = "0.0.0.0",  # noqa: S104 - replicas must be reached from HAProxy on other nodes; a network policy guards
    resolve: Callable[[Model], Weights] = weights,
    replicas: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The whole list of a cluster's applications: one a model, under the route /<model id>.

    A PUT deletes the applications that it does not name. `replicas` are the live targets by model id: a PUT that
    changes anything of a deployment also resets its number of replicas, so what the autoscaler had set must be
    written back. `resolve` says what a model's engine loads.
    """
    port = urlsplit(fleet.clusters[cluster].serve_url).port or 8000
    live = replicas or {}
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": host, "port": port, "request_timeout_s": None, "keep_alive_timeout_s": KEEP_ALIVE_S},
        "logging_config": {"log_level": "INFO", "enable_access_log": False},
        "applications": [application(model, resolve(model), live.get(model.id)) for model in models_of(fleet, cluster)],
    }


def models_of(fleet: Fleet, cluster: str) -> tuple[Model, ...]:
    """The models whose engines run on that cluster."""
    return tuple(model for model in fleet.models if model.engine is not None and model.cluster == cluster)


def engine_args(model: Model, loaded: Weights, resources: Mapping[str, float] | None = None) -> EngineArgs:
    """What a model's replicas are built from. `resources` are Ray's own kind, by which a replica finds its nodes."""
    engine = engine_of(model)
    return EngineArgs(
        argv=argv(model, loaded),
        env=environment(model, loaded),
        workers=engine.workers,
        gpus=engine.workers if engine.device == "gpu" else 0,
        cpus=engine.cpus_per_replica,
        resources=dict(resources or {}),
        stop_token_ids=list(loaded.stop_token_ids),
        stall_s=engine.stall_s,
        surge=engine.surge,
    )


def application(model: Model, loaded: Weights, replicas: int | None = None) -> dict[str, Any]:
    """One application. `args` restart the replicas when they change; what stands under `deployments` does not."""
    engine = engine_of(model)
    return {
        "name": model.id,
        "route_prefix": f"/{model.id}",
        "import_path": IMPORT_PATH,
        "external_scaler_enabled": True,
        "args": engine_args(model, loaded).model_dump(mode="json"),
        "deployments": [
            {
                "name": DEPLOYMENT,
                # Serve refuses 0 here: a model is scaled to zero by the scale call only.
                "num_replicas": max(1, engine.replicas.initial if replicas is None else replicas),
                "max_ongoing_requests": engine.max_ongoing_requests,
                "max_queued_requests": engine.max_ongoing_requests * QUEUE_FACTOR,
                "graceful_shutdown_timeout_s": drain_s(model),
                "health_check_period_s": HEALTH_PERIOD_S,
                "health_check_timeout_s": HEALTH_TIMEOUT_S,
            }
        ],
    }
