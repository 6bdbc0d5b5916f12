"""`clairvoyant`: the policy that knows the traffic to come. Nobody can run it; what it needs is what the others aim at.

Each round it calls for as many replicas as the heaviest moment needs that comes before a replica called for in the next
round could serve, and lets go of the rest at once. It knows rates and mean lengths of the trace's windows, not the
single requests, nor how long each start will take.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from autoscaling.capacity.sustained import Mix, sustained
from autoscaling.history import History
from autoscaling.plan import Code, ModelPlan, Plan, Reason, scaled
from autoscaling.simulate.traces import Trace
from autoscaling.snapshot import Snapshot
from serve.fleet import Fleet, Model
from serve.fleet.slo import Slo

# 3.0000000001 replicas are three.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class _Load:
    """A model's windows: when each begins, and how many replicas it fills."""

    starts: tuple[float, ...]
    filled: tuple[float, ...]
    end: float

    def peak(self, begin: float, end: float) -> float:
        """The most that any moment of the span fills; nothing comes after the last window."""
        if begin >= self.end:
            return 0.0
        first = max(bisect_right(self.starts, begin) - 1, 0)
        return max(self.filled[first : max(bisect_right(self.starts, end), first + 1)])


class Clairvoyant:
    """Plans from traces: `utilisation` (above 0, at most 1) of what a replica sustains is what it is planned to carry.

    `delivery_s` is how long a plan takes until a start begins, beside the round that it waits for.
    """

    name = "clairvoyant"
    own_pace = True

    def __init__(
        self,
        traffic: Mapping[str, Trace],
        fleet: Fleet,
        cold_start_s: float,
        utilisation: float,
        delivery_s: float = 0.0,
    ) -> None:
        """Raises ValueError for a model of `traffic` whose roofline cannot be computed, and for such a utilisation."""
        if not 0 < utilisation <= 1:
            raise ValueError(f"utilisation {utilisation:g}: above 0 and at most 1")
        models = {model.id: model for model in scaled(fleet)}
        if unknown := set(traffic) - set(models):
            raise ValueError(f"no model with an engine: {', '.join(sorted(unknown))}")
        self._loads = {name: _load(models[name], trace, fleet.slo) for name, trace in traffic.items()}
        self._ahead_s = cold_start_s + fleet.autoscaling.interval_s + delivery_s
        self._utilisation = utilisation

    def plan(self, now: float, snapshot: Snapshot, history: History, fleet: Fleet) -> Plan:
        """What is to come until a replica that the next round calls for serves; `now` on the trace's clock."""
        models = {}
        for model in scaled(fleet):
            load = self._loads.get(model.id)
            filled = load.peak(now, now + self._ahead_s) if load is not None else 0.0
            needed = ceil(filled / self._utilisation - ROUNDING)
            words = f"{filled:,.1f} replicas' worth of work is the most that comes within {self._ahead_s:,.0f} s"
            models[model.id] = ModelPlan(
                model.id, None, Reason(Code.WORK if needed else Code.IDLE, words), needed=needed
            )
        return Plan(now, self.name, models)


def _load(model: Model, trace: Trace, slo: Slo) -> _Load:
    known: dict[tuple[float, float], float] = {}
    filled = []
    for window in trace.windows:
        mix = (window.prompt, window.output)
        if mix not in known:
            limit = sustained(model, Mix(*mix), slo)
            if limit is None:
                raise ValueError(f"{model.id}: no roofline: it needs an engine on a known GPU, and an architecture")
            known[mix] = limit.requests_per_s
        filled.append(window.requests_per_s / known[mix])
    return _Load(tuple(window.start_s for window in trace.windows), tuple(filled), trace.seconds)
