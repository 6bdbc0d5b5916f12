"""What the controller keeps of the rounds before: bounded, and a new record each round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod

from autoscaling.capacity.sustained import Mix
from autoscaling.correction import Correction
from autoscaling.demand import Demand, demand, tokens_per_s, weights
from autoscaling.forecast import Forecast
from autoscaling.learnt import Capacity
from autoscaling.plan import ModelPlan, Plan, Shift, scaled
from autoscaling.risk import Risk
from autoscaling.snapshot import Seen, Snapshot
from autoscaling.starts import Starts
from serve.fleet import Fleet, Model
from serve.fleet.autoscaling import MAX_ROUNDS, Autoscaling

# Requests must have waited for so many rate windows before the rate of work is that of a saturated engine: engines'
# figures reach Prometheus up to two reports of Ray's (10 s each) late.
SATURATED_WINDOWS = 1.5
# Kept beyond the longest window, so that a whole window can be told from the beginning of one.
MARGIN_ROUNDS = 4
# Requests that are late while replicas do less than this share of what they can, and none waits, are not late for lack
# of replicas.
IDLE_USE = 0.5
# What replicas do while a queue stands is their limit, and no guess: it counts for so many other rounds.
SATURATED_WEIGHT = 4.0
# Of the way to what they do now, a round.
LIMIT_STEP = 0.3
LIMIT_DOUBLES_S = 86400.0
# Beyond this it bounds nothing.
MOST_LIMIT = 4.0


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one model: what arrived (output tokens a second), what was needed, the target that the plan wants
    and the one that it found; requests that were open; None where it was not known. `saturated`: every replica of the
    target ran, and a request for each of them waited."""

    at: float
    arriving: float | None = None
    needed: int | None = None
    target: int | None = None
    before: int | None = None
    saturated: bool = False
    in_flight: float | None = None
    running: int | None = None


@dataclass(frozen=True, slots=True)
class ModelHistory:
    """One model's rounds, oldest first; what a replica can do; how long it takes to start; a request's mean work.

    For policies that plan with replicas' reckoned limits: the last mix of requests, how far replicas differ from what
    is reckoned, what the load may come to, and what a late request costs. `at_limit` is a replica's use of what was
    reckoned when requests were late for a queue at all of them.
    """

    capacity: Capacity
    rounds: tuple[Round, ...] = ()
    starts: Starts = field(default_factory=Starts)
    work_per_request: float | None = None
    mix: Mix | None = None
    correction: Correction = field(default_factory=Correction)
    forecast: Forecast = field(default_factory=Forecast)
    risk: Risk | None = None
    at_limit: float | None = None

    def since(self, at: float) -> tuple[Round, ...]:
        """The rounds from `at` on."""
        return tuple(past for past in self.rounds if past.at >= at)

    @property
    def target(self) -> int | None:
        """The last target that was known."""
        return next((past.target for past in reversed(self.rounds) if past.target is not None), None)


@dataclass(frozen=True, slots=True)
class History:
    """Every model's past, and the shifts of the last plan."""

    models: Mapping[str, ModelHistory] = field(default_factory=dict)
    shifts: tuple[Shift, ...] = ()

    def model(self, model: Model, settings: Autoscaling) -> ModelHistory:
        """The past of a model: an empty one, with its seed, where there is none."""
        return self.models.get(model.id) or ModelHistory(Capacity.of(tokens_per_s(model, settings)))

    def after(self, snapshot: Snapshot, plan: Plan, fleet: Fleet) -> tuple[History, dict[str, tuple[float, ...]]]:
        """With this round, and the seconds of each start that ended, by model. What a fleet no longer has is left out.

        What nobody needs any more goes: rounds older than every window, and more of them than MAX_ROUNDS.
        """
        settings = fleet.autoscaling
        models: dict[str, ModelHistory] = {}
        ended: dict[str, tuple[float, ...]] = {}
        for model in scaled(fleet):
            past = self.model(model, settings)
            models[model.id], ended[model.id] = _after(
                model, past, snapshot.at, snapshot.model(model.id), plan.models[model.id], fleet
            )
        return History(models, plan.shifts), ended

    def shifted(self, by_s: float) -> History:
        """The same past on a clock that is `by_s` further."""
        return replace(self, models={name: _shifted(past, by_s) for name, past in self.models.items()})


def horizon_s(past: ModelHistory, settings: Autoscaling) -> float:
    """How far ahead to plan: as long as a replica takes to start, measured or assumed, and until the round after."""
    return (past.starts.longest_s or settings.work.cold_start_s) + settings.interval_s


def forecast_s(past: ModelHistory, settings: Autoscaling) -> float:
    """How far ahead to forecast: a load is a mean over the window, and what begins in the horizon shows that later."""
    return horizon_s(past, settings) + settings.window_s


def _after(
    model: Model, past: ModelHistory, now: float, seen: Seen, planned: ModelPlan, fleet: Fleet
) -> tuple[ModelHistory, tuple[float, ...]]:
    settings, replicas = fleet.autoscaling, seen.replicas
    steady = replicas is not None and replicas.running == replicas.target == replicas.held > 0
    waiting = seen.waiting.value if seen.waiting.value is not None else 0.0
    queued = steady and replicas is not None and waiting >= replicas.running
    latest = Round(
        at=now,
        arriving=planned.arriving,
        needed=planned.needed,
        target=planned.wanted,
        before=planned.target,
        saturated=queued,
        in_flight=seen.in_flight.value,
        running=replicas.running if replicas is not None else None,
    )
    keep_s = max(
        settings.pace.scale_down_window_s,
        settings.pace.period_s,
        horizon_s(past, settings),
        settings.rules.look_back_s,
        SATURATED_WINDOWS * settings.window_s,
    )
    rounds = (*past.since(now - keep_s - MARGIN_ROUNDS * settings.interval_s), latest)[-MAX_ROUNDS:]
    starts, took = (
        past.starts.after(now, replicas.target, replicas.running) if replicas is not None else (past.starts, ())
    )
    measured = seen.work_per_request(weights(settings)).value
    kept = replace(past, rounds=rounds, starts=starts, work_per_request=measured or past.work_per_request)
    kept = _reckoned(model, kept, now, seen, planned.away, fleet)
    return replace(kept, capacity=_learnt(kept, seen, fleet) if steady else past.capacity), took


def _reckoned(model: Model, past: ModelHistory, now: float, seen: Seen, away: float, fleet: Fleet) -> ModelHistory:
    """With what this round says of load, limits and lateness; unchanged where arrivals are not known. What shifts take
    `away` (requests a second) is load that is forecast here all the same."""
    settings = fleet.autoscaling
    told = demand(model, seen, past.mix, settings, fleet.slo)
    if told is None:
        return past
    forecast = past.forecast.after(now, max(told.load + away / told.each, 0.0), forecast_s(past, settings))
    correction, risk = past.correction, past.risk or Risk.of(settings.work.late_cost)
    late, use = late_share(seen), _use(past, now, told, settings)
    # A queue that nobody is late for is none: replicas may well do more.
    queued = late is not None and late > 1 - fleet.slo.attainment and saturated(past, settings)
    if use is not None and late is not None:
        weight = SATURATED_WEIGHT if queued else 1.0
        correction = correction.after(use, late, settings.interval_s, weight)
    refused = seen.refused.value or 0.0
    finished = seen.finished.value or 0.0
    curable = late or 0.0
    if use is not None and use < IDLE_USE * correction.factor and not (seen.waiting.value or 0.0) >= 1:
        curable = 0.0  # no replica more would have helped: a prompt that holds a step up, a neighbour's noise
    risk = risk.after(now, finished + refused, finished * curable + refused, fleet.slo.attainment)
    fine = late is not None and late <= 1 - fleet.slo.attainment
    at_limit = _limit(past.at_limit, use, queued, fine, settings.interval_s)
    return replace(past, mix=told.mix, forecast=forecast, correction=correction, risk=risk, at_limit=at_limit)


def _limit(known: float | None, use: float | None, queued: bool, fine: bool, seconds: float) -> float | None:
    """What replicas did when a queue stood at all of them: it holds on after the queue, or those would be taken away
    that ended it. Forgotten as they do more in time, and within a day or so."""
    if use is not None and queued:
        return use if known is None else known + LIMIT_STEP * (use - known)
    if known is None:
        return None
    known *= 2 ** (seconds / LIMIT_DOUBLES_S)
    if use is not None and fine:
        known = max(known, use)
    return known if known < MOST_LIMIT else None


def saturated(past: ModelHistory, settings: Autoscaling) -> bool:
    """Whether a queue has stood at every replica for so long that rates are those of engines at their limit."""
    if not past.rounds:
        return False
    begin = past.rounds[-1].at - SATURATED_WINDOWS * settings.window_s
    return past.rounds[0].at <= begin and all(r.saturated for r in past.since(begin))


def late_share(seen: Seen) -> float | None:
    """Share of requests of the window that missed an objective, as if both were missed independently; None where
    nothing was streamed.

    Of a request's tokens the mean counts where it is told: single late ones come from prompts that hold a step up,
    which more replicas do not change.
    """
    pace = seen.tpot_within if seen.tpot_within.value is not None else seen.itl_within
    shares = [r.value for r in (seen.ttft_within, pace) if r.value is not None]
    return 1 - prod(shares) if shares else None


def _use(past: ModelHistory, now: float, told: Demand, settings: Autoscaling) -> float | None:
    """What a replica served over the rate window, in shares of its reckoned limit; None where none ran."""
    running = [r.running for r in past.since(now - settings.window_s) if r.running is not None]
    mean = sum(running) / len(running) if running else 0.0
    return told.served / mean if mean > 0 and told.served > 0 else None


def _learnt(past: ModelHistory, seen: Seen, fleet: Fleet) -> Capacity:
    """The estimate with this round, whose replicas were all up; unchanged where something is not known."""
    settings, replicas = fleet.autoscaling, seen.replicas
    worked = seen.worked(weights(settings)).value
    if replicas is None or not worked or seen.waiting.value is None:
        return past.capacity
    queued = saturated(past, settings)
    if seen.waiting.value >= 1 and not queued:
        return past.capacity  # between the two: the rate is still of the time before the queue, or of after it
    late = late_share(seen)
    met = late <= 1 - fleet.slo.attainment if late is not None else None
    return past.capacity.after(worked / replicas.running, queued, met)


def _shifted(past: ModelHistory, by_s: float) -> ModelHistory:
    starts = replace(past.starts, asked=tuple(at if at is None else at + by_s for at in past.starts.asked))
    rounds = tuple(replace(r, at=r.at + by_s) for r in past.rounds)
    risk = replace(past.risk, at=past.risk.at + by_s) if past.risk and past.risk.at is not None else past.risk
    return replace(past, rounds=rounds, starts=starts, forecast=past.forecast.shifted(by_s), risk=risk)
