"""The autoscaler's collectors: what each round saw, wanted and did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from prometheus_client import CollectorRegistry, Gauge

from autoscaling.plan import Code, ModelPlan, Plan, scaled
from autoscaling.snapshot import Cause, Replicas, Snapshot
from observability import autoscaler_metrics as metrics
from serve.fleet import Fleet, Model
from serve.routing.cost import usd_per_replica_hour


class Outcome(StrEnum):
    """What came of a model's plan."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    DRY_RUN = "dry_run"
    DEFERRED = "deferred"


class Instruments:
    """One autoscaler's metrics. Gauges of models exist only while this process leads: a follower knows nothing of
    them, and two processes' figures must not add up."""

    def __init__(self, fleet: Fleet) -> None:
        self.registry = CollectorRegistry()
        self._models = scaled(fleet)
        r = self.registry
        self._planned, self._target = metrics.PLANNED.gauge(r), metrics.TARGET.gauge(r)
        self._replicas, self._bounds = metrics.REPLICAS.gauge(r), metrics.BOUNDS.gauge(r)
        self._arriving, self._forecast = metrics.ARRIVING.gauge(r), metrics.FORECAST.gauge(r)
        self._capacity, self._blind = metrics.CAPACITY.gauge(r), metrics.BLIND.gauge(r)
        self._away = metrics.AWAY.gauge(r)
        self._reasons, self._changes = metrics.REASONS.counter(r), metrics.CHANGES.counter(r)
        self._cold_starts = metrics.COLD_STARTS.histogram(r)
        self._gpu_seconds, self._cost = metrics.GPU_SECONDS.counter(r), metrics.COST.counter(r)
        self._holds, self._applied = metrics.HOLDS.counter(r), metrics.APPLIED.counter(r)
        self._input_time = metrics.INPUT_TIME.gauge(r)
        self._loop, self._last_round = metrics.LOOP.histogram(r), metrics.LAST_ROUND.gauge(r)
        self._leader = metrics.LEADER.gauge(r)
        for model in self._models:  # a panel must not be empty until the first event
            self._known(model.id)

    def _known(self, model: str) -> None:
        for code in Code:
            self._reasons.labels(model, code.value)
        for direction in ("up", "down"):
            self._changes.labels(model, direction)
        for cause in Cause:
            self._holds.labels(model, cause.value)
        for outcome in Outcome:
            self._applied.labels(model, outcome.value)
        for family in (self._cold_starts, self._gpu_seconds, self._cost):
            family.labels(model)

    def leads(self, leads: bool) -> None:
        """Whether this process applies plans."""
        self._leader.set(leads)
        if not leads:
            for gauge in (
                self._planned, self._target, self._replicas, self._bounds, self._arriving, self._forecast,
                self._capacity, self._blind, self._input_time, self._away,
            ):  # fmt: skip
                gauge.clear()

    def planned(self, plan: Plan, snapshot: Snapshot) -> None:
        """One round's snapshot and plan."""
        for model in self._models:
            self._model(plan.models[model.id], snapshot.model(model.id).replicas)

    def _model(self, plan: ModelPlan, replicas: Replicas | None) -> None:
        model = plan.model
        _set(self._planned, plan.wanted, model)
        _set(self._arriving, plan.arriving, model)
        _set(self._forecast, plan.expected, model)
        _set(self._capacity, plan.capacity, model)
        self._bounds.labels(model, "min").set(plan.least)
        self._bounds.labels(model, "max").set(plan.most)
        self._blind.labels(model).set(plan.blind is not None)
        self._away.labels(model).set(plan.away)
        self._reasons.labels(model, plan.reason.code.value).inc()
        if plan.blind is not None:
            self._holds.labels(model, plan.blind.value).inc()
        _set(self._target, replicas.target if replicas else None, model)
        for state in ("running", "starting", "draining"):
            _set(self._replicas, getattr(replicas, state) if replicas else None, model, state)

    def done(self, model: str, outcome: Outcome, before: int | None, wanted: int | None) -> None:
        """What came of a model's plan; `before` and `wanted` are targets."""
        self._applied.labels(model, outcome.value).inc()
        if outcome is Outcome.APPLIED and before is not None and wanted is not None:
            self._changes.labels(model, "up" if wanted > before else "down").inc(abs(wanted - before))

    def held(self, replicas: Mapping[str, Replicas], seconds: float) -> None:
        """So many replicas were there for so long."""
        for model in self._models:
            if model.id in replicas:
                self._held(model, replicas[model.id].held * seconds)

    def _held(self, model: Model, replica_s: float) -> None:
        engine = model.engine
        gpus = engine.workers if engine is not None and engine.device == "gpu" else 0
        self._gpu_seconds.labels(model.id).inc(replica_s * gpus)
        self._cost.labels(model.id).inc(replica_s * usd_per_replica_hour(model) / 3600)

    def started(self, model: str, seconds: Iterable[float]) -> None:
        """Replicas that run now, and how long each took."""
        for took in seconds:
            self._cold_starts.labels(model).observe(took)

    def sampled(self, input_: str, at: float | None) -> None:
        """When a source's oldest sample was taken, in seconds since the epoch; None: it did not say."""
        if at is not None:
            self._input_time.labels(input_).set(at)

    def ended(self, seconds: float, at: float) -> None:
        """A whole round ended at `at` (seconds since the epoch)."""
        self._loop.observe(seconds)
        self._last_round.set(at)


def _set(gauge: Gauge, value: float | None, *labels: str) -> None:
    """Sets a gauge; what is not known has no series."""
    if value is None:
        gauge.remove(*labels)
    else:
        gauge.labels(*labels).set(value)
