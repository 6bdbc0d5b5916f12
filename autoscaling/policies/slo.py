"""`slo`: as many replicas as are cheaper than the late requests that they save.

    load      = requests a second / what one replica sustains within the objectives for such requests      [replicas]
    X         = the largest load until another replica could serve: a distribution      (autoscaling.forecast)
    factor    = what replicas really sustain, over what was reckoned                    (autoscaling.correction)
    multiple  = what a late request costs, in costs of serving one                      (autoscaling.risk)
    needed    = the n that minimises   n + multiple x (expected load / factor) x P(X > n x factor)

Both terms are in the price of a replica, so the choice is the same in any currency; a fixed price of a late request
(`work.late_request_usd`) becomes a multiple by the price of a replica. It is the newsvendor's rule (Arrow, Harris and
Marschak 1951): capacity is bought up to the quantile at which one more replica costs what it saves. Whatever waits, and
whatever the KV caches hold, is added to what is needed at least.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, floor

from autoscaling.demand import Demand, demand, weights, work_of
from autoscaling.forecast import Forecast
from autoscaling.history import History, ModelHistory, forecast_s, horizon_s, late_share, saturated
from autoscaling.plan import Code, ModelPlan, Plan, Reason, scaled
from autoscaling.policies.token_work import ROUNDING, blindness, idle
from autoscaling.risk import MOST_MULTIPLE, Risk
from autoscaling.snapshot import Seen, Snapshot
from serve.fleet import Fleet, Model
from serve.fleet.autoscaling import Autoscaling
from serve.routing.cost import usd_per_replica_hour


@dataclass(frozen=True, slots=True)
class Choice:
    """The cheapest number of replicas; `planned`, what they are for if a part of one could be had (never more than the
    number); and how likely the load within the horizon exceeds what a number sustains: the corners of the convex hull
    of that probability, over replicas."""

    replicas: int
    planned: float
    corners: tuple[tuple[float, float], ...]

    def exceeded(self, replicas: float) -> float:
        """The hull's height."""
        for (near, more), (far, less) in pairwise(self.corners):
            if replicas <= far:
                return more + (less - more) * (replicas - near) / (far - near)
        return self.corners[-1][1]


class Slo:
    """Prices too few replicas against too many."""

    name = "slo"
    own_pace = False

    def plan(self, now: float, snapshot: Snapshot, history: History, fleet: Fleet) -> Plan:
        """Each model by itself; `autoscaling.policies.joint` shares room between them."""
        models = {}
        for model in scaled(fleet):
            past = history.model(model, fleet.autoscaling)
            models[model.id] = _plan(now, model, snapshot.model(model.id), past, fleet)
        return Plan(now, self.name, models)


def _plan(now: float, model: Model, seen: Seen, past: ModelHistory, fleet: Fleet) -> ModelPlan:
    settings, factor = fleet.autoscaling, factor_of(past)
    missing = blindness(seen)
    if missing is not None:
        name, cause = missing
        return ModelPlan(model.id, None, Reason(Code.BLIND, f"{name}: {cause.words}"), blind=cause)
    told = demand(model, seen, past.mix, settings, fleet.slo)
    assert told is not None  # arrivals are known
    forecast = past.forecast.seeing(now, told.load)
    multiple = _multiple(model, past, told, settings)
    choice = cheapest(forecast, factor, multiple)
    needed, reason = _needed(now, seen, told, past, choice, multiple, settings)
    needed, reason = _settled(model, seen, past, needed, reason, fleet)
    tokens = told.each * work_of(told.mix, weights(settings))  # a replica's as reckoned, in output tokens a second
    return ModelPlan(
        model.id,
        None,
        reason,
        needed=needed,
        arriving=told.load * tokens,
        expected=choice.planned * factor * tokens,
        capacity=factor * tokens,
    )


def factor_of(past: ModelHistory) -> float:
    """What replicas sustain, over what was reckoned: as learnt, and no more than they did when a queue stood."""
    learnt = past.correction.factor
    return learnt if past.at_limit is None else min(learnt, past.at_limit)


def cheapest(forecast: Forecast, factor: float, multiple: float) -> Choice:
    """The number of replicas whose price and expected late requests cost least together; each sustains `factor` of the
    unit of load. Of equals the smaller.

    The probability is taken from its convex hull: every further replica then saves less than the one before, and more
    load never asks for fewer.
    """
    worth = multiple * forecast.level / factor
    corners = _hull([(0.0, 1.0), *((load / factor, above) for load, above in forecast.exceeded())])
    # The first corner beyond which a replica costs more than it saves.
    at = next(
        (
            index
            for index, ((near, more), (far, less)) in enumerate(pairwise(corners))
            if worth * (more - less) <= (far - near) * (1 + ROUNDING)
        ),
        len(corners) - 1,
    )
    exactly = corners[at][0]
    below = floor(exactly + ROUNDING)
    told = Choice(below, below, tuple(corners))
    return min(
        (told, replace(told, replicas=below + 1, planned=exactly)),
        key=lambda one: (one.replicas + worth * one.exceeded(one.replicas), one.replicas),
    )


def _hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The lower convex hull of points that go right (Andrew 1979)."""
    corners: list[tuple[float, float]] = []
    for point in points:
        while len(corners) > 1:
            (x0, y0), (x1, y1) = corners[-2:]
            if (x1 - x0) * (point[1] - y0) > (y1 - y0) * (point[0] - x0):
                break
            corners.pop()
        corners.append(point)
    return corners


def _multiple(model: Model, past: ModelHistory, told: Demand, settings: Autoscaling) -> float:
    """What a late request costs, in costs of serving one at full use."""
    if settings.work.late_request_usd is None:
        return (past.risk or Risk.of(settings.work.late_cost)).multiple
    served_usd = usd_per_replica_hour(model) / 3600 / (told.each * factor_of(past))
    return min(settings.work.late_request_usd / served_usd, MOST_MULTIPLE) if served_usd > 0 else MOST_MULTIPLE


def _needed(
    now: float,
    seen: Seen,
    told: Demand,
    past: ModelHistory,
    choice: Choice,
    multiple: float,
    settings: Autoscaling,
) -> tuple[int, Reason]:
    """The largest of what the forecast, the present load with its backlog, and the KV caches need; and the sentence."""
    work, factor = settings.work, factor_of(past)
    waiting, replicas = seen.waiting.value or 0.0, seen.replicas
    horizon = horizon_s(past, settings)
    recently = past.since(now - horizon)
    if told.load <= 0 and not seen.in_flight.value and not any(r.arriving for r in recently):
        return idle(replicas, horizon)
    by_load = ceil(told.load / factor - ROUNDING)
    # What waits is to be done by the time that a replica called for now could serve, not faster: more would come too
    # late.
    backlog = waiting / told.each / max(work.catch_up_s, horizon)
    by_backlog = ceil((told.load + backlog) / factor - ROUNDING)
    kv_use = seen.kv_use.value or 0.0
    by_kv = ceil(replicas.running * kv_use / FULL_KV - ROUNDING) if replicas and kv_use > FULL_KV else 0
    needed = max(choice.replicas, by_load, by_backlog, by_kv, 1)
    sentence = (
        f"{told.load / factor:,.1f} replicas' load; above {needed} in {choice.exceeded(needed):.1%} of cases within "
        f"{forecast_s(past, settings):,.0f} s, a late request costs {multiple:,.0f} times a served one"
    )
    if by_kv > max(choice.replicas, by_backlog):
        return by_kv, Reason(Code.KV_CACHE, f"the KV caches are {kv_use:.0%} full; {sentence}")
    if by_backlog > max(choice.replicas, by_load):
        return by_backlog, Reason(Code.BACKLOG, f"{waiting:,.0f} requests wait; {sentence}")
    if by_load and seen.refused.value and replicas and not replicas.running:
        return needed, Reason(Code.REFUSED, f"requests are refused, no replica runs; {sentence}")
    return needed, Reason(Code.RISK if needed > by_load else Code.WORK, sentence)


def _settled(
    model: Model, seen: Seen, past: ModelHistory, needed: int, reason: Reason, fleet: Fleet
) -> tuple[int, Reason]:
    """What is needed; or what there is where that is hardly more (a start costs a cold start's time of GPUs), or where
    requests are late for a queue; or one more where that queue has stood for a while.

    Clients that wait for their answers before they ask again send what is served, so that rates look like enough.
    """
    if seen.replicas is None or model.engine is None:
        return needed, reason
    kept = seen.replicas.target - model.engine.replicas.spare
    late, waiting = late_share(seen), seen.waiting.value or 0.0
    if late is not None and late > 1 - fleet.slo.attainment and waiting >= max(seen.replicas.running, 1):
        least = kept + (1 if saturated(past, fleet.autoscaling) else 0)
        if needed < least:
            return least, Reason(Code.BACKLOG, f"{late:.0%} are late, {waiting:,.0f} wait: {reason.words}")
    if needed < kept and needed > (1 - BAND) * kept:
        return kept, Reason(reason.code, f"{needed} would do, hardly fewer than there are: {reason.words}")
    return needed, reason


# Fewer replicas by no more than this share are not worth the way back.
BAND = 0.1
# Beyond this the cache is as good as full: vLLM preempts.
FULL_KV = 0.95
