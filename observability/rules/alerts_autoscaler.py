"""Alerts on the autoscaler: whether it runs, sees, and is obeyed."""

from __future__ import annotations

from observability import autoscaler_metrics as autoscaler
from observability.promql import absent, aggregate, increase, now, series
from observability.rules.rule import Alert, Severity

# Beyond this many rounds' time without a round something hangs; no less than the time-outs of a whole round.
LATE_ROUNDS = 4
LATE_S = 120.0


def alerts(interval_s: float, stale_after_s: float) -> tuple[Alert, ...]:
    """For an autoscaler that makes a round every `interval_s` and takes samples older than `stale_after_s` for none."""
    late_s = max(LATE_S, LATE_ROUNDS * interval_s)
    old_s = max(LATE_S, 2 * stale_after_s)
    last_round = aggregate("max", series(autoscaler.LAST_ROUND))
    # Only the leader's plan is to be applied; a follower's is an echo, or none.
    leads = series(autoscaler.LEADER).equals(1)
    planned = aggregate("max", series(autoscaler.PLANNED).where(leads, "instance"), "model")
    target = aggregate("max", series(autoscaler.TARGET).where(leads, "instance"), "model")
    running = aggregate("max", series(autoscaler.REPLICAS, state="running").where(leads, "instance"), "model")
    only_shown = increase(autoscaler.APPLIED, "15m", outcome="dry_run").by("model").above(0)
    return (
        Alert(
            "ParlanceAutoscalerBlind",
            Severity.PAGE,
            aggregate("max", series(autoscaler.BLIND), "model").equals(1),
            "10m",
            "a model's replicas are held for lack of data",
            "The autoscaler is blind for {{ $labels.model }}: its replicas are held",
            "What the plan for {{ $labels.model }} needs is missing, stale or invalid. Load may grow and nothing "
            "follows it.",
            ("autoscaling", "blind"),
        ),
        Alert(
            "ParlanceAutoscalerStopped",
            Severity.PAGE,
            (now() - last_round).above(late_s),
            "2m",
            f"no round ended for {late_s:g} s",
            "The autoscaler's last round ended {{ $value | humanizeDuration }} ago",
            "It runs and makes no plans: a question to Prometheus or Ray Serve hangs, or every round fails. Replicas "
            "stay as they are.",
            ("autoscaling", "last-round"),
            labels={"cause": "stalled"},
        ),
        Alert(
            "ParlanceAutoscalerStopped",
            Severity.PAGE,
            absent(autoscaler.LAST_ROUND),
            "5m",
            "no autoscaler exports metrics",
            "No autoscaler is running",
            "Nothing that Prometheus scrapes exports an autoscaler's metrics. Replicas stay as they are.",
            ("autoscaling", "last-round"),
            labels={"cause": "absent"},
        ),
        Alert(
            "ParlanceAutoscalerInputOld",
            Severity.TICKET,
            (now() - aggregate("max", series(autoscaler.INPUT_TIME), "input")).above(old_s),
            "10m",
            f"a sample that plans rest on is over {old_s:g} s old",
            "The autoscaler's {{ $labels.input }} is {{ $value | humanizeDuration }} old",
            "The query for {{ $labels.input }} gives no new samples. Beyond the limit of age they are no data, and "
            "replicas are held.",
            ("autoscaling", "input-age"),
        ),
        Alert(
            "ParlancePlanNotApplied",
            Severity.TICKET,
            (planned - target).differs(0).unless(only_shown),
            "15m",
            "planned and target replicas differ, and the autoscaler is not in dry run",
            "The plan for {{ $labels.model }} is not applied: it wants {{ $value }} replicas more than the target",
            "The autoscaler wants another number of replicas of {{ $labels.model }} than Ray Serve has as its target.",
            ("autoscaling", "plan-against-actual"),
        ),
        Alert(
            "ParlanceReplicasMissing",
            Severity.TICKET,
            (target - running).above(0),
            "15m",
            "fewer replicas run than Ray Serve's target",
            "{{ $value }} replicas of {{ $labels.model }} do not come up",
            "Ray Serve was told to run more replicas of {{ $labels.model }} than run: there is no room, or they fail "
            "to start.",
            ("autoscaling", "replica-states"),
        ),
    )
