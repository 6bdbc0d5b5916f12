"""What a plan's shifts do to simulated traffic: shares of each language go to other models, and gateways count them.

Tokens change on the way: the same text has other tokens on another model's tokenizer, and answers are as long in words.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from autoscaling.joint.substitutes import StandIn, stand_ins
from autoscaling.plan import Shift
from autoscaling.simulate.observe import SCRAPE_AGE_S
from autoscaling.simulate.pool import Batch
from autoscaling.simulate.traces import Arrival
from autoscaling.snapshot import Reading
from serve.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Spoken:
    """Shares of a model's requests by language (BCP-47), which add up to 1; and the share that asks for `auto`: the
    others name the model, and stay there."""

    languages: Mapping[str, float]
    auto: float = 1.0

    def __post_init__(self) -> None:
        if not math.isclose(sum(self.languages.values()), 1.0, abs_tol=1e-6) or min(self.languages.values()) < 0:
            raise ValueError(f"shares by language must add up to 1: {dict(self.languages)}")
        if not 0 <= self.auto <= 1:
            raise ValueError(f"auto ({self.auto:g}) must lie between 0 and 1")


@dataclass(slots=True)
class _Counts:
    """Requests of one tick: by model and language, those that stayed, and those that were shifted to it."""

    seconds: float
    stayed: dict[tuple[str, str], float] = field(default_factory=dict)
    shifted: dict[tuple[str, str], float] = field(default_factory=dict)


class Splitter:
    """Applies shifts tick by tick, and tells the flows of the last `window_s`."""

    def __init__(self, fleet: Fleet, spoken: Mapping[str, Spoken], random: Random) -> None:
        """`spoken` by model; one that is not there has requests that name it, in whatever language."""
        self._fleet, self._spoken, self._random = fleet, spoken, random
        self._window_s = fleet.autoscaling.window_s
        self._past: deque[_Counts] = deque()

    def split(self, batches: Mapping[str, Batch], shifts: Sequence[Shift], seconds: float) -> dict[str, Batch]:
        """What arrives at each model in a tick of `seconds`, with these shifts in force.

        Raises ValueError for a shift to a model that may not stand in for the other: a router would not make it.
        """
        counts = _Counts(seconds)
        parts: dict[str, list[Batch]] = {model: [] for model in batches}
        for model, batch in batches.items():
            for part, to in self._parts(model, batch, shifts, counts):
                parts[to].append(part)
        self._past.append(counts)
        while sum(one.seconds for one in self._past) - self._past[0].seconds >= self._window_s:
            self._past.popleft()
        return {model: _together(several, batches[model]) for model, several in parts.items()}

    def flows(self) -> tuple[dict[str, dict[str, Reading]], dict[str, dict[str, Reading]]]:
        """`flows` and `shifted` of a snapshot."""
        seconds = sum(one.seconds for one in self._past)
        stayed: dict[str, dict[str, Reading]] = {model: {} for model in self._spoken}
        shifted: dict[str, dict[str, Reading]] = {model.id: {} for model in self._fleet.models}
        if seconds > 0:
            for told, found in (("stayed", stayed), ("shifted", shifted)):
                sums: dict[tuple[str, str], float] = {}
                for one in self._past:
                    for key, count in getattr(one, told).items():
                        sums[key] = sums.get(key, 0.0) + count
                for (model, language), count in sums.items():
                    found[model][language] = Reading(count / seconds, SCRAPE_AGE_S)
        return stayed, shifted

    def _parts(self, model: str, batch: Batch, shifts: Sequence[Shift], counts: _Counts) -> list[tuple[Batch, str]]:
        """The batch, in parts by the model that takes them."""
        spoken = self._spoken.get(model)
        if spoken is None or not batch.count:
            return [(batch, model)]
        found: list[tuple[Batch, str]] = []
        left, moved = 1.0, 0.0
        ways: list[tuple[float, StandIn]] = []
        for language, part in spoken.languages.items():
            auto, away = part * spoken.auto, 0.0
            for shift in shifts:
                if (shift.source, shift.language) != (model, language):
                    continue
                ways.append((auto * shift.share, self._stand_in(shift)))
                away += auto * shift.share
                key = shift.to, language
                counts.shifted[key] = counts.shifted.get(key, 0.0) + auto * shift.share * batch.count
            counts.stayed[model, language] = (auto - away) * batch.count
            moved += away
        left -= moved
        # Single requests are dealt out one by one, each by its chance.
        dealt = self._dealt(batch.arrivals, [share for share, _ in ways])
        for (share, one), arrivals in zip(ways, dealt[1:], strict=True):
            if share > 0:
                found.append((_at(one, batch, share, arrivals), one.to))
        found.append((_part(batch, left, dealt[0]), model))
        return found

    def _dealt(self, arrivals: Sequence[Arrival], shares: Sequence[float]) -> list[tuple[Arrival, ...]]:
        """The arrivals that stay, then those of each share."""
        dealt: list[list[Arrival]] = [[] for _ in range(len(shares) + 1)]
        for arrival in arrivals:
            chance, index = self._random.random(), 0
            for number, share in enumerate(shares, 1):
                if chance < share:
                    index = number
                    break
                chance -= share
            dealt[index].append(arrival)
        return [tuple(several) for several in dealt]

    def _stand_in(self, shift: Shift) -> StandIn:
        for one in stand_ins(self._fleet, shift.language).get(shift.source, ()):
            if one.to == shift.to:
                return one
        raise ValueError(f"{shift.to} may not stand in for {shift.source} in {shift.language}")


def _part(batch: Batch, share: float, arrivals: tuple[Arrival, ...]) -> Batch:
    """A share of a batch, thinned: its count is burstier only in proportion (a thinned renewal process tends to
    Poisson: cv² - 1 shrinks with the share)."""
    cv = math.sqrt(max(1 + share * (batch.cv**2 - 1), 0.0))
    count = float(len(arrivals)) if batch.arrivals else batch.count * share
    return Batch(count, batch.prompt, batch.output, cv, arrivals)


def _at(one: StandIn, batch: Batch, share: float, arrivals: tuple[Arrival, ...]) -> Batch:
    """A share of a batch, with the other model's tokens."""
    moved = tuple(
        Arrival(a.at_s, max(round(a.prompt * one.prompt), 1), max(round(a.output * one.output), 1)) for a in arrivals
    )
    part = _part(batch, share, moved)
    return Batch(part.count, batch.prompt * one.prompt, batch.output * one.output, part.cv, moved)


def _together(parts: Sequence[Batch], own: Batch) -> Batch:
    """One batch of several; where nothing comes, the lengths stay."""
    parts = [part for part in parts if part.count > 0]
    if len(parts) <= 1:
        return parts[0] if parts else Batch(0.0, own.prompt, own.output, own.cv)
    count = sum(part.count for part in parts)
    arrivals = tuple(sorted((a for part in parts for a in part.arrivals), key=lambda one: one.at_s))

    def mean(values: Sequence[float]) -> float:
        return sum(part.count * value for part, value in zip(parts, values, strict=True)) / count

    cv = math.sqrt(mean([part.cv**2 for part in parts]))
    return Batch(count, mean([p.prompt for p in parts]), mean([p.output for p in parts]), cv, arrivals)
