"""Models that share room: a policy's plan of every model by itself, replanned across models.

1. The policy plans for what would come without the shifts in force, so that what is moved changes no forecast.
2. Replicas: the cheapest numbers that carry all models' work and headroom, where load may go to a model that is above
   the floor in its language, and headroom that several lean on is there once (`autoscaling.joint.problem`).
3. Shifts: with the replicas that serve now, what has to move so that nothing is missed.
4. GPUs that are free now are all that more replicas may take: those that another model gives up come later.

What the policy is blind for stays as it says; without flows by language nothing begins to move, and what moves goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autoscaling.history import History
from autoscaling.joint.flows import flows, without_shifts
from autoscaling.joint.pose import Pose, kept
from autoscaling.joint.problem import Lane, Problem, Road
from autoscaling.joint.program import Solution, solve
from autoscaling.plan import Code, Hold, Joined, ModelPlan, Plan, Reason, Shift, scaled
from autoscaling.policy import Policy
from autoscaling.snapshot import Snapshot
from serve.fleet import Fleet

# A share below this is no shift: it moves nobody.
LEAST_SHARE = 0.01
# Languages that a sentence names.
NAMED = 4


class Joint:
    """`inner` says what each model needs: a policy that tells `expected` and `capacity`, and has no pace of its own."""

    own_pace = False

    def __init__(self, inner: Policy) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        """The policy's."""
        return self._inner.name

    def plan(self, now: float, snapshot: Snapshot, history: History, fleet: Fleet) -> Plan:
        """All models together."""
        told = flows(snapshot, history.shifts)
        raw = self._inner.plan(now, without_shifts(snapshot, told), history, fleet)
        raw = replace(raw, models={name: replace(one, away=told.away(name)) for name, one in raw.models.items()})
        pose = Pose(raw, snapshot, told, history, fleet)
        settings = fleet.autoscaling
        budget = _left(settings.budget.gpus, raw, snapshot, pose, fleet)
        problem = pose.later(budget if settings.budget.gpus else {})
        if not settings.joint.enabled:
            problem = replace(problem, roads={})
        found = solve(problem, settings.joint.time_limit_s)
        models = dict(raw.models)
        for name in problem.sites:
            models[name] = _planned(raw.models[name], problem, found, name)
        models, gpus = _granted(models, problem, found, settings.budget.gpus, budget, pose)
        shifts = history.shifts and kept(history.shifts, told, pose.known)
        if settings.joint.enabled:
            counts = {name: models[name].needed or 0 for name in problem.sites}
            now_problem = pose.now(counts)
            shifts = (*shifts, *_shifts(now_problem, solve(now_problem, settings.joint.time_limit_s)))
        joined = Joined(found.way, found.gap, found.judged.usd, found.why)
        return replace(raw, models=models, shifts=_whole(shifts), gpus=gpus, joined=joined)


def joined(policy: Policy, fleet: Fleet) -> Policy:
    """The policy across models where the description asks for it: two or more engines, or a GPU budget. Policies with a
    pace of their own stand for other autoscalers, which know nothing of this."""
    settings = fleet.autoscaling
    wanted = (settings.joint.enabled and len(scaled(fleet)) > 1) or bool(settings.budget.gpus)
    return Joint(policy) if wanted and not policy.own_pace else policy


def _left(budget: Mapping[str, int], raw: Plan, snapshot: Snapshot, pose: Pose, fleet: Fleet) -> dict[str, int]:
    """The budget without what those models hold that take no part."""
    left = dict(budget)
    for model in scaled(fleet):
        engine, replicas = model.engine, snapshot.model(model.id).replicas
        if engine is None or engine.gpu not in left or model.id in pose.known:
            continue
        planned = raw.models[model.id].needed or 0
        held = max(replicas.target, replicas.held) if replicas is not None else engine.replicas.max
        left[engine.gpu] -= engine.workers * max(planned, held)
    return left


def _planned(raw: ModelPlan, problem: Problem, found: Solution, name: str) -> ModelPlan:
    """The number of the answer, and the sentence for it where it is another one than the policy's."""
    count, site = found.answer.replicas[name], problem.sites[name]
    alone = min(max(raw.needed or 0, site.least), site.most)
    if count == alone:
        return raw  # bounds say the rest
    if found.judged.missed[name] > site.usable * LEAST_SHARE and count < alone:
        words = f"{alone} are needed, {count} have GPUs in the budget: {raw.reason.words}"
        return replace(raw, needed=count, reason=Reason(Code.BUDGET, words))
    roads = [road for lane, road in problem.roads.items() if name in (lane.source, lane.to)]
    peak = found.answer.at_peak
    if count < alone:
        out = [(road, peak(road.lane)) for road in roads if road.lane.source == name]
        words = f"{_moved(out, 'to')} to go to, which cost less than {_replicas(alone - count)}: {raw.reason.words}"
        return replace(raw, needed=count, reason=Reason(Code.SHIFTED, words))
    into = [(road, peak(road.lane)) for road in roads if road.lane.to == name]
    words = f"{_moved(into, 'from')} may come here, for {_replicas(count - alone)} more: {raw.reason.words}"
    return replace(raw, needed=count, reason=Reason(Code.SHIFTED, words))


def _replicas(count: int) -> str:
    return "a replica" if count == 1 else f"{count} replicas"


def _moved(roads: list[tuple[Road, float]], way: str) -> str:
    """1,200 tokens/s of sv and nb have gemma-2-9b-it to go to / of llama may come here."""
    used = [(road, share) for road, share in roads if share >= LEAST_SHARE]
    work = sum(share * (road.base + road.reserve) for road, share in used)
    by_size = sorted(used, key=lambda one: -one[1] * (one[0].base + one[0].reserve))
    languages = list(dict.fromkeys(road.lane.language for road, _ in by_size))
    others = sorted({road.lane.to if way == "to" else road.lane.source for road, _ in used})
    named = ", ".join(languages[:NAMED]) + (" and others" if len(languages) > NAMED else "")
    if not used:
        return f"no work {'has another model' if way == 'to' else 'of others'}"
    who = " and ".join(others)
    return f"{work:,.0f} tokens/s of {named} have {who}" if way == "to" else f"{work:,.0f} tokens/s of {named} of {who}"


def _granted(
    models: dict[str, ModelPlan],
    problem: Problem,
    found: Solution,
    budget: Mapping[str, int],
    left: Mapping[str, int],
    pose: Pose,
) -> tuple[dict[str, ModelPlan], dict[str, Hold]]:
    """With no more than what is free now, and how each budget stands. Whoever would miss most is given first."""
    gpus: dict[str, Hold] = {}
    for kind, most in budget.items():
        names = [name for name, site in problem.sites.items() if site.gpu == kind and site.gpus]
        others = most - left[kind]
        held = pose.held(kind) + others
        free = max(most - held, 0)
        planned = others
        for name in sorted(names, key=lambda name: (-_worth(problem, name), name)):
            site, plan, one = problem.sites[name], models[name], pose.known[name]
            has = max(one.replicas.target, one.replicas.held)
            count = min(max(plan.needed or 0, site.least), site.most)
            target = one.replicas.target
            # A drained replica's GPUs are not free before it has gone; what floors ask for stands above the budget.
            more = max(count - max(has, site.least), 0)
            given = min(more, free // site.gpus)
            free -= given * site.gpus
            if given < more:
                count -= more - given
                words = (
                    f"{plan.needed} are needed, {count} have GPUs now ({held} of {most} are held): {plan.reason.words}"
                )
                models[name] = replace(plan, needed=count, reason=Reason(Code.BUDGET, words))
            planned += site.gpus * max(count, 0) if count <= target else site.gpus * count
        gpus[kind] = Hold(most, held, planned)
    return models, gpus


def _worth(problem: Problem, name: str) -> float:
    """USD an hour that a GPU of this model serves which would be missed."""
    site = problem.sites[name]
    return site.missed_usd * site.usable / max(site.gpus, 1)


def _shifts(problem: Problem, found: Solution) -> tuple[Shift, ...]:
    return tuple(
        Shift(lane.language, lane.source, lane.to, share)
        for lane, raw in found.answer.share.items()
        if (share := round(min(raw, problem.roads[lane].most), 3)) >= LEAST_SHARE
    )


def _whole(shifts: tuple[Shift, ...]) -> tuple[Shift, ...]:
    """In order, each pair once and never more than all of a language: what is kept counts first."""
    found: dict[Lane, Shift] = {}
    total: dict[tuple[str, str], float] = {}
    for one in shifts:
        key = one.language, one.source
        share = min(one.share, 1.0 - total.get(key, 0.0))
        lane = Lane(one.language, one.source, one.to)
        if lane in found or share < LEAST_SHARE:
            continue
        total[key] = total.get(key, 0.0) + share
        found[lane] = replace(one, share=share)
    return tuple(found[lane] for lane in sorted(found))
