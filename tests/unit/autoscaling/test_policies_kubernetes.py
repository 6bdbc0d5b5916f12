"""The HPA's rules beside decisions that Kubernetes' own code took: `tests/data/hpa_decisions.jsonl`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from autoscaling_cases import MODEL, fleet, seen, snapshot

from autoscaling.bounds import Bounded
from autoscaling.history import History
from autoscaling.policies import HpaQueue, Keda
from autoscaling.snapshot import Replicas

pytestmark = pytest.mark.unit

RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "hpa_decisions.jsonl").read_text(encoding="utf-8").splitlines()
]
BEHAVIOUR = (
    "tolerance", "scale_up_window_s", "scale_up_pods", "scale_up_percent", "scale_up_period_s", "scale_down_window_s",
    "scale_down_percent", "scale_down_period_s",
)  # fmt: skip


@pytest.mark.parametrize("case", RECORDED, ids=[f"{n}-{case['metric']}" for n, case in enumerate(RECORDED)])
def test_the_same_replicas_as_kubernetes(case: dict[str, Any]) -> None:
    rules = {
        "hpa": {name: case[name] for name in BEHAVIOUR},
        "hpa_queue": {"waiting_per_replica": case["target"]},
        "keda": {"requests_per_s": case["target"]},
    }
    described = fleet(case["min"], case["max"], initial=case["initial"], rules=rules)
    policy = Bounded(HpaQueue() if case["metric"] == "pods" else Keda())
    history, replicas, told = History(), case["initial"], []
    for number, (ready, total) in enumerate(zip(case["ready"], case["total"], strict=True)):
        now, running = number * case["interval_s"], min(ready, replicas)
        model = seen(total, replicas, running, waiting=total)
        shot = snapshot(now, replace(model, replicas=Replicas(replicas, running, replicas - running)))
        made = policy.plan(now, shot, history, described)
        history, _ = history.after(shot, made, described)
        replicas = made.models[MODEL].wanted or 0
        told.append(replicas)
    assert told == case["replicas"]
    assert len(set(told)) > 1
