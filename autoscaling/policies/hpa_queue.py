"""`hpa-queue`: an HPA on the queue of each engine, `vllm:num_requests_waiting`.

What Google's guide for LLMs on GKE and vLLM's production stack propose. A queue is there only when replicas are already
too few, and it tells as little about tokens as a count of requests does.
"""

from __future__ import annotations

from autoscaling.history import History
from autoscaling.plan import ModelPlan, Plan
from autoscaling.policies.each import Case, each
from autoscaling.policies.hpa import on_pods
from autoscaling.snapshot import Snapshot
from serve.fleet import Fleet


class HpaQueue:
    """`autoscaling.rules.hpa_queue`, and the behaviour in `autoscaling.rules.hpa`."""

    name = "hpa-queue"
    own_pace = True

    def plan(self, now: float, snapshot: Snapshot, history: History, fleet: Fleet) -> Plan:
        """Each model by itself."""
        return each(self.name, now, snapshot, history, fleet, _rule)


def _rule(case: Case) -> ModelPlan:
    target = case.settings.rules.hpa_queue.waiting_per_replica
    return on_pods(case, "waiting requests", case.seen.waiting, target)
