"""Rounds of the controller over HTTP, with answers that the real Prometheus and Ray Serve give on bad days only."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from autoscaling.controller import Controller
from autoscaling.instruments import Outcome
from autoscaling.leader import Alone, FileLock
from autoscaling.plan import Code, ModelPlan
from autoscaling.snapshot import Cause
from serve.fleet import Fleet
from serve.fleet.loader import resolve
from tests.support.autoscaler import AutoscalerProcess
from tests.support.control_plane import Dashboard, Metrics

pytestmark = pytest.mark.integration

MODEL = "gemma-2-9b-it"
BUSY = {"finished": 5.0, "in_flight": 4.0, "output_tokens": 100.0, "answered": 1.0}  # 500 tokens a second


class Plane:
    """Both servers, and the fleet that names them."""

    def __init__(self) -> None:
        self.metrics, self.dashboard = Metrics(MODEL, "a"), Dashboard(MODEL, "a")
        self.raw: dict[str, Any] = {
            "clusters": {"local": {"dashboard_url": self.dashboard.url}},
            "models": [
                {
                    "use": MODEL,
                    "engine": {
                        "device": "cpu",
                        "weights": "tiny",
                        "kv_cache_bytes": 50_331_648,
                        "replicas": {"initial": 1, "min": 1, "max": 9, "tokens_per_s": 100},
                    },
                }
            ],
            "autoscaling": {
                "prometheus_url": self.metrics.url,
                "interval_s": 0.2,
                "timeout_s": 5,
                "policy": "token-work",  # whose numbers can be told by heart: this is about what comes of a plan
                "work": {"headroom": 1, "target_utilisation": 1},
                "pace": {"up": 9},
            },
        }
        self.fleet: Fleet = resolve(self.raw, "test")
        self.metrics.describe(self.fleet)

    def controller(self, **words: Any) -> Controller:
        return Controller(self.fleet, words.pop("leader", Alone()), words.pop("state_dir", None), **words)


@pytest.fixture
def plane() -> Iterator[Plane]:
    plane = Plane()
    yield plane
    plane.metrics.stop()
    plane.dashboard.stop()


def step(controller: Controller) -> tuple[ModelPlan, Outcome]:
    """One round: the model's plan and what came of it."""
    assert asyncio.run(controller.step())
    assert controller.last is not None
    return controller.last.plan.models[MODEL], controller.last.done[MODEL].outcome


def value(controller: Controller, sample: str) -> float:
    lines = generate_latest(controller.instruments.registry).decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"parlance_autoscaler_{sample}")).rsplit(" ", 1)[1])


def test_a_plan_is_applied_once_and_again_when_somebody_else_changes_it(plane: Plane) -> None:
    controller = plane.controller()
    plane.metrics.values = dict(BUSY)
    plan, outcome = step(controller)
    assert (plan.wanted, outcome) == (5, Outcome.APPLIED)
    assert step(controller)[1] is Outcome.UNCHANGED
    assert plane.dashboard.scaled == [5]
    plane.dashboard.target = 2
    assert step(controller)[1] is Outcome.APPLIED
    assert plane.dashboard.scaled == [5, 5]
    assert value(controller, f'replica_changes_total{{direction="up",model="{MODEL}"}}') == 4 + 3


def test_a_dry_run_touches_nothing(plane: Plane) -> None:
    controller = plane.controller(dry_run=True)
    plane.metrics.values = dict(BUSY)
    plan, outcome = step(controller)
    assert (plan.wanted, outcome) == (5, Outcome.DRY_RUN)
    assert plane.dashboard.scaled == []


def test_a_refused_call_is_tried_again_later_and_not_at_once(plane: Plane) -> None:
    controller = plane.controller()
    plane.metrics.values = dict(BUSY)
    plane.dashboard.fails = 412
    assert step(controller)[1] is Outcome.FAILED
    assert controller.last is not None
    assert "412" in controller.last.done[MODEL].problem
    for _ in range(50):  # every failure doubles the wait: 0.1 to 0.2 s, then 0.2 to 0.4, ...
        step(controller)
    failed = len(plane.dashboard.scaled)
    assert failed < 12
    plane.dashboard.fails = None
    deadline = time.monotonic() + 330
    while step(controller)[1] is not Outcome.APPLIED:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert plane.dashboard.target == 5


@pytest.mark.parametrize(("status", "deployment"), [("DEPLOYING", "UPDATING"), ("DELETING", "HEALTHY")])
def test_an_application_that_is_deployed_anew_is_left_alone(plane: Plane, status: str, deployment: str) -> None:
    controller = plane.controller()
    plane.metrics.values = dict(BUSY)
    plane.dashboard.status, plane.dashboard.deployment = status, deployment
    assert step(controller)[1] is Outcome.DEFERRED
    plane.dashboard.status, plane.dashboard.deployment = "DEPLOYING", "UPSCALING"
    assert step(controller)[1] is Outcome.APPLIED
    assert plane.dashboard.scaled == [5]


@pytest.mark.parametrize(
    ("name", "told", "cause"),
    [
        ("finished", float("nan"), Cause.INVALID),
        ("waiting", -3.0, Cause.INVALID),
        ("growth", 1e9, Cause.INVALID),
        ("age", 3600.0, Cause.STALE),
        ("age", -3600.0, Cause.STALE),
    ],
)
def test_data_that_cannot_be_holds(plane: Plane, name: str, told: float, cause: Cause) -> None:
    controller = plane.controller()
    plane.dashboard.target = 4
    if name == "age":
        plane.metrics.age_s = told
    else:
        plane.metrics.values = {**BUSY, name: told}
    for _ in range(3):
        plan, outcome = step(controller)
        assert (plan.wanted, plan.blind, outcome) == (4, cause, Outcome.UNCHANGED)
        assert plan.reason.code is Code.BLIND
    assert plane.dashboard.scaled == []
    assert value(controller, f'holds_total{{cause="{cause.value}",model="{MODEL}"}}') == 3


def test_a_dashboard_that_is_down_holds_what_was_known(plane: Plane) -> None:
    controller = plane.controller()
    plane.dashboard.target = 3
    plane.metrics.values = {name: rate * 0.6 for name, rate in BUSY.items()}
    step(controller)
    plane.dashboard.stop()
    plan, outcome = step(controller)
    assert (plan.wanted, plan.target, plan.blind) == (3, 3, Cause.UNREACHABLE)
    assert outcome is Outcome.UNCHANGED
    plane.dashboard = Dashboard(MODEL, "a")


def test_a_new_leader_knows_what_the_old_one_saw(plane: Plane, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    first = plane.controller(leader=FileLock(lock), state_dir=tmp_path)
    second = plane.controller(leader=FileLock(lock), state_dir=tmp_path)
    plane.metrics.values = dict(BUSY)
    for _ in range(3):
        step(first)
    assert not asyncio.run(second.step())
    assert second.last is None
    assert value(second, "leader") == 0
    first._leader.resign()
    plane.metrics.values = {}  # the load has gone between the two
    plan, outcome = step(second)
    assert (plan.wanted, plan.needed, outcome) == (5, 5, Outcome.UNCHANGED)
    assert plan.expected == pytest.approx(500)
    assert plane.dashboard.scaled == [5]


def test_the_process_answers_while_it_runs_and_ends_when_told(plane: Plane, tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(json.dumps(plane.raw))
    plane.metrics.values = dict(BUSY)
    process = AutoscalerProcess(path, plane.metrics.url, tmp_path / "state", tmp_path / "log")
    try:
        deadline = time.monotonic() + 30
        while plane.dashboard.scaled != [5] or not process.plan()["models"]:
            assert time.monotonic() < deadline, process.log.read_text()
            time.sleep(0.05)
        status, body = process.get("/healthz")
        assert (status, json.loads(body)) == (200, {"status": "alive", "leader": True})
        assert process.get("/nothing")[0] == 404
        request = urllib.request.Request(f"http://127.0.0.1:{process.port}/plan", b"{}", method="POST")
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(request, timeout=5)
        assert process.metric("loop_seconds_count") >= 1
    finally:
        assert process.stop() == 0
    assert "stopped" in process.log.read_text()
