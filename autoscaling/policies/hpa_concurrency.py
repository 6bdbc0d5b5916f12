"""`hpa-concurrency`: an HPA on the batch of each engine, `vllm:num_requests_running`.

The batch of a replica is bounded (`max_num_seqs`, KV cache): above that, the metric stands still and the queue grows.
"""

from __future__ import annotations

from autoscaling.history import History
from autoscaling.plan import ModelPlan, Plan
from autoscaling.policies.each import Case, each
from autoscaling.policies.hpa import on_pods
from autoscaling.snapshot import Snapshot
from serve.fleet import Fleet


class HpaConcurrency:
    """`autoscaling.rules.hpa_concurrency`, and the behaviour in `autoscaling.rules.hpa`."""

    name = "hpa-concurrency"
    own_pace = True

    def plan(self, now: float, snapshot: Snapshot, history: History, fleet: Fleet) -> Plan:
        """Each model by itself."""
        return each(self.name, now, snapshot, history, fleet, _rule)


def _rule(case: Case) -> ModelPlan:
    target = case.settings.rules.hpa_concurrency.running_per_replica
    return on_pods(case, "requests in the batch", case.seen.running, target)
