"""What the controller keeps of the rounds before: bounded, and a new record each round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from autoscaling.learnt import Capacity
from autoscaling.plan import ModelPlan, Plan, scaled
from autoscaling.snapshot import Seen, Snapshot, Weights
from autoscaling.starts import Starts
from serve.fleet import Fleet, Model
from serve.fleet.autoscaling import MAX_ROUNDS, Autoscaling

# Requests must have waited for so many rate windows before the rate of work is that of a saturated engine: engines'
# figures reach Prometheus up to two reports of Ray's (10 s each) late.
SATURATED_WINDOWS = 1.5
# Kept beyond the longest window, so that a whole window can be told from the beginning of one.
MARGIN_ROUNDS = 4


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


@dataclass(frozen=True, slots=True)
class ModelHistory:
    """One model's rounds, oldest first; what a replica can do; how long it takes to start; a request's mean work."""

    capacity: Capacity
    rounds: tuple[Round, ...] = ()
    starts: Starts = field(default_factory=Starts)
    work_per_request: float | None = None

    def since(self, at: float) -> tuple[Round, ...]:
        """The rounds from `at` on."""
        return tuple(past for past in self.rounds if past.at >= at)

    @property
    def target(self) -> int | None:
        """The last target that was known."""
        return next((past.target for past in reversed(self.rounds) if past.target is not None), None)


@dataclass(frozen=True, slots=True)
class History:
    """Every model's past."""

    models: Mapping[str, ModelHistory] = field(default_factory=dict)

    def model(self, model: Model, settings: Autoscaling) -> ModelHistory:
        """The past of a model: an empty one, with its seed, where there is none."""
        return self.models.get(model.id) or ModelHistory(Capacity.of(seed(model, settings)))

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
                past, snapshot.at, snapshot.model(model.id), plan.models[model.id], fleet
            )
        return History(models), ended

    def shifted(self, by_s: float) -> History:
        """The same past on a clock that is `by_s` further."""
        return History({name: _shifted(past, by_s) for name, past in self.models.items()})


def horizon_s(past: ModelHistory, settings: Autoscaling) -> float:
    """How far ahead to plan: as long as a replica takes to start, measured or assumed, and until the round after."""
    return (past.starts.longest_s or settings.work.cold_start_s) + settings.interval_s


def seed(model: Model, settings: Autoscaling) -> float:
    """Work of one replica before anything is measured, in output tokens a second."""
    engine = model.engine
    assert engine is not None
    if engine.replicas.tokens_per_s is not None:
        return engine.replicas.tokens_per_s
    work = settings.work
    return work.gpu_tokens_per_s * engine.workers if engine.device == "gpu" else work.cpu_tokens_per_s


def weights(settings: Autoscaling) -> Weights:
    """What a token is worth, as the fleet says it."""
    return Weights(settings.work.prompt_token_weight, settings.work.output_token_weight)


def _after(
    past: ModelHistory, now: float, seen: Seen, planned: ModelPlan, fleet: Fleet
) -> tuple[ModelHistory, tuple[float, ...]]:
    settings, replicas = fleet.autoscaling, seen.replicas
    steady = replicas is not None and replicas.running == replicas.target == replicas.held > 0
    waiting = seen.waiting.value if seen.waiting.value is not None else 0.0
    saturated = steady and replicas is not None and waiting >= replicas.running
    in_flight = seen.in_flight.value
    latest = Round(now, planned.arriving, planned.needed, planned.wanted, planned.target, saturated, in_flight)
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
    return replace(kept, capacity=_learnt(kept, seen, fleet) if steady else past.capacity), took


def _learnt(past: ModelHistory, seen: Seen, fleet: Fleet) -> Capacity:
    """The estimate with this round, whose replicas were all up; unchanged where something is not known."""
    settings, replicas = fleet.autoscaling, seen.replicas
    worked = seen.worked(weights(settings)).value
    if replicas is None or not worked or seen.waiting.value is None:
        return past.capacity
    begin = past.rounds[-1].at - SATURATED_WINDOWS * settings.window_s
    saturated = past.rounds[0].at <= begin and all(r.saturated for r in past.since(begin))
    if seen.waiting.value >= 1 and not saturated:
        return past.capacity  # between the two: the rate is still of the time before the queue, or of after it
    shares = [r.value for r in (seen.ttft_within, seen.itl_within) if r.value is not None]
    met = min(shares) >= fleet.slo.attainment if shares else None
    return past.capacity.after(worked / replicas.running, saturated, met)


def _shifted(past: ModelHistory, by_s: float) -> ModelHistory:
    starts = replace(past.starts, asked=tuple(at if at is None else at + by_s for at in past.starts.asked))
    return replace(past, rounds=tuple(replace(r, at=r.at + by_s) for r in past.rounds), starts=starts)
