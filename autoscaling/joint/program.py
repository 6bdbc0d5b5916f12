"""The cheapest answer to a problem: a mixed-integer linear program, solved by HiGHS (Huangfu and Hall 2018).

Columns: replicas of each model (integers) and those to be started; of each lane the share moved, the share at a peak
and how far the first differs from the present one; what a model's peak brings to another one, the headroom kept, and
what is missed, now and later; GPUs beyond a budget. Rows say what `autoscaling.joint.problem` says; what is missed has
a price, so that there always is an answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, inf, isfinite
from typing import Any, Literal, NamedTuple, cast

from autoscaling.joint.greedy import greedy
from autoscaling.joint.problem import NOW_OVER_LATER, Answer, Judged, Lane, Problem, faults, judge
from autoscaling.joint.reduce import reduced

# An answer this near to the best one is taken: forecasts are no better.
GAP = 0.01
# Shares below this are a solver's rounding.
LEAST_SHARE = 1e-7

# Where the relaxed program has a part of a replica above this, it becomes a whole one; each is tried.
ROUND_UP_FROM = (0.02, 0.3, 0.6)

# So many models are solved in a blink.
SMALL = 8

# Of the time, for the relaxed program and for each of these.
PART = 0.1

Way = Literal["optimum", "incumbent", "greedy"]


@dataclass(frozen=True, slots=True)
class Solution:
    """An answer that may be used, and what it comes to; `gap` is how far above the best one it may be at most, a share
    of its cost, None where nobody knows. `way`: proven to be as good as the best (within GAP), the best that was found
    in time, or by the greedy rule; `why` says what kept the solver from a better one."""

    answer: Answer
    judged: Judged
    way: Way
    gap: float | None = None
    why: str = ""


def solve(problem: Problem, time_limit_s: float) -> Solution:
    """The optimum, or what was found to be cheapest when HiGHS had `time_limit_s`: its own answer, its relaxed one with
    whole replicas, or the greedy rule's. Never raises for what a solver does."""
    smaller = reduced(problem)
    best, bound, why = greedy(smaller.problem), None, ""
    cost, way = judge(smaller.problem, best).usd, "greedy"
    floor = sum(problem.replica_usd(name) * site.least for name, site in problem.sites.items())
    # Nothing moves or is missed, and no replica could go; or each model is by itself, and its own plan stands.
    if cost <= floor * (1 + GAP**3) or not (smaller.problem.roads or problem.budget):
        return Solution(smaller.whole(best), judge(problem, smaller.whole(best)), "optimum", 0.0)
    try:
        for answer, least in _answers(smaller.problem, time_limit_s):
            bound = max(least, bound or 0.0)
            if answer is None:
                continue
            usd = judge(smaller.problem, answer).usd
            if usd < cost and not faults(smaller.problem, answer):
                best, cost, way = answer, usd, "incumbent"
            if cost - bound <= GAP * cost:
                break
        else:
            why = f"the best answer was not proven within {time_limit_s:g} s"
    except Exception as error:  # noqa: BLE001 - the plan must go on without scipy, whatever it raises
        why = f"{type(error).__name__}: {error}"
    gap = max(cost - bound, 0.0) / cost if bound is not None and cost > 0 else None
    if gap is not None and gap <= GAP:
        way = "optimum"
    whole = smaller.whole(best)
    return Solution(whole, judge(problem, whole), cast(Way, way), gap, why)


def _answers(problem: Problem, time_limit_s: float) -> Iterator[tuple[Answer | None, float]]:
    """Answers, each with the least that any could cost: where the whole program may take longer than there is time from
    the relaxed one, then from the whole one."""
    large = len(problem.sites) > SMALL
    relaxed = _solved(problem, PART * time_limit_s, whole=False) if large else NOTHING
    for threshold in ROUND_UP_FROM if relaxed.replicas else ():
        counts = {
            name: min(max(ceil(value - threshold), problem.sites[name].least), problem.sites[name].most)
            for name, value in relaxed.replicas.items()
        }
        if not faults(problem, Answer(counts)):
            yield _solved(problem, PART * time_limit_s, fixed=counts).answer, relaxed.bound
    found = _solved(problem, time_limit_s * (1 - PART * (1 + len(ROUND_UP_FROM)) if large else 1.0))
    yield found.answer, found.bound


class _Found(NamedTuple):
    answer: Answer | None
    replicas: Mapping[str, float]  # before rounding
    bound: float


NOTHING = _Found(None, {}, 0.0)


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

    def solve(self, time_limit_s: float, *, whole: bool) -> tuple[Any, float]:
        """The columns' values, None where none were found; and what they cannot cost less than."""
        import numpy
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

        shape = len(self._least), len(self.cost)
        rows = csr_array((self._values, self._columns, self._begins), shape=shape)
        result = milp(
            numpy.array(self.cost),
            integrality=numpy.array(self.whole) if whole else None,
            bounds=Bounds(numpy.array(self.low), numpy.array(self.high)),
            constraints=LinearConstraint(rows, lb=numpy.array(self._least)) if self._least else None,
            # Undoing a presolve may print to standard output (HiGHS 1.12), where a command's answer goes.
            options={"time_limit": time_limit_s, "mip_rel_gap": GAP, "presolve": False},
        )
        bound = result.get("mip_dual_bound")
        if bound is None:  # a program without integers that was solved is its own bound
            bound = result.fun if result.status == 0 else 0.0
        return result.x, float(bound) if isfinite(bound) else 0.0


def _solved(
    problem: Problem, time_limit_s: float, *, whole: bool = True, fixed: Mapping[str, int] | None = None
) -> _Found:
    """The program's answer. `fixed`: with these replicas. Not `whole`: replicas may be parts, which is no answer."""
    program = _Program()
    terms = problem.terms
    counts: dict[str, int] = {}
    for name, site in problem.sites.items():
        usd = problem.replica_usd(name)
        least, most = (site.least, site.most) if fixed is None else (fixed[name], fixed[name])
        counts[name] = program.column(usd, least, most, whole=True)
        if site.present < most:
            started = program.column(usd * terms.start)
            program.at_least(-site.present, {started: 1.0, counts[name]: -1.0})
    shares, besides = _lanes(program, problem)
    loads, extras = _flows(problem, shares, besides)
    for name, site in problem.sites.items():
        # Rows are in replicas, not in tokens: a solver's tolerances are absolute.
        base, missed_usd = site.base / site.usable, site.missed_usd * site.usable
        now = program.column(missed_usd * NOW_OVER_LATER)
        later = program.column(missed_usd)
        room = {counts[name]: 1.0, now: 1.0}
        program.at_least(base, _sum(room, loads[name]))
        kept = _kept(program, extras[name], terms.together)
        program.at_least(base, _sum({**room, later: 1.0, kept: -1.0}, loads[name]))
    if fixed is None:
        _budgets(program, problem, counts)
    values, bound = program.solve(time_limit_s, whole=whole and fixed is None)
    if values is None:
        return _Found(None, {}, bound)
    replicas = {name: float(values[column]) for name, column in counts.items()}
    if not whole:
        return _Found(None, replicas, bound)
    share, peak = {}, {}
    for lane in problem.roads:
        moved = float(values[shares[lane]])
        moved = moved if moved >= LEAST_SHARE else 0.0
        more = max(float(values[besides[lane]]), 0.0) if lane in besides else 0.0
        if moved or more:
            share[lane], peak[lane] = moved, moved + more
    return _Found(Answer({name: round(value) for name, value in replicas.items()}, share, peak), replicas, bound)


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
            column = besides[lane] = program.column(problem.lean_usd(road))
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
    """By model: what takes load away (negative: adds it), by column; and what each one's peak brings, by its name. In
    replicas of the model."""
    loads: dict[str, dict[int, float]] = {name: {} for name in problem.sites}
    extras: dict[str, dict[str, _Linear]] = {
        name: {name: (site.reserve / site.usable, {})} for name, site in problem.sites.items()
    }
    for lane, road in problem.roads.items():
        share = shares[lane]
        here, there = 1 / problem.sites[lane.source].usable, road.ratio / problem.sites[lane.to].usable
        loads[lane.source][share] = road.base * here
        loads[lane.to][share] = -road.base * there
        # At a peak all that moves is larger by the lane's reserve, and more of it moves.
        more = {share: road.reserve}
        if lane in besides:
            more[besides[lane]] = road.base + road.reserve
        own = extras[lane.source][lane.source][1]
        into = extras[lane.to].setdefault(lane.source, (0.0, {}))[1]
        for column, factor in more.items():
            own[column] = own.get(column, 0.0) - factor * here
            into[column] = into.get(column, 0.0) + factor * there
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
