"""Where requests would go without the shifts in force: what every plan across models starts from.

Gateways count requests by model, language and reason. What stayed at its model says "cheapest"; what was moved says
"shifted" at the model that took it, and whom it was meant for follows from the shifts in force.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoscaling.joint.problem import Lane
from autoscaling.plan import Shift
from autoscaling.snapshot import NOTHING, Seen, Snapshot, combined
from serve.routing.tags import normal


@dataclass(frozen=True, slots=True)
class Flows:
    """Requests a second. `natural`: to `auto`, by the model that routing alone gives them to and their language, where
    another model is above the floor too; a model that is not there is not known. `moved`: by lane, as measured."""

    natural: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    moved: Mapping[Lane, float] = field(default_factory=dict)

    def away(self, model: str) -> float:
        """What shifts take from a model, less what they bring it."""
        took = sum(rate for lane, rate in self.moved.items() if lane.source == model)
        return took - sum(rate for lane, rate in self.moved.items() if lane.to == model)


def flows(snapshot: Snapshot, in_force: Sequence[Shift]) -> Flows:
    """The flows of a moment. What was moved counts for the models that shifts in force take it from."""
    known = {model: told for model, told in snapshot.flows.items() if all(r.value is not None for r in told.values())}
    natural: dict[str, defaultdict[str, float]] = {}
    for model, told in known.items():
        mine = natural[model] = defaultdict(float)
        for language, reading in told.items():
            if normal(language) == language:  # what has no tag of its own is counted as others
                mine[language] = reading.value or 0.0
    moved: dict[Lane, float] = {}
    for (language, to), sources in _sources(in_force).items():
        taken = snapshot.shifted.get(to, {}).get(language, NOTHING).value
        if not taken:
            continue
        weights = {shift.source: _expected(shift, natural, in_force) for shift in sources}
        whole = sum(weights.values())
        for source, weight in weights.items():
            rate = taken * (weight / whole if whole > 0 else 1 / len(weights))
            moved[Lane(language, source, to)] = rate
    for lane, rate in moved.items():
        if lane.source in natural:
            natural[lane.source][lane.language] += rate
    return Flows(natural, moved)


def without_shifts(snapshot: Snapshot, told: Flows) -> Snapshot:
    """What would be seen if nothing had been moved: each model's requests are those that were meant for it."""
    models = {name: _returned(seen, told.away(name)) for name, seen in snapshot.models.items()}
    return replace(snapshot, models=models)


def _returned(seen: Seen, away: float) -> Seen:
    if not away:
        return seen
    return replace(seen, finished=combined((seen.finished,), lambda finished: max(finished + away, 0.0)))


def _sources(in_force: Sequence[Shift]) -> Mapping[tuple[str, str], list[Shift]]:
    found: defaultdict[tuple[str, str], list[Shift]] = defaultdict(list)
    for shift in in_force:
        found[shift.language, shift.to].append(shift)
    return found


def _expected(shift: Shift, stayed: Mapping[str, Mapping[str, float]], in_force: Sequence[Shift]) -> float:
    """What a shift should move, by what stayed; where all of it moves nothing stays, and its share has to do."""
    whole = sum(one.share for one in in_force if (one.source, one.language) == (shift.source, shift.language))
    left = stayed.get(shift.source, {}).get(shift.language, 0.0)
    return shift.share * left / (1 - whole) if whole < 1 else shift.share
