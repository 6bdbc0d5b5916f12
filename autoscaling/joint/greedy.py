"""An answer without a solver: each model by itself, then one move after another that makes it cheaper.

1. Replicas: what each model needs by itself, within its bounds.
2. Over a GPU budget: the replica goes whose loss is missed least, one after another; floors stay.
3. What is missed somewhere moves to where there is room.
4. Where a model's last replica holds so little that others have room for it, and moving it is cheaper than the
   replica, the work moves and the replica goes.

No headroom is leaned on: each model keeps its own, or the one that takes the language does.
"""

from __future__ import annotations

from collections import defaultdict
from math import ceil

from autoscaling.joint.problem import Answer, Lane, Problem, Road, Site, judge

# 3.0000000001 replicas are three.
ROUNDING = 1e-9
# Moves smaller than this are none.
LEAST = 0.01


def greedy(problem: Problem) -> Answer:
    """A feasible answer, never dearer than each model by itself within the budget."""
    alone = Answer(_within_budget(problem, {name: _alone(site) for name, site in problem.sites.items()}))
    if not problem.roads:
        return alone
    state = _State(problem, alone)
    for name in sorted(problem.sites, key=lambda name: (state.room(name), name)):
        if (missed := -state.room(name)) > 0:
            state.move(state.found(name, missed, partly=True))
    for name in sorted(problem.sites, key=lambda name: (-problem.replica_usd(name), name)):
        while state.replicas[name] > problem.sites[name].least and _one_fewer(state, name):
            pass
    moved = state.answer()
    return min((alone, moved), key=lambda answer: judge(problem, answer).usd)


# A lane, the share of it that moves besides, and what that costs.
_Moves = list[tuple[Road, float, float]]


class _State:
    """Replicas and shares while they are being chosen."""

    def __init__(self, problem: Problem, alone: Answer) -> None:
        self.problem = problem
        self.replicas = dict(alone.replicas)
        self._share: defaultdict[Lane, float] = defaultdict(float)
        self._left: defaultdict[tuple[str, str], float] = defaultdict(lambda: 1.0)  # of what may move
        self._need = {name: site.base + site.reserve for name, site in problem.sites.items()}
        self._leaving: defaultdict[str, list[Road]] = defaultdict(list)
        for road in problem.roads.values():
            self._leaving[road.lane.source].append(road)
        for roads in self._leaving.values():
            roads.sort(key=lambda road: (road.usd, road.ratio, -road.base, road.lane))

    def room(self, model: str) -> float:
        """Work that the model's replicas could take besides; negative: what they miss."""
        return self.replicas[model] * self.problem.sites[model].usable - self._need[model]

    def answer(self) -> Answer:
        """As it stands."""
        return Answer(dict(self.replicas), dict(self._share))

    def found(self, model: str, work: float, *, partly: bool = False) -> _Moves:
        """Moves that take so much work off a model; none where there is no room for all of it, unless `partly`."""
        moves: _Moves = []
        taken: defaultdict[str, float] = defaultdict(float)
        left = dict[tuple[str, str], float]()
        for road in self._leaving[model]:
            lane, whole = road.lane, road.base + road.reserve
            if work <= 0:
                break
            if whole <= 0:
                continue
            key = lane.language, lane.source
            free = left.get(key, self._left[key])
            room = max(self.room(lane.to) - taken[lane.to], 0.0)
            share = min(free * road.most, work / whole, room / (whole * road.ratio))
            if share < LEAST:
                continue
            moves.append((road, share, share * (self.problem.moved_usd(road) + self.problem.change_usd(road))))
            taken[lane.to] += share * whole * road.ratio
            left[key] = free - share / road.most
            work -= share * whole
        return moves if partly or work <= ROUNDING else []

    def move(self, moves: _Moves) -> None:
        """Makes these moves."""
        for road, share, _ in moves:
            lane, whole = road.lane, road.base + road.reserve
            self._share[lane] += share
            self._left[lane.language, lane.source] -= share / road.most
            self._need[lane.source] -= share * whole
            self._need[lane.to] += share * whole * road.ratio


def _one_fewer(state: _State, model: str) -> bool:
    """Gives a replica up, if what it holds has room elsewhere and moving it costs less; whether it was."""
    site = state.problem.sites[model]
    missing = site.usable - state.room(model)
    moves = state.found(model, missing) if missing > 0 else []
    if missing > 0 and (not moves or sum(usd for _, _, usd in moves) >= state.problem.replica_usd(model)):
        return False
    state.replicas[model] -= 1
    state.move(moves)
    return True


def _alone(site: Site) -> int:
    need = ceil((site.base + site.reserve) / site.usable - ROUNDING)
    return min(max(need, site.least), site.most)


def _within_budget(problem: Problem, replicas: dict[str, int]) -> dict[str, int]:
    """Fewer, where a budget is exceeded: of each kind of GPU the replica first whose loss a GPU is missed least."""
    for kind, most in problem.limits().items():
        sites = [site for site in problem.sites.values() if site.gpu == kind]
        used = sum(site.gpus * replicas[site.model] + site.outside for site in sites)
        while used > most:
            able = [site for site in sites if site.gpus and replicas[site.model] > site.least]
            goes = min(able, key=lambda site: (_loss(site, replicas[site.model]) / site.gpus, site.model))
            replicas[goes.model] -= 1
            used -= goes.gpus
    return replicas


def _loss(site: Site, replicas: int) -> float:
    """USD an hour of what is missed without the last of so many replicas."""
    spare = max(replicas * site.usable - site.base - site.reserve, 0.0)
    return max(site.usable - spare, 0.0) * site.missed_usd
