"""A plan across models as a problem: what is to be decided, what it costs, and what any answer comes to.

Work is in output tokens a second of the model that it would go to without shifts; money in USD an hour. Each model has
work that arrives now (`base`) and the headroom that its own plan asks for beyond it (`reserve`). A lane is the part of
a model's work that is in one language and may go to another model. An answer says for each model the replicas, and for
each lane two shares: `share` is moved, and at most `peak` when the model's peak comes. With b and r a lane's base and
reserve, q the tokens that the other model has for one of the first's, x and z the two shares, m -> k a lane:

    load(k)      = base(k) - sum of x b over k's own lanes + sum of x b q over lanes into k
    extra(m, k)  = sum of (z (b + r) - x b) q over lanes m -> k            what m's peak brings to k
    extra(k, k)  = reserve(k) - sum of (z (b + r) - x b) over k's own lanes
    reserve'(k)  = max over j of ((1 - t) extra(j, k) + t sum over i of extra(i, k))
    missed(k)    = what load(k), and then reserve'(k), exceed replicas(k) x usable(k) by

Headroom that several models may lean on is needed once, as far as their peaks don't come together: t = sqrt(2) - 1
bounds the root of the sum of squares, which is what independent peaks add up to, from above (for each pair a >= b:
sqrt(a^2 + b^2) <= a + t b, and so on for more); t = 1 adds them all up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import NamedTuple

INDEPENDENT = sqrt(2) - 1

# Work that arrives and is not served is worse than headroom that is not there.
NOW_OVER_LATER = 10.0
# A replica costs something even where no price is known: without need none is kept.
LEAST_USD = 1e-3


class Lane(NamedTuple):
    """A language, the model whose requests move, and the one that takes them."""

    language: str
    source: str
    to: str


@dataclass(frozen=True, slots=True)
class Site:
    """One model. `usable`: work that a replica is planned for. `present`: replicas that run or start. `missed_usd` is
    the price of an hour in which one token a second of its headroom is missing. `outside`: GPUs that it holds besides
    (draining replicas)."""

    model: str
    usd: float
    usable: float
    base: float
    reserve: float
    least: int
    most: int
    present: int
    missed_usd: float
    gpu: str = ""
    gpus: int = 0
    outside: int = 0


@dataclass(frozen=True, slots=True)
class Road:
    """One lane's figures. `ratio`: work at the other model for each unit of this; `most`: the share that may move, if
    nothing moves elsewhere (of several lanes of one language and source the shares, each divided by its `most`, add up
    to 1 at most); `present`: that moves now; `usd`: what a unit of work costs more there, in tokens' prices."""

    lane: Lane
    base: float
    reserve: float
    ratio: float
    most: float
    present: float = 0.0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What is weighed against replicas. Shares of what the replicas cost that the moved work would take: `shift` of
    every move, `change` of every change of a move, `lean` of what would move at a peak only; `start`: of a replica that
    has to be started. `together`: as the module says."""

    shift: float = 0.05
    change: float = 0.02
    lean: float = 0.002
    start: float = 0.3
    together: float = INDEPENDENT


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything that is weighed at once. `budget`: GPUs by their kind; kinds that are not there have no limit."""

    sites: Mapping[str, Site]
    roads: Mapping[Lane, Road] = field(default_factory=dict)
    budget: Mapping[str, int] = field(default_factory=dict)
    terms: Terms = Terms()

    def limits(self) -> dict[str, int]:
        """GPUs by kind that an answer may hold: the budget, or what floors and `outside` take where that is more."""
        least: defaultdict[str, int] = defaultdict(int)
        for site in self.sites.values():
            least[site.gpu] += site.gpus * site.least + site.outside
        return {kind: max(most, least[kind]) for kind, most in self.budget.items()}

    def replica_usd(self, model: str) -> float:
        """An hour of a replica, never quite free."""
        return max(self.sites[model].usd, LEAST_USD)

    def moved_usd(self, road: Road) -> float:
        """What it costs to move all of a lane's work: the price of its tokens, and that moving is no end in itself."""
        return road.base * (road.usd + self.terms.shift * self._taken_usd(road))

    def change_usd(self, road: Road) -> float:
        """What it costs to begin, or end, moving all of a lane's work."""
        return road.base * self.terms.change * self._taken_usd(road)

    def lean_usd(self, road: Road) -> float:
        """What it costs to count on moving all of a lane's work at a peak."""
        return (road.base + road.reserve) * self.terms.lean * self._taken_usd(road)

    def _taken_usd(self, road: Road) -> float:
        """An hour of the replicas that a unit of a lane's work takes."""
        to = self.sites[road.lane.to]
        return self.replica_usd(to.model) * road.ratio / to.usable


@dataclass(frozen=True, slots=True)
class Answer:
    """Replicas by model, and the two shares of each lane; lanes that are not there move nothing."""

    replicas: Mapping[str, int]
    share: Mapping[Lane, float] = field(default_factory=dict)
    peak: Mapping[Lane, float] = field(default_factory=dict)

    def at_peak(self, lane: Lane) -> float:
        """The share of a lane that moves when its model's peak comes."""
        share = self.share.get(lane, 0.0)
        return max(self.peak.get(lane, share), share)


@dataclass(frozen=True, slots=True)
class Judged:
    """What an answer comes to. `load`, `reserve` and `missed` (of both) are work by model."""

    usd: float
    load: Mapping[str, float]
    reserve: Mapping[str, float]
    missed: Mapping[str, float]


def judge(problem: Problem, answer: Answer) -> Judged:
    """The cost of any answer, in USD an hour; the same sum that the program minimises."""
    load = {name: site.base for name, site in problem.sites.items()}
    extra: dict[str, dict[str, float]] = {name: {name: site.reserve} for name, site in problem.sites.items()}
    usd = 0.0
    for lane, road in problem.roads.items():
        share = answer.share.get(lane, 0.0)
        peak = answer.at_peak(lane)
        moved = share * road.base
        more = peak * (road.base + road.reserve) - moved
        load[lane.source] -= moved
        load[lane.to] += moved * road.ratio
        extra[lane.source][lane.source] -= more
        into = extra[lane.to]
        into[lane.source] = into.get(lane.source, 0.0) + more * road.ratio
        usd += share * problem.moved_usd(road) + (peak - share) * problem.lean_usd(road)
        usd += abs(share - road.present) * problem.change_usd(road)
    reserve, missed = {}, {}
    together = problem.terms.together
    for name, site in problem.sites.items():
        peaks = [max(one, 0.0) for one in extra[name].values()]
        reserve[name] = (1 - together) * max(peaks) + together * sum(peaks)
        count = answer.replicas[name]
        room = count * site.usable
        now = max(load[name] - room, 0.0)
        later = max(load[name] + reserve[name] - room, 0.0) - now
        missed[name] = now + later
        price = problem.replica_usd(name)
        usd += price * (count + problem.terms.start * max(count - site.present, 0))
        usd += site.missed_usd * (NOW_OVER_LATER * now + later)
    return Judged(usd, load, reserve, missed)


def faults(problem: Problem, answer: Answer) -> list[str]:
    """What an answer may not do, in words; empty for one that may be used."""
    found: list[str] = []
    used: defaultdict[str, int] = defaultdict(int)
    for name, site in problem.sites.items():
        count = answer.replicas[name]
        if not site.least <= count <= site.most:
            found.append(f"{name}: {count} replicas, {site.least} to {site.most} are allowed")
        used[site.gpu] += site.gpus * count + site.outside
    for kind, most in problem.limits().items():
        if used[kind] > most:
            found.append(f"{used[kind]} GPUs of {kind}, {most} are allowed")
    moved: defaultdict[tuple[str, str], float] = defaultdict(float)
    for lane, road in problem.roads.items():
        share = answer.share.get(lane, 0.0)
        peak = answer.peak.get(lane, share)
        if not -TOLERANCE <= share <= peak + TOLERANCE:
            found.append(f"{lane}: {share:g} moves, and {peak:g} at a peak")
        moved[lane.language, lane.source] += peak / road.most
    found += [f"{key}: {total:.3f} times what may move" for key, total in moved.items() if total > 1 + TOLERANCE]
    return found


# Of shares: what a solver's arithmetic leaves.
TOLERANCE = 1e-6
