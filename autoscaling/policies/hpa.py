"""Kubernetes' HorizontalPodAutoscaler (autoscaling/v2): what it recommends for a metric, and its `behavior`.

    recommended = ceil(pods x (metric a pod / target)); the present number where the ratio is within the tolerance of 1

A pod that starts exports no metric of its engine yet: on the way down it counts as one at the target, on the way up as
one without use, and where either would turn the direction round, the present number stays. A recommendation is then
held against those before it: up, the lowest of the scale-up window (0 s), down, the highest of the scale-down window
(300 s). Within a period of 15 s at most 4 pods or as many again are added, whichever is more, and all may be removed.
Without a metric nothing changes. It works in thousandths, as Kubernetes' quantities do, and cuts off the rest.

Sources: Kubernetes' documentation, "Horizontal Pod Autoscaling" (algorithm details, configurable scaling behavior), and
pkg/controller/podautoscaler/{replica_calculator,horizontal}.go (calcPlainMetricReplicas,
GetExternalPerPodMetricReplicas, stabilizeRecommendationWithBehaviors, convertDesiredReplicasWithBehaviorRate). Its
memory of recommendations and of what it changed is read from the rounds before.
"""

from __future__ import annotations

from math import ceil

from autoscaling.history import Round
from autoscaling.plan import Code, ModelPlan, Reason
from autoscaling.policies.each import Case
from autoscaling.snapshot import Cause, Reading
from serve.fleet.autoscaling_rules import Hpa

MILLI = 1000


def on_pods(case: Case, metric: str, reading: Reading, target: float) -> ModelPlan:
    """The plan of an HPA on a `Pods` metric with an `averageValue` of `target`; `reading` is the sum over pods.

    From no replica it never comes back ("scaling is disabled since the replica count of the target is zero").
    """
    if reading.value is None:
        return case.blind(metric, reading.cause or Cause.MISSING)
    if not case.current:
        return case.plan(0, 0, Reason(Code.IDLE, "an HPA does not scale what has no replicas"))
    if not case.ready:
        return case.blind(f"{metric} of a replica that runs", Cause.MISSING)
    # What is about to go takes its share of the sum with it.
    left = min(case.replicas.running, case.replicas.target)
    used = reading.value * left / case.replicas.running
    recommended = _by_pods(case.current, case.ready, used, target, case.settings.rules.hpa.tolerance)
    words = f"{metric}: {used / case.ready:,.1f} of a replica, the target is {target:g}"
    return settled(case, recommended, words)


def settled(case: Case, recommended: int, words: str) -> ModelPlan:
    """The plan for a recommendation: held against those before it, and as far as a period allows."""
    rules = case.settings.rules.hpa
    reason = Reason(Code.WORK if recommended else Code.IDLE, words)
    stable = _stable(case, recommended, rules)
    if stable != recommended:
        window_s = rules.scale_down_window_s if stable > recommended else rules.scale_up_window_s
        reason = Reason(
            Code.WINDOW, f"{stable} were recommended within {window_s:,.0f} s; now {recommended}: {reason.words}"
        )
    wanted = _paced(case, stable, rules)
    if wanted != stable:
        up = stable > wanted
        code, verb = (Code.PACE_UP, "added") if up else (Code.PACE_DOWN, "removed")
        period_s = rules.scale_up_period_s if up else rules.scale_down_period_s
        reason = Reason(code, f"{stable} are recommended, no more may be {verb} within {period_s:g} s: {reason.words}")
    return case.plan(recommended, max(wanted, 1), reason)


def on_total(current: int, total: float, target: float, tolerance: float) -> int:
    """What an HPA recommends for an `External` metric with an `averageValue`: `total` over all pods."""
    used, share = int(total * MILLI), int(target * MILLI)
    if current and _within(used / (share * current), tolerance):
        return current
    return ceil(used / share)


def _by_pods(current: int, ready: int, total: float, target: float, tolerance: float) -> int:
    share = int(target * MILLI)
    used = int(total * MILLI)
    ratio = (used // ready) / share
    missing = current - ready
    if not missing:
        return current if _within(ratio, tolerance) else ceil(ratio * ready)
    if ratio == 1:
        return current
    if ratio < 1:
        used += missing * share
    again = (used // current) / share
    if _within(again, tolerance) or (ratio < 1 < again) or (again < 1 < ratio):
        return current
    recommended = ceil(again * current)
    turned = (again < 1 and recommended > current) or (again > 1 and recommended < current)
    return current if turned else recommended


def _within(ratio: float, tolerance: float) -> bool:
    return 1 - tolerance <= ratio <= 1 + tolerance


def _stable(case: Case, recommended: int, rules: Hpa) -> int:
    """The present number, moved as far as the windows' recommendations agree.

    The first thing an HPA records when it begins is the number that it found.
    """
    told = [(r.at, r.needed) for r in case.past.rounds if r.needed is not None]
    first = case.past.rounds[0] if case.past.rounds else Round(case.now, before=case.replicas.target)
    if first.before is not None:
        told.append((first.at, case.own(first.before)))
    up = min([recommended, *(n for at, n in told if at > case.now - rules.scale_up_window_s)])
    down = max([recommended, *(n for at, n in told if at > case.now - rules.scale_down_window_s)])
    return min(max(case.current, up), down)


def _paced(case: Case, wanted: int, rules: Hpa) -> int:
    """`wanted`, as far as it may be changed from what there was when the period began."""
    current = case.current
    if wanted > current:
        began = _began(case, rules.scale_up_period_s)
        most = max(began + rules.scale_up_pods, ceil(began * (1 + rules.scale_up_percent / 100)))
        return min(wanted, max(most, current))
    if wanted < current:
        began = _began(case, rules.scale_down_period_s)
        least = int(began * (1 - rules.scale_down_percent / 100))
        return max(wanted, min(least, current))
    return wanted


def _began(case: Case, period_s: float) -> int:
    """How many there were when the period began that ends now."""
    changes = (
        r.target - r.before
        for r in case.past.rounds
        if r.at > case.now - period_s and r.target is not None and r.before is not None
    )
    return case.current - sum(changes)
