"""`keda`: KEDA's Prometheus scaler on requests a second, with a threshold for each replica.

KEDA makes an HPA on an external metric (`metricType: AverageValue`, its default), which does what
`autoscaling.policies.hpa` says: ceil(rate / threshold), outside the tolerance. KEDA itself wakes a model from zero with
the first request, and takes the replicas away after `cooldownPeriod` without one, where the description allows none.
The rate is that of arrivals: better than that of finished requests, which such rules often have.

One thing is not KEDA's default: a query without a result is 0 there unless `ignoreNullValues: false`, and takes a fleet
to its least; here it is no data, and holds.

Source: KEDA's documentation, "Prometheus" scaler and "ScaledObject specification" (2.x).
"""

from __future__ import annotations

from autoscaling.history import History
from autoscaling.plan import Code, ModelPlan, Plan, Reason
from autoscaling.policies.each import Case, each
from autoscaling.policies.hpa import on_total, settled
from autoscaling.snapshot import Cause, Snapshot
from serve.fleet import Fleet


class Keda:
    """`autoscaling.rules.keda`, and the behaviour in `autoscaling.rules.hpa`."""

    name = "keda"
    own_pace = True

    def plan(self, now: float, snapshot: Snapshot, history: History, fleet: Fleet) -> Plan:
        """Each model by itself."""
        return each(self.name, now, snapshot, history, fleet, _rule)


def _rule(case: Case) -> ModelPlan:
    rules, rate = case.settings.rules, case.seen.arrivals
    if rate.value is None:
        return case.blind("requests", rate.cause or Cause.MISSING)
    words = f"{rate.value:,.2f} requests/s arrive, the threshold is {rules.keda.requests_per_s:g} of a replica"
    if not case.current:
        wanted = 1 if rate.value > 0 else 0
        return case.plan(wanted, wanted, Reason(Code.WORK if wanted else Code.IDLE, words))
    if not case.least and not rate.value and _cooled_down(case, rules.keda.cooldown_s):
        return case.plan(0, 0, Reason(Code.IDLE, f"no request for {rules.keda.cooldown_s:,.0f} s"))
    recommended = on_total(case.current, rate.value, rules.keda.requests_per_s, rules.hpa.tolerance)
    return settled(case, recommended, words)


def _cooled_down(case: Case, cooldown_s: float) -> bool:
    """Whether nothing arrived for so long; what nobody saw may have been a request."""
    begin = case.now - cooldown_s
    rounds = case.past.since(begin)
    covered = bool(case.past.rounds) and case.past.rounds[0].at <= begin
    return covered and all(r.arriving == 0 for r in rounds)
