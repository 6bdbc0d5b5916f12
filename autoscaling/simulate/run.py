"""A policy over traffic: every tick the world moves, every interval the policy looks and its plan is applied."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from random import Random
from typing import Literal

from autoscaling.bounds import Bounded
from autoscaling.capacity.sustained import Mix, kv_tokens_of, roofline_of, sustained
from autoscaling.demand import weights
from autoscaling.history import History
from autoscaling.plan import Plan, scaled
from autoscaling.policy import Policy
from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.flow import Flow
from autoscaling.simulate.fluid import FluidPool
from autoscaling.simulate.lifecycle import Lifecycle, ticks
from autoscaling.simulate.observe import Observer
from autoscaling.simulate.outcome import ModelOutcome, Outcome
from autoscaling.simulate.pool import Batch, Pool
from autoscaling.simulate.recorder import Recorder
from autoscaling.simulate.splitter import Splitter, Spoken
from autoscaling.simulate.traces import Trace
from autoscaling.snapshot import Snapshot
from serve.fleet import Fleet, Model
from serve.routing.cost import usd_per_replica_hour

World = Literal["fluid", "exact"]

# Nobody starts a day with one replica for a hundred: a run begins with what its first window needs at this use.
FIRST_USE = 0.6


class _Lane:
    """One model on its way through the simulation."""

    def __init__(self, fleet: Fleet, model: Model, trace: Trace, conditions: Conditions, world: World, own: bool):
        random = Random(f"{conditions.seed} {model.id}")  # noqa: S311 - a simulation
        self.model = model
        self.flow = Flow(trace, random, single=world == "exact")
        self.pool = _pool(fleet, model, world)
        initial = initial_replicas(fleet, model, trace) if own else _replicas(model)
        self.lifecycle = Lifecycle(self.pool, conditions, random, initial)
        self.observer = Observer(fleet.autoscaling, conditions)
        self.recorder = Recorder(weights(fleet.autoscaling), conditions)

    def tick(self, now: float, seconds: float, batch: Batch) -> None:
        self.pool.advance(now, batch)
        self.lifecycle.advance(now, seconds)
        self.observer.saw(self.pool.tally)
        self.recorder.saw(now, batch, self.pool, self.lifecycle)

    def outcome(self) -> ModelOutcome:
        engine = self.model.engine
        assert engine is not None
        return self.recorder.outcome(
            self.model.id, self.pool, self.lifecycle, engine.workers, usd_per_replica_hour(self.model)
        )


def simulate(
    fleet: Fleet,
    traffic: Mapping[str, Trace],
    policy: Policy,
    conditions: Conditions,
    world: World = "fluid",
    spoken: Mapping[str, Spoken] | None = None,
) -> Outcome:
    """What would have come of `policy` if `traffic` (by model) had come to `fleet`.

    `spoken`: the languages of each model's traffic, of which a plan's shifts then move shares; without it, none moves.
    Every model of `traffic` needs an engine on GPUs, whose roofline can be computed; others have no traffic and are
    left out. Raises ValueError.
    """
    began = time.perf_counter()
    bounded, history = Bounded(policy), History()
    models = [model for model in scaled(fleet) if model.id in traffic]
    if missing := set(traffic) - {model.id for model in models}:
        raise ValueError(f"no model with an engine: {', '.join(sorted(missing))}")
    fleet = fleet.model_copy(update={"models": tuple(models)})
    own = policy.name != "static"
    lanes = [_Lane(fleet, model, traffic[model.id], conditions, world, own) for model in models]
    seconds = max(trace.seconds for trace in traffic.values())
    interval_s = fleet.autoscaling.interval_s
    splitter = Splitter(fleet, spoken or {}, Random(f"{conditions.seed} languages"))  # noqa: S311 - a simulation
    plan: Plan | None = None
    due, begin = 0.0, 0.0
    for now in ticks(seconds, conditions.tick_s):
        batches = {lane.model.id: lane.flow.until(begin, now) for lane in lanes}
        batches = splitter.split(batches, plan.shifts if plan is not None else (), now - begin)
        for lane in lanes:
            lane.tick(now, now - begin, batches[lane.model.id])
        begin = now
        if now >= due:
            due = now + interval_s
            seen = {lane.model.id: lane.observer.seen(lane.lifecycle.replicas()) for lane in lanes}
            snapshot = Snapshot(now, seen, *splitter.flows())
            plan = bounded.plan(now, snapshot, history, fleet)
            _apply(plan, lanes, now)
            history, _ = history.after(snapshot, plan, fleet)
    took = time.perf_counter() - began
    return Outcome(policy.name, seconds, took, {lane.model.id: lane.outcome() for lane in lanes})


def _apply(plan: Plan, lanes: list[_Lane], now: float) -> None:
    for lane in lanes:
        wanted = plan.models[lane.model.id].wanted
        if wanted is not None:
            lane.lifecycle.aim(now, wanted)


def _pool(fleet: Fleet, model: Model, world: World) -> Pool:
    roof, kv_tokens = roofline_of(model), kv_tokens_of(model)
    if roof is None or kv_tokens is None:
        raise ValueError(f"{model.id}: no roofline: it needs an engine on a known GPU, and an architecture on its card")
    if world == "fluid":
        return FluidPool(fleet.slo, roof, kv_tokens)
    from autoscaling.simulate.exact import ExactPool

    return ExactPool(fleet.slo, roof, kv_tokens)


def _replicas(model: Model) -> int:
    assert model.engine is not None
    return model.engine.replicas.initial


def initial_replicas(fleet: Fleet, model: Model, trace: Trace) -> int:
    """What the first window needs, within the description's bounds."""
    assert model.engine is not None
    first = trace.windows[0]
    at_limit = sustained(model, Mix(first.prompt, first.output), fleet.slo)
    bounds = model.engine.replicas
    need = math.ceil(first.requests_per_s / at_limit.requests_per_s / FIRST_USE) if at_limit is not None else 1
    return min(max(need, bounds.min, bounds.initial), bounds.max)
