"""Two autoscaler processes, a real API server, and what happens to leaders: death, SIGTERM, a pause, a cut wire."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from serve.fleet.loader import resolve
from tests.support.autoscaler import AutoscalerProcess
from tests.support.control_plane import Dashboard, Metrics
from tests.support.kubernetes import Namespace, Wire, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

MODEL = "gemma-2-9b-it"
BUSY = {"finished": 5.0, "in_flight": 4.0, "output_tokens": 100.0, "answered": 1.0}  # 500 tokens a second: 5 replicas
DURATION_S = 6


class Pair:
    """A control plane, and autoscalers in one namespace that know each other by the Lease only."""

    def __init__(self, namespace: Namespace, folder: Path) -> None:
        self.namespace, self._folder = namespace, folder
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
                "policy": "token-work",
                "prometheus_url": self.metrics.url,
                "interval_s": 0.5,
                "timeout_s": 2,
                "work": {"headroom": 1, "target_utilisation": 1},
                "pace": {"up": 9},
                "kubernetes": {"duration_s": DURATION_S, "renew_deadline_s": 4, "retry_s": 1},
            },
        }
        self.metrics.describe(resolve(self.raw, "test"))
        self.started: list[AutoscalerProcess] = []

    def start(self, name: str, kubeconfig: Path | None = None, *words: str) -> AutoscalerProcess:
        path = self._folder / "fleet.yaml"
        path.write_text(json.dumps(self.raw))
        env = {"POD_NAME": name, "KUBECONFIG": str(kubeconfig or self.namespace.as_account())}
        log = self._folder / f"{name}.log"
        process = AutoscalerProcess(path, self.metrics.url, None, log, *words, env=env)
        self.started.append(process)
        return process

    def rounds(self, process: AutoscalerProcess, count: int) -> None:
        """Waits for so many whole rounds more."""
        before = process.metric("loop_seconds_count")
        until("rounds", lambda: process.metric("loop_seconds_count") >= before + count)

    def stop(self) -> None:
        for process in self.started:
            if process.process.poll() is None:
                process.process.send_signal(signal.SIGCONT)
            process.stop()
        self.metrics.stop()
        self.dashboard.stop()


@pytest.fixture
def pair(namespace: Namespace, tmp_path: Path) -> Iterator[Pair]:
    made = Pair(namespace, tmp_path)
    yield made
    made.stop()


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_killed_leader_is_followed_and_nothing_is_reversed(pair: Pair) -> None:
    first = pair.start("first")
    until("the first leads", lambda: first.leads)
    second = pair.start("second")
    pair.metrics.values = dict(BUSY)
    until("five replicas", lambda: pair.dashboard.scaled == [5])
    pair.rounds(first, 3)
    assert not second.leads
    assert second.plan()["models"] == {}
    before = pair.namespace.lease()
    assert before["holderIdentity"].startswith("first_")

    first.kill()
    pair.metrics.values = {}  # the load is gone too: whoever forgot would scale down
    until("the second leads", lambda: second.leads)
    after = pair.namespace.lease()
    assert after["holderIdentity"].startswith("second_")
    assert after["leaseTransitions"] == before["leaseTransitions"] + 1
    # The whole duration was waited for, by the wall clock that both share here.
    assert seconds(after["acquireTime"]) - seconds(before["renewTime"]) >= DURATION_S
    pair.rounds(second, 10)
    model = second.plan()["models"][MODEL]
    assert (model["wanted"], model["target"]) == (5, 5)
    assert pair.dashboard.scaled == [5]


def test_a_leader_that_is_told_to_end_hands_over_at_once_with_all_it_knew(pair: Pair) -> None:
    pair.raw["autoscaling"]["kubernetes"] |= {"duration_s": 3600, "renew_deadline_s": 1800}
    first = pair.start("first")
    pair.metrics.values = dict(BUSY)
    until("five replicas", lambda: pair.dashboard.scaled == [5])
    second = pair.start("second")
    pair.rounds(first, 3)
    assert first.stop() == 0
    until("the second leads, long before the lease would have run out", lambda: second.leads)
    pair.rounds(second, 2)
    assert second.plan()["models"][MODEL]["expected_tokens_per_s"] == pytest.approx(500)
    found = pair.namespace.get(f"/api/v1/namespaces/{pair.namespace.name}/configmaps/parlance-autoscaler-history")
    assert list(found["binaryData"]) == ["history.json.gz"]


def test_a_leader_that_lost_the_api_server_stops_before_another_begins(pair: Pair) -> None:
    wire = Wire(pair.namespace.server)
    first = pair.start("first", pair.namespace.as_account(wire.url))
    until("the first leads", lambda: first.leads)
    second = pair.start("second")
    wire.cut()
    # Asked in this order: had the first been leading still when the second began, it would say so.
    until("the second leads", lambda: second.leads, every_s=0.02)
    assert not first.leads
    wire.mend()
    pair.rounds(second, 5)
    assert not first.leads
    assert second.leads


def test_a_leader_that_was_paused_leads_no_more_when_it_wakes(pair: Pair) -> None:
    first = pair.start("first")
    until("the first leads", lambda: first.leads)
    second = pair.start("second")
    first.process.send_signal(signal.SIGSTOP)
    until("the second leads", lambda: second.leads)
    pair.rounds(second, 1)
    pair.metrics.values = dict(BUSY)
    first.process.send_signal(signal.SIGCONT)
    until("the first has noticed", lambda: not first.leads)
    until("five replicas", lambda: pair.dashboard.scaled[-1:] == [5])
    pair.rounds(second, 3)
    assert pair.dashboard.scaled == [5]  # one of them asked, and once
    assert pair.namespace.lease()["holderIdentity"].startswith("second_")


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_without_the_api_server_nobody_leads_and_replicas_stay(pair: Pair, how: str) -> None:
    wire = Wire(pair.namespace.server)
    one = pair.start("one", pair.namespace.as_account(wire.url))
    two = pair.start("two", pair.namespace.as_account(wire.url))
    until("one of them leads", lambda: one.leads or two.leads)
    getattr(wire, how)()
    until("nobody leads", lambda: not one.leads and not two.leads)
    pair.metrics.values = dict(BUSY)
    time.sleep(DURATION_S + 2)
    assert not one.leads
    assert not two.leads
    assert pair.dashboard.scaled == []
    assert one.get("/healthz")[0] == two.get("/healthz")[0] == 200
    wire.mend()
    until("somebody leads again, and plans", lambda: pair.dashboard.scaled == [5])
    assert [one.leads, two.leads].count(True) == 1


def test_a_dry_run_beside_the_leader_takes_nothing_and_writes_nothing(pair: Pair) -> None:
    real = pair.start("real")
    until("it leads", lambda: real.leads)
    dry = pair.start("dry", None, "--dry-run")
    pair.metrics.values = dict(BUSY)
    until("the real one applies", lambda: pair.dashboard.scaled == [5])
    until("the dry one plans", lambda: dry.plan()["models"])
    pair.rounds(dry, 3)
    assert real.leads
    assert pair.namespace.lease()["holderIdentity"].startswith("real_")
    assert pair.dashboard.scaled == [5]
    assert {event["reportingInstance"].partition("_")[0] for event in pair.namespace.events()} == {"real"}


def test_an_account_without_permission_is_told_which_one(pair: Pair) -> None:
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{pair.namespace.name}/rolebindings/parlance-autoscaler"
    account = pair.namespace.as_account()
    pair.namespace.admin.call("DELETE", path)
    process = pair.start("nobody", account)
    said = 'cannot get resource "leases" in API group "coordination.k8s.io"'
    until("the log says what is missing", lambda: said in process.log.read_text())
    assert "docs/kubernetes.md" in process.log.read_text()
    assert not process.leads
    assert process.get("/healthz")[0] == 200
    assert process.log.read_text().count(said) == 1  # and not every second
    assert "Traceback" not in process.log.read_text()


def test_changes_holds_and_leadership_are_events(pair: Pair) -> None:
    process = pair.start("one")
    pair.metrics.values = dict(BUSY)
    until("five replicas", lambda: pair.dashboard.scaled == [5])
    pair.metrics.age_s = 3600
    until("it holds", lambda: process.plan()["models"][MODEL]["blind"] == "stale")
    pair.metrics.age_s = 1
    until("it sees", lambda: process.plan()["models"][MODEL]["blind"] is None)
    wanted = ["LeadershipTaken", "ScaledUp", "BlindHoldBegan", "BlindHoldEnded"]
    reasons = until(
        "four events",
        lambda: (found := [event["reason"] for event in pair.namespace.events()])[: len(wanted)] == wanted and found,
    )
    assert reasons == wanted
    scaled = pair.namespace.events()[1]
    assert scaled["note"].startswith(f"{MODEL}: 1 -> 5 replicas: ")
    assert (scaled["type"], scaled["action"], scaled["regarding"]["kind"]) == ("Normal", "Scale", "Lease")
    assert scaled["regarding"]["uid"]
