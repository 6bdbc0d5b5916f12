"""A smaller problem with nearly the same best answer: languages that may move alike move together.

Of each model's lanes only those to the few models are kept that could take most of it, and its languages with the same
models to go to become one, with equal shares. Every answer of the smaller problem is one of the whole, so what it loses
is cost, never feasibility. A fleet's evidence makes few such groups: languages are covered by the same models in whole
families.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from autoscaling.joint.problem import Answer, Lane, Problem, Road

# Models that a model's work may go to, and fewer where there would be more lanes than a solver has time for; those that
# take some of it now stay besides.
TARGETS = 4
LANES = 400
# What is less of a replica's work than this is not worth a lane.
LEAST_WORK = 0.002


@dataclass(frozen=True, slots=True)
class Reduced:
    """The smaller problem, and the lanes that each of its lanes stands for."""

    problem: Problem
    members: Mapping[Lane, tuple[Lane, ...]]

    def whole(self, answer: Answer) -> Answer:
        """An answer of the smaller problem as one of the whole."""
        share = {one: answer.share[lane] for lane in answer.share for one in self.members[lane]}
        peak = {one: answer.peak[lane] for lane in answer.peak for one in self.members[lane]}
        return Answer(answer.replicas, share, peak)


def reduced(problem: Problem) -> Reduced:
    """The problem with fewer lanes."""
    for targets in range(TARGETS, 0, -1):
        found = _with(problem, targets)
        if len(found.problem.roads) <= LANES:
            break
    return found


def _with(problem: Problem, most: int) -> Reduced:
    flows: defaultdict[tuple[str, str], list[Road]] = defaultdict(list)  # by source and language
    kept = _targets(problem, most)
    for road in problem.roads.values():
        lane = road.lane
        tiny = road.base + road.reserve < LEAST_WORK * problem.sites[lane.source].usable
        if lane.to in kept[lane.source] and (road.present or not tiny):
            flows[lane.source, lane.language].append(road)
    groups: defaultdict[tuple[str, tuple[str, ...]], list[list[Road]]] = defaultdict(list)
    for (source, _), roads in flows.items():
        roads.sort(key=lambda road: road.lane.to)
        groups[source, tuple(road.lane.to for road in roads)].append(roads)
    roads_of: dict[Lane, Road] = {}
    members: dict[Lane, tuple[Lane, ...]] = {}
    for (source, targets), languages in sorted(groups.items()):
        name = "+".join(sorted(roads[0].lane.language for roads in languages))
        for index, to in enumerate(targets):
            lane = Lane(name, source, to)
            several = [roads[index] for roads in languages]
            roads_of[lane] = _together(lane, several)
            members[lane] = tuple(road.lane for road in several)
    return Reduced(replace(problem, roads=roads_of), members)


def _targets(problem: Problem, count: int) -> dict[str, set[str]]:
    """Of each model the others that could take most of its work: as much as may move, as far as a replica there and
    the room beside what it has reach."""
    most: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    used: defaultdict[str, set[str]] = defaultdict(set)
    for lane, road in problem.roads.items():
        most[lane.source][lane.to] += road.most * (road.base + road.reserve) * road.ratio
        if road.present:
            used[lane.source].add(lane.to)
    found: dict[str, set[str]] = {}
    for source, targets in most.items():
        taken = {to: min(work, _room(problem, to)) for to, work in targets.items()}
        ordered = sorted(taken, key=lambda to: (-taken[to], to))
        found[source] = used[source] | set(ordered[:count])
    return found


def _room(problem: Problem, model: str) -> float:
    """What the model's last replica leaves when it has its own work, and the headroom on which others may lean."""
    site = problem.sites[model]
    return -(site.base + site.reserve) % site.usable + site.reserve


def _together(lane: Lane, roads: list[Road]) -> Road:
    base, reserve = sum(road.base for road in roads), sum(road.reserve for road in roads)
    whole = base + reserve

    def mean(values: list[float]) -> float:
        if whole <= 0:
            return sum(values) / len(values)
        return sum(value * (road.base + road.reserve) for value, road in zip(values, roads, strict=True)) / whole

    return Road(
        lane,
        base,
        reserve,
        mean([road.ratio for road in roads]),
        min(road.most for road in roads),
        mean([road.present for road in roads]),
        mean([road.usd for road in roads]),
    )
