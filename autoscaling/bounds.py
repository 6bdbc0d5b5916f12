"""What every policy's plan goes through: bounds, pace, scale-down window, and holding what it is blind for."""

from __future__ import annotations

from dataclasses import replace

from autoscaling.history import History, ModelHistory, horizon_s
from autoscaling.plan import Code, ModelPlan, Plan, Reason, scaled
from autoscaling.policy import Policy
from autoscaling.snapshot import Cause, Seen, Snapshot
from serve.fleet import Fleet, Model
from serve.fleet.autoscaling import Autoscaling, Pace
from serve.fleet.engine import Replicas as Bounds


class Bounded:
    """A policy whose `wanted` may be applied.

    In this order: without data the target is kept; warm spares on top of what is needed; fewer replicas only if no plan
    of the scale-down window asked for more (a sliding maximum); pace; bounds, which hold whatever else was said. So
    zero is reached only where the description allows zero, the data is good, and nothing was needed for a whole window.
    A policy with its own pace says in `wanted` what that leaves of `needed`; then only spares and bounds are added.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    @property
    def name(self) -> str:
        """The policy's."""
        return self._policy.name

    @property
    def own_pace(self) -> bool:
        """The policy's."""
        return self._policy.own_pace

    def plan(self, now: float, snapshot: Snapshot, history: History, fleet: Fleet) -> Plan:
        """The policy's plan with `wanted`, `target`, bounds and the final reason of each model."""
        raw = self._policy.plan(now, snapshot, history, fleet)
        models = {}
        for model in scaled(fleet):
            past = history.model(model, fleet.autoscaling)
            models[model.id] = _bounded(
                now, model, raw.models[model.id], snapshot.model(model.id), past, fleet.autoscaling, self.own_pace
            )
        return replace(raw, models=models)


def _bounded(
    now: float,
    model: Model,
    raw: ModelPlan,
    seen: Seen,
    past: ModelHistory,
    settings: Autoscaling,
    own_pace: bool,
) -> ModelPlan:
    assert model.engine is not None
    bounds = model.engine.replicas
    least, most = bounds.min, bounds.max
    target = seen.replicas.target if seen.replicas is not None else past.target
    known = replace(raw, target=target, least=least, most=most)
    if seen.replicas is None:  # whatever else is missing follows from it: engines are known by their replicas
        cause = seen.replicas_cause or Cause.MISSING
        known = replace(known, blind=cause, needed=None, reason=Reason(Code.BLIND, f"replicas: {cause.words}"))
    if target is None:
        return replace(known, wanted=None)
    if known.blind is not None or known.needed is None:
        return _within(replace(known, wanted=target, reason=_held(known.reason, target)))
    asked = known.wanted if own_pace and known.wanted is not None else known.needed
    needed, reason = _spared(asked, bounds, known.reason)
    needed, reason = _allowed(needed, least, most, reason)
    if own_pace:
        return _within(replace(known, wanted=needed, reason=reason))
    wanted, reason = _windowed(now, needed, target, past, settings, bounds.spare, reason)
    wanted, reason = _paced(now, wanted, target, past, settings.pace, reason)
    return _within(replace(known, wanted=wanted, reason=reason))


def _held(reason: Reason, target: int) -> Reason:
    return Reason(Code.BLIND, f"{reason.words}; the target of {target} is kept")


def _spared(needed: int, bounds: Bounds, reason: Reason) -> tuple[int, Reason]:
    """`needed` and the warm spares; they are the reason where they change the number that bounds leave."""
    wanted = min(needed + bounds.spare, max(needed, bounds.max))
    if wanted <= max(needed, bounds.min):
        return wanted, reason
    return wanted, Reason(Code.SPARE, f"{reason.words}; {bounds.spare} more are kept warm")


def _windowed(
    now: float, needed: int, target: int, past: ModelHistory, settings: Autoscaling, spare: int, reason: Reason
) -> tuple[int, Reason]:
    """`needed`, or as many of the running as a plan within the window asked for. A blind round asked for its target;
    a past that is shorter than the window, for what runs now.

    The window is never shorter than a replica takes to start: a call is not taken back before it could be answered.
    """
    if needed >= target:
        return needed, reason
    window_s = max(settings.pace.scale_down_window_s, horizon_s(past, settings))
    begin = now - window_s
    asked = [r.needed + spare if r.needed is not None else r.target for r in past.since(begin)]
    if not past.rounds or past.rounds[0].at > begin:
        asked.append(target)
    highest = min(max((n for n in asked if n is not None), default=needed), target)
    if highest <= needed:
        return needed, reason
    words = f"{highest} were needed within the last {window_s:,.0f} s; now {needed}: {reason.words}"
    return highest, Reason(Code.WINDOW, words)


def _paced(now: float, wanted: int, target: int, past: ModelHistory, pace: Pace, reason: Reason) -> tuple[int, Reason]:
    """`wanted` as far as a period allows: at most `up` above its lowest target, at most `down` below its highest,
    or those shares of them where that is more."""
    told = (n for r in past.since(now - pace.period_s) for n in (r.before, r.target) if n is not None)
    targets = [target, *told]
    up = max(pace.up, int(pace.up_share * min(targets)))
    down = max(pace.down, int(pace.down_share * max(targets)))
    highest, lowest = max(target, min(targets) + up), min(target, max(targets) - down)
    if wanted > highest:
        words = f"{wanted} are needed, {up} may be added in {pace.period_s:g} s: {reason.words}"
        return highest, Reason(Code.PACE_UP, words)
    if wanted < lowest:
        words = f"{wanted} are needed, {down} may be taken away in {pace.period_s:g} s: {reason.words}"
        return lowest, Reason(Code.PACE_DOWN, words)
    return wanted, reason


def _allowed(number: int, least: int, most: int, reason: Reason) -> tuple[int, Reason]:
    """The number within bounds, ends included."""
    if number < least:
        return least, Reason(Code.AT_LEAST, f"{reason.words}; no fewer than {least} are allowed")
    if number > most:
        return most, Reason(Code.AT_MOST, f"{number} are needed, no more than {most} are allowed: {reason.words}")
    return number, reason


def _within(plan: ModelPlan) -> ModelPlan:
    """With `wanted` within bounds: neither blindness nor pace keeps a number that the description does not allow."""
    assert plan.wanted is not None
    wanted, reason = _allowed(plan.wanted, plan.least, plan.most, plan.reason)
    if plan.blind is not None:
        reason = replace(reason, code=Code.BLIND)
    return replace(plan, wanted=wanted, reason=reason)
