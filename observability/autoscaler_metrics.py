"""The catalogue of the autoscaler's metrics: what it saw, what it wants, what came of it, and when it holds."""

from __future__ import annotations

from observability.metric import Exporter, Kind, Metric, Unit

# A loop that waits for Prometheus, Ray Serve or Kubernetes: milliseconds on a laptop, their time-outs at worst.
LOOP_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# From a tiny model on a CPU (20 s) to a 70B whose weights come from a cold object store behind a new node (30 min).
COLD_START_S = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)


def _counter(name: str, help_: str, *labels: str, unit: Unit = Unit.COUNT) -> Metric:
    return Metric(f"parlance_autoscaler_{name}", Kind.COUNTER, help_, labels, exporter=Exporter.AUTOSCALER, unit=unit)


def _gauge(name: str, help_: str, *labels: str, unit: Unit = Unit.COUNT) -> Metric:
    return Metric(f"parlance_autoscaler_{name}", Kind.GAUGE, help_, labels, exporter=Exporter.AUTOSCALER, unit=unit)


def _seconds(name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric(
        f"parlance_autoscaler_{name}", Kind.HISTOGRAM, help_, labels, buckets, Exporter.AUTOSCALER, Unit.SECONDS
    )


# Plan and reality.
PLANNED = _gauge("planned_replicas", "Replicas that the last plan wants.", "model")
TARGET = _gauge("target_replicas", "Replicas that Ray Serve was last told to run, as Ray Serve says it.", "model")
REPLICAS = _gauge("replicas", "Replicas as Ray Serve tells of them: running, starting or draining.", "model", "state")
BOUNDS = _gauge("replica_bounds", "Least and most replicas that the description allows.", "model", "bound")
ARRIVING = _gauge(
    "arriving_tokens_per_second",
    "Work that arrives, measured: prompt tokens not in a cache and answer tokens, weighed as the policy weighs them.",
    "model",
    unit=Unit.TOKENS,
)
FORECAST = _gauge(
    "forecast_tokens_per_second",
    "Work that the plan is made for: the most that is expected within the time that a replica takes to start.",
    "model",
    unit=Unit.TOKENS,
)
CAPACITY = _gauge(
    "replica_capacity_tokens_per_second", "Work that one replica does within the objectives.", "model", unit=Unit.TOKENS
)
AWAY = _gauge(
    "shifted_requests_per_second",
    "Requests that the plan's shifts take from a model to others, less those that they bring it: below 0 it serves "
    "more than was meant for it.",
    "model",
)
REASONS = _counter("plan_reasons_total", "Plans by model and the code of their main reason.", "model", "reason")
CHANGES = _counter("replica_changes_total", "Replicas added to and taken from the target.", "model", "direction")
COLD_STARTS = _seconds(
    "cold_start_seconds",
    "From the round that missed a replica of the target until one that saw it run.",
    COLD_START_S,
    "model",
)
GPU_SECONDS = _counter(
    "gpu_seconds_total", "GPU time that replicas held, starting and draining ones included.", "model", unit=Unit.SECONDS
)
COST = _counter("cost_usd_total", "Cost of that GPU time at the description's GPU-hour price, in USD.", "model",
                unit=Unit.USD)  # fmt: skip

# Blindness, and the loop itself.
HOLDS = _counter("holds_total", "Rounds that kept a model's replicas for lack of data, by cause.", "model", "cause")
BLIND = _gauge("blind", "1 while a model's replicas are held for lack of data.", "model")
INPUT_TIME = _gauge(
    "input_timestamp_seconds",
    "When the oldest sample was taken that the last round read, by source.",
    "input",
    unit=Unit.TIMESTAMP,
)
APPLIED = _counter(
    "applies_total",
    "What came of plans: applied (Ray Serve took the new target), unchanged, failed, dry_run (it would have been "
    "applied), deferred (the application is being deployed anew, or Ray Serve failed a moment ago).",
    "model",
    "outcome",
)
LOOP = _seconds("loop_seconds", "One round: snapshot, plan, apply.", LOOP_S)
LAST_ROUND = _gauge("last_round_timestamp_seconds", "When the last whole round ended.", unit=Unit.TIMESTAMP)
LEADER = _gauge("leader", "1 while this process is the one that applies plans.")

AUTOSCALER = (
    PLANNED, TARGET, REPLICAS, BOUNDS, ARRIVING, FORECAST, CAPACITY, AWAY, REASONS, CHANGES, COLD_STARTS, GPU_SECONDS,
    COST, HOLDS, BLIND, INPUT_TIME, APPLIED, LOOP, LAST_ROUND, LEADER,
)  # fmt: skip
