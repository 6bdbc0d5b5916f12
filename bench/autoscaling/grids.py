"""What is tried in hindsight: a grid for each rule, in fractions of what one replica of the model sustains."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autoscaling.capacity.sustained import Mix, Sustained, sustained
from autoscaling.history import History
from autoscaling.learnt import Capacity
from autoscaling.plan import Plan, scaled
from autoscaling.policies import TokenWork
from autoscaling.simulate.many import CLAIRVOYANT, Job
from autoscaling.simulate.outcome import Outcome
from autoscaling.simulate.run import simulate
from autoscaling.simulate.traces import Trace
from autoscaling.snapshot import Snapshot
from serve.fleet import Fleet

# Paths below `autoscaling:` of the description, and those that begin with `replicas.`, of each engine.
INITIAL, KNOWN = "replicas.initial", "replicas.tokens_per_s"
USE, HEADROOM, HOLD = "work.target_utilisation", "work.headroom", "pace.scale_down_window_s"
QUEUE = "rules.hpa_queue.waiting_per_replica"
BATCH = "rules.hpa_concurrency.running_per_replica"
RATE = "rules.keda.requests_per_s"
ONGOING = "rules.ray_default.target_ongoing_requests"
UP_DELAY, DOWN_DELAY = "rules.ray_default.upscale_delay_s", "rules.ray_default.downscale_delay_s"
DOWN_FACTOR = "rules.ray_default.downscaling_factor"
WINDOW = "rules.hpa.scale_down_window_s"
DOWN, PERIOD = "rules.hpa.scale_down_percent", "rules.hpa.scale_down_period_s"

Point = Mapping[str, float]


class KnownWork(TokenWork):
    """`token-work` that is told what a replica can do, and does not learn it: with the right figure the stronger."""

    def plan(self, now: float, snapshot: Snapshot, history: History, fleet: Fleet) -> Plan:
        """As `token-work`, with `replicas.tokens_per_s` for what was learnt."""
        models = {
            model.id: replace(
                history.model(model, fleet.autoscaling), capacity=Capacity.of(model.engine.replicas.tokens_per_s)
            )
            for model in scaled(fleet)
            if model.engine is not None and model.engine.replicas.tokens_per_s is not None
        }
        return super().plan(now, snapshot, replace(history, models=models), fleet)


class TunedJob(Job):
    """A job whose `token-work` knows its capacity."""

    __slots__ = ()

    def run(self) -> Outcome:
        """As any job's."""
        if self.policy != KnownWork.name:
            return Job.run(self)
        return simulate(self.fleet, self.traffic, KnownWork(), self.conditions, self.world)


@dataclass(frozen=True, slots=True)
class Scales:
    """What grids are fractions of: a replica at its limit for the mean request, in requests and in work a second; how
    many replicas the peak fills, and how many there may be."""

    limit: Sustained
    work: float
    peak: float
    most: int


def grids(scales: Scales, full: bool) -> dict[str, list[Point]]:
    """The settings to try for each policy that is tuned."""
    batch, rate = scales.limit.sequences, scales.limit.requests_per_s
    known = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0) if full else (0.7, 0.8, 0.9)
    uses = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95) if full else (0.6, 0.7, 0.8, 0.9)
    peaks = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35) if full else (0.7, 0.85, 1.0, 1.2)
    rates = (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8) if full else (0.5, 0.6, 0.7)
    waiting = (0.1, 1.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0) if full else (1.0, 10.0, 100.0)
    # Requests in a batch grow faster than the load of a replica: such rules swing unless they aim far below the limit.
    batches = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.55) if full else (0.1, 0.2, 0.3)
    # How an HPA removes pods: its default of all at once after five minutes, longer windows, and a share at a time.
    down: list[Point] = [{WINDOW: 300.0}, {WINDOW: 1800.0}, {DOWN: 10.0, PERIOD: 300.0}]
    # Where nobody waits, a queue recommends none at all: only what goes very slowly is not all gone after the window.
    slowly: list[Point] = [{WINDOW: 300.0}, {DOWN: 10.0, PERIOD: 300.0}, {WINDOW: 3600.0, DOWN: 10.0, PERIOD: 1800.0}]
    delays: list[Point] = [{DOWN_DELAY: 600.0}, {DOWN_DELAY: 1800.0}, {DOWN_FACTOR: 0.2}]
    if full:
        down += [{WINDOW: 900.0}, {DOWN: 10.0, PERIOD: 60.0}, {WINDOW: 1800.0, DOWN: 10.0, PERIOD: 300.0}]
        slowly += [{WINDOW: 3600.0, DOWN: 5.0, PERIOD: 300.0}, {WINDOW: 900.0, DOWN: 5.0, PERIOD: 300.0}]
        delays += [{UP_DELAY: 0.0}, {UP_DELAY: 0.0, DOWN_DELAY: 1800.0}, {DOWN_DELAY: 1800.0, DOWN_FACTOR: 0.2}]
    heads: list[Point] = [{HEADROOM: 1.0}, {HEADROOM: 1.0, HOLD: 60.0}]
    if full:
        heads += [{HEADROOM: 1.1}, {HEADROOM: 1.25}, {HEADROOM: 1.0, HOLD: 900.0}]
    return {
        CLAIRVOYANT: _axis(USE, known),
        KnownWork.name: _crossed([{KNOWN: scales.work}], _axis(USE, uses), heads),
        "static": _axis(INITIAL, sorted({min(math.ceil(scales.peak * share), scales.most) for share in peaks})),
        "keda": _crossed(_axis(RATE, [rate * share for share in rates]), down),
        "hpa-queue": _crossed(_axis(QUEUE, waiting), slowly),
        "hpa-concurrency": _crossed(_axis(BATCH, [batch * share for share in batches]), down),
        "ray-default": _crossed(_axis(ONGOING, [batch * share for share in batches]), delays),
    }


def _axis(path: str, values: Sequence[float]) -> list[Point]:
    return [{path: value} for value in values]


def _crossed(*axes: Sequence[Point]) -> list[Point]:
    return [{path: value for part in parts for path, value in part.items()} for parts in itertools.product(*axes)]


def scales_of(fleet: Fleet, model: str, trace: Trace) -> Scales:
    """Those of a model and its trace. Raises ValueError where its roofline cannot be computed."""
    described = next(one for one in fleet.models if one.id == model)

    def at_limit(prompt: float, output: float) -> Sustained:
        found = sustained(described, Mix(prompt, output), fleet.slo)
        if found is None:
            raise ValueError(
                f"{model}: no roofline: it needs an engine on a known GPU, and an architecture on its card"
            )
        return found

    requests = sum(w.requests_per_s * w.seconds for w in trace.windows)
    prompt = sum(w.prompt * w.requests_per_s * w.seconds for w in trace.windows) / requests
    output = sum(w.output * w.requests_per_s * w.seconds for w in trace.windows) / requests
    peak = max(w.requests_per_s / at_limit(w.prompt, w.output).requests_per_s for w in trace.windows)
    limit, weights = at_limit(prompt, output), fleet.autoscaling.work
    work = limit.requests_per_s * (weights.prompt_token_weight * prompt + weights.output_token_weight * output)
    assert described.engine is not None
    return Scales(limit, work, peak, described.engine.replicas.max)


def tuned(fleet: Fleet, point: Point) -> Fleet:
    """The fleet with these settings; `replicas.*` are every engine's. Raises pydantic's ValidationError."""
    settings: Any = fleet.autoscaling
    models: tuple[Any, ...] = fleet.models
    for path, value in point.items():
        names = path.split(".")
        if names[0] == "replicas":
            models = tuple(
                model.model_copy(update={"engine": _changed(model.engine, names, value)}) for model in models
            )
        else:
            settings = _changed(settings, names, value)
    return fleet.model_copy(update={"autoscaling": settings, "models": models})


def _changed(settings: Any, path: Sequence[str], value: float) -> Any:
    """Checked anew, as a description's are: a grid must not try what nobody could set."""
    name, *rest = path
    inner = _changed(getattr(settings, name), rest, value) if rest else value
    return type(settings).model_validate({**dict(settings), name: inner})
