"""The autoscaler: whether it runs, sees, and is obeyed. promtool's clock begins at the epoch."""

from __future__ import annotations

from observability import autoscaler_metrics as autoscaler
from tests.support.alerts.case import Case, Expected, Fires, Input, Quiet, given

PAGE, TICKET = {"severity": "page"}, {"severity": "ticket"}


def _plan(planned: str, target: str, running: str, worker: str = "a:1", leads: int = 1) -> tuple[Input, ...]:
    return (
        given(autoscaler.PLANNED, planned, model="m", instance=worker),
        given(autoscaler.TARGET, target, model="m", instance=worker),
        given(autoscaler.REPLICAS, running, model="m", state="running", instance=worker),
        given(autoscaler.LEADER, f"{leads}x100", instance=worker),
    )


CASES: tuple[Case, ...] = (
    Fires(
        "ParlanceAutoscalerBlind",
        "held from a moment on",
        (given(autoscaler.BLIND, "0x9 1x30", model="m"), given(autoscaler.BLIND, "0x40", model="other")),
        "10m",
        (Expected({**PAGE, "model": "m"}, "The autoscaler is blind for m: its replicas are held"),),
    ),
    Quiet("ParlanceAutoscalerBlind", "it sees", (given(autoscaler.BLIND, "0x40", model="m"),), ("30m",)),
    Quiet(
        "ParlanceAutoscalerBlind",
        "blind for nine minutes at a time is not yet an alert",
        (given(autoscaler.BLIND, "1x8 0x30", model="m"),),
        ("9m", "30m"),
    ),
    Fires(
        "ParlanceAutoscalerStopped",
        "no round after the tenth minute",
        (given(autoscaler.LAST_ROUND, "0+60x10 600x20"),),
        "13m",
        (Expected({**PAGE, "cause": "stalled"}, "The autoscaler's last round ended 5m 0s ago"),),
    ),
    Quiet(
        "ParlanceAutoscalerStopped",
        "a round every two minutes",
        (given(autoscaler.LAST_ROUND, "0 0 120 120 240 240 360 360 480 480 600 600"),),
        ("5m", "11m"),
    ),
    Quiet(
        "ParlanceAutoscalerStopped",
        "a restart: one scrape fails, and its first round is that of now",
        (given(autoscaler.LAST_ROUND, "0+60x10 _ 720+60x10"),),
        ("11m", "12m", "15m"),
    ),
    Quiet(
        "ParlanceAutoscalerStopped",
        "one of two leads; the other's last round was long ago",
        (given(autoscaler.LAST_ROUND, "0+60x60"), given(autoscaler.LAST_ROUND, "60x60", instance="b:1")),
        ("50m",),
    ),
    Fires(
        "ParlanceAutoscalerStopped",
        "its target goes away",
        (given(autoscaler.LAST_ROUND, "0+60x10 stale"),),
        "11m",
        (Expected({**PAGE, "cause": "absent", "job": "parlance-autoscaler"}, "No autoscaler is running"),),
    ),
    Fires(
        "ParlanceAutoscalerInputOld",
        "a query gives nothing new after the tenth minute",
        (
            given(autoscaler.INPUT_TIME, "0+60x10 600x30", input="waiting"),
            given(autoscaler.INPUT_TIME, "0+60x60", input="running"),
        ),
        "13m",
        (Expected({**TICKET, "input": "waiting"}, "The autoscaler's waiting is 13m 0s old"),),
    ),
    Quiet(
        "ParlanceAutoscalerInputOld",
        "two minutes old, all the time",
        (given(autoscaler.INPUT_TIME, "-120+60x60", input="waiting"),),
        ("10m", "60m"),
    ),
    Fires(
        "ParlancePlanNotApplied",
        "three are planned, two are the target",
        _plan("2x9 3x60", "2x80", "2x80"),
        "10m",
        (
            Expected(
                {**TICKET, "model": "m"}, "The plan for m is not applied: it wants 1 replicas more than the target"
            ),
        ),
    ),
    Quiet("ParlancePlanNotApplied", "the target follows", _plan("2x9 3x60", "2x10 3x60", "2x80"), ("9m", "30m")),
    Quiet(
        "ParlancePlanNotApplied",
        "it only shows its plans",
        (
            *_plan("3x80", "2x80", "2x80"),
            given(autoscaler.APPLIED, "0+4x80", model="m", outcome="dry_run"),
        ),
        ("5m", "60m"),
    ),
    Quiet(
        "ParlancePlanNotApplied",
        "what a follower would do is no plan",
        (*_plan("2x80", "2x80", "2x80"), *_plan("5x80", "2x80", "2x80", "b:1", leads=0)),
        ("60m",),
    ),
    Fires(
        "ParlanceReplicasMissing",
        "two of three run",
        _plan("3x80", "2x9 3x60", "2x80"),
        "10m",
        (Expected({**TICKET, "model": "m"}, "1 replicas of m do not come up"),),
    ),
    Quiet("ParlanceReplicasMissing", "all run, and one that drains beside", _plan("2x80", "2x80", "3x80"), ("60m",)),
    Quiet(
        "ParlanceReplicasMissing",
        "a start of twelve minutes",
        _plan("3x80", "2x9 3x60", "2x21 3x60"),
        ("9m", "22m", "60m"),
    ),
)
