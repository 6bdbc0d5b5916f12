"""`token-work`: as many replicas as the work needs that is expected until another one could have started.

    arriving = requests a second x work of a request               [output tokens a second]
    expected = headroom x the largest `arriving` of the last H     H: the time that a replica takes to start
    needed   = (expected + work that waits / catch_up_s) / (capacity of a replica x target_utilisation), rounded up

and at least as many as keep the KV cache below its target. A rate measured over a window, and of these the peak over
H, is what forecasts on real traces hardly beat: see docs/autoscaling.md.
"""

from __future__ import annotations

from math import ceil

from autoscaling.demand import weights
from autoscaling.history import History, ModelHistory, horizon_s
from autoscaling.plan import Code, ModelPlan, Plan, Reason, scaled
from autoscaling.snapshot import Cause, Replicas, Seen, Snapshot
from serve.fleet import Fleet
from serve.fleet.autoscaling import Autoscaling

# 3.0000000001 replicas are three.
ROUNDING = 1e-9


class TokenWork:
    """Scales on tokens of work, which queue lengths and request counts only hint at."""

    name = "token-work"
    own_pace = False

    def plan(self, now: float, snapshot: Snapshot, history: History, fleet: Fleet) -> Plan:
        """Each model by itself."""
        settings = fleet.autoscaling
        models = {}
        for model in scaled(fleet):
            past = history.model(model, settings)
            models[model.id] = _plan(now, model.id, snapshot.model(model.id), past, settings)
        return Plan(now, self.name, models)


def blindness(seen: Seen) -> tuple[str, Cause] | None:
    """What is missing that a plan cannot be made without, and why."""
    essential = {"requests": seen.arrivals, "waiting requests": seen.waiting}
    for name, reading in essential.items():
        if reading.cause is not None:
            return name, reading.cause
    return None


def idle(replicas: Replicas | None, horizon_s: float) -> tuple[int, Reason]:
    """What a model needs that nobody asks: nothing; where its first replica still starts, that one. Whoever called
    for it has had no answer yet; a start that is taken back is paid and serves nobody."""
    asked = f"no request within {horizon_s:,.0f} s, and none is open"
    if replicas is not None and replicas.starting and not replicas.running:
        return 1, Reason(Code.IDLE, f"{asked}; its first replica has not started yet")
    return 0, Reason(Code.IDLE, asked)


def _plan(now: float, model: str, seen: Seen, past: ModelHistory, settings: Autoscaling) -> ModelPlan:
    capacity = past.capacity.tokens_per_s
    missing = blindness(seen)
    if missing is not None:
        name, cause = missing
        reason = Reason(Code.BLIND, f"{name}: {cause.words}")
        return ModelPlan(model, None, reason, capacity=capacity, blind=cause)
    arrivals, waiting = seen.arrivals.value, seen.waiting.value
    assert arrivals is not None
    assert waiting is not None
    request = seen.work_per_request(weights(settings)).value or past.work_per_request or settings.work.request_tokens
    arriving = arrivals * request
    horizon = horizon_s(past, settings)
    peak = max([arriving, *(r.arriving for r in past.since(now - horizon) if r.arriving is not None)])
    expected = settings.work.headroom * peak
    needed, reason = _needed(seen, expected, waiting, request, capacity, horizon, settings)
    usable = capacity * settings.work.target_utilisation
    return ModelPlan(
        model, None, reason, needed=needed, arriving=arriving, expected=expected, capacity=capacity, usable=usable
    )


def _needed(
    seen: Seen,
    expected: float,
    waiting: float,
    request: float,
    capacity: float,
    horizon: float,
    settings: Autoscaling,
) -> tuple[int, Reason]:
    """The largest of what work, backlog and KV cache need, and the sentence for it."""
    work = settings.work
    usable = capacity * work.target_utilisation
    replicas = seen.replicas
    by_work = ceil(expected / usable - ROUNDING)
    by_backlog = ceil((expected + waiting * request / work.catch_up_s) / usable - ROUNDING)
    kv_use = seen.kv_use.value or 0.0
    by_kv = ceil(replicas.running * kv_use / work.kv_target - ROUNDING) if replicas and kv_use > work.kv_target else 0
    sentence = (
        f"{expected:,.0f} tokens/s are expected within {horizon:,.0f} s, a replica does {capacity:,.0f} at "
        f"{work.target_utilisation:.0%} use"
    )
    if by_kv > by_backlog:
        return by_kv, Reason(Code.KV_CACHE, f"the KV caches are {kv_use:.0%} full, {work.kv_target:.0%} are planned")
    if by_backlog > by_work:
        words = f"{sentence}; {waiting:,.0f} requests wait, to be done in {work.catch_up_s:g} s"
        return by_backlog, Reason(Code.BACKLOG, words)
    if by_work and seen.refused.value and replicas and not replicas.running:
        return by_work, Reason(Code.REFUSED, f"requests are refused, and no replica runs; {sentence}")
    if by_work or seen.in_flight.value:
        return max(by_work, 1), Reason(Code.WORK, sentence)
    return idle(replicas, horizon)
