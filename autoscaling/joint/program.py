"""The cheapest answer to a problem: a mixed-integer linear program, solved by HiGHS (Huangfu and Hall 2018).

Columns: replicas of each model (integers) and those to be started; of each lane the share moved, the share at a peak
and how far the first differs from the present one; what a model's peak brings to another one, the headroom kept, and
what is missed, now and later; GPUs beyond a budget. Rows say what `autoscaling.joint.problem` says; what is missed has
a price, so that there always is an answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Literal

from autoscaling.joint.greedy import greedy
from autoscaling.joint.problem import NOW_OVER_LATER, Answer, Judged, Lane, Problem, faults, judge
from autoscaling.joint.reduce import reduced

# An answer this near to the best one is taken: forecasts are no better.
GAP = 0.01
# Shares below this are a solver's rounding.
LEAST_SHARE = 1e-7

Way = Literal["optimum", "incumbent", "greedy"]


@dataclass(frozen=True, slots=True)
class Solution:
    """An answer that may be used, what it comes to, and how far above the best one it may be at most (`gap`, a share of
    its cost; None where nobody knows: the greedy rule proves nothing). `why` says what kept the solver from it."""

    answer: Answer
    judged: Judged
    way: Way
    gap: float | None = None
    why: str = ""


def solve(problem: Problem, time_limit_s: float) -> Solution:
    """The optimum, or within `time_limit_s` the best that was found; the greedy rule's answer where that is cheaper, or
    where the solver fails. Never raises for what a solver does."""
    simple = greedy(problem)
    cost = judge(problem, simple)
    try:
        smaller = reduced(problem)
        found, gap = _optimum(smaller.problem, time_limit_s)
    except Exception as error:  # noqa: BLE001 - the plan must go on without scipy, whatever it raises
        return Solution(simple, cost, "greedy", why=f"{type(error).__name__}: {error}")
    if found is None:
        return Solution(simple, cost, "greedy", why=f"the solver has no answer after {time_limit_s:g} s")
    found = smaller.whole(found)
    judged = judge(problem, found)
    if (wrong := faults(problem, found)) or judged.usd > cost.usd:
        return Solution(simple, cost, "greedy", why=wrong[0] if wrong else "the greedy rule's answer costs less")
    return Solution(found, judged, "optimum" if gap <= GAP else "incumbent", gap)


class _Program:
    """Columns and rows as they are added; `solve` hands them to HiGHS."""

    def __init__(self) -> None:
        self.cost: list[float] = []
        self.low: list[float] = []
        self.high: list[float] = []
        self.whole: list[int] = []
        self._values: list[float] = []
        self._columns: list[int] = []
        self._begins: list[int] = [0]
        self._least: list[float] = []

    def column(self, cost: float = 0.0, low: float = 0.0, high: float = inf, *, whole: bool = False) -> int:
        """A new variable; its number."""
        self.cost.append(cost)
        self.low.append(low)
        self.high.append(high)
        self.whole.append(whole)
        return len(self.cost) - 1

    def at_least(self, least: float, terms: Mapping[int, float]) -> None:
        """The sum of columns times factors is at least that."""
        self._columns.extend(terms)
        self._values.extend(terms.values())
        self._begins.append(len(self._values))
        self._least.append(least)

    def solve(self, time_limit_s: float) -> tuple[Any, float]:
        """The columns' values, None where none were found, and the gap to the bound."""
        import numpy
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

        shape = len(self._least), len(self.cost)
        rows = csr_array((self._values, self._columns, self._begins), shape=shape)
        result = milp(
            numpy.array(self.cost),
            integrality=numpy.array(self.whole),
            bounds=Bounds(numpy.array(self.low), numpy.array(self.high)),
            constraints=LinearConstraint(rows, lb=numpy.array(self._least)) if self._least else None,
            options={"time_limit": time_limit_s, "mip_rel_gap": GAP},
        )
        gap = result.get("mip_gap")
        # A program without integers has no gap when it is solved.
        known = gap if gap is not None and isfinite(gap) else (0.0 if result.status == 0 else inf)
        return result.x, float(known)


def _optimum(problem: Problem, time_limit_s: float) -> tuple[Answer | None, float]:
    program = _Program()
    terms = problem.terms
    counts: dict[str, int] = {}
    for name, site in problem.sites.items():
        usd = problem.replica_usd(name)
        counts[name] = program.column(usd, site.least, site.most, whole=True)
        if site.least < site.most and site.present < site.most:
            started = program.column(usd * terms.start)
            program.at_least(-site.present, {started: 1.0, counts[name]: -1.0})
    shares, besides = _lanes(program, problem)
    loads, extras = _flows(problem, shares, besides)
    for name, site in problem.sites.items():
        now = program.column(site.missed_usd * NOW_OVER_LATER)
        later = program.column(site.missed_usd)
        room = {counts[name]: site.usable, now: 1.0}
        program.at_least(site.base, _sum(room, loads[name]))
        kept = _kept(program, extras[name], terms.together)
        program.at_least(site.base, _sum({**room, later: 1.0, kept: -1.0}, loads[name]))
    _budgets(program, problem, counts)
    values, gap = program.solve(time_limit_s)
    if values is None:
        return None, inf
    replicas = {name: round(values[column]) for name, column in counts.items()}
    share, peak = {}, {}
    for lane in problem.roads:
        moved = float(values[shares[lane]])
        moved = moved if moved >= LEAST_SHARE else 0.0
        more = max(float(values[besides[lane]]), 0.0) if lane in besides else 0.0
        if moved or more:
            share[lane], peak[lane] = moved, moved + more
    return Answer(replicas, share, peak), gap


def _lanes(program: _Program, problem: Problem) -> tuple[dict[Lane, int], dict[Lane, int]]:
    """The columns of what moves, and of what moves besides at a peak."""
    shares: dict[Lane, int] = {}
    besides: dict[Lane, int] = {}
    together: defaultdict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for lane, road in problem.roads.items():
        moved, change = problem.moved_usd(road), problem.change_usd(road)
        share = shares[lane] = program.column(moved if road.present else moved + change)
        bound = together[lane.language, lane.source]
        bound[share] = -1 / road.most
        if problem.sites[lane.source].reserve > 0:
            column = besides[lane] = program.column()
            bound[column] = -1 / road.most
        if road.present:
            differs = program.column(change)
            program.at_least(-road.present, {differs: 1.0, share: -1.0})
            program.at_least(road.present, {differs: 1.0, share: 1.0})
    for row in together.values():
        program.at_least(-1.0, row)
    return shares, besides


# A linear expression: what is added, and factors by column.
_Linear = tuple[float, dict[int, float]]


def _flows(
    problem: Problem, shares: Mapping[Lane, int], besides: Mapping[Lane, int]
) -> tuple[dict[str, dict[int, float]], dict[str, dict[str, _Linear]]]:
    """By model: what takes load away (negative: adds to it), by column; and what each one's peak brings, by its name."""
    loads: dict[str, dict[int, float]] = {name: {} for name in problem.sites}
    extras: dict[str, dict[str, _Linear]] = {name: {name: (site.reserve, {})} for name, site in problem.sites.items()}
    for lane, road in problem.roads.items():
        share = shares[lane]
        loads[lane.source][share] = road.base
        loads[lane.to][share] = -road.base * road.ratio
        # At a peak all that moves is larger by the lane's reserve, and more of it moves.
        more = {share: road.reserve}
        if lane in besides:
            more[besides[lane]] = road.base + road.reserve
        own = extras[lane.source][lane.source][1]
        into = extras[lane.to].setdefault(lane.source, (0.0, {}))[1]
        for column, factor in more.items():
            own[column] = own.get(column, 0.0) - factor
            into[column] = into.get(column, 0.0) + factor * road.ratio
    return loads, extras


def _kept(program: _Program, extras: Mapping[str, _Linear], together: float) -> int:
    """The column of a model's headroom: at least (1 - t) x each peak + t x all of them."""
    kept = program.column()
    brought = {}
    for name, (constant, factors) in extras.items():
        if constant <= 0 and not factors:
            continue
        brought[name] = program.column()
        program.at_least(constant, {brought[name]: 1.0, **{column: -factor for column, factor in factors.items()}})
    if len(brought) <= 1:
        return next(iter(brought.values()), kept)
    total = program.column()
    program.at_least(0.0, {total: 1.0, **dict.fromkeys(brought.values(), -1.0)})
    for column in brought.values():
        program.at_least(0.0, {kept: 1.0, total: -together, column: together - 1.0})
    return kept


def _budgets(program: _Program, problem: Problem, counts: Mapping[str, int]) -> None:
    for kind, most in problem.limits().items():
        sites = [site for site in problem.sites.values() if site.gpu == kind]
        held = sum(site.outside for site in sites)
        program.at_least(held - most, {counts[site.model]: -float(site.gpus) for site in sites})


def _sum(terms: Mapping[int, float], more: Mapping[int, float]) -> dict[int, float]:
    total = dict(terms)
    for column, factor in more.items():
        total[column] = total.get(column, 0.0) + factor
    return total
