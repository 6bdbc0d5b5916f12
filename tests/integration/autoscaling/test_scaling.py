"""The autoscaler on real Ray Serve with a real vLLM and a real Prometheus: load rises and falls, parts fail.

One model that may have two replicas, and two autoscalers of which one leads. The tests are acts of one play, in this
order; each begins where the one before it ended.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve.local import serve_api
from serve.local import stack as local
from serve.local.progress import View
from serve.local.state import Store
from tests.support.autoscaler import AutoscalerProcess
from tests.support.prometheus import PrometheusProcess, installed
from tests.support.stack import Stack, free_ports, running
from tests.support.streams import Streams

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(1200),  # three minutes on two idle cores; a busy machine starts an engine in five
    pytest.mark.skipif(not installed(), reason="Prometheus is not installed (Debian: apt install prometheus)"),
]

MODEL = "gemma-2-9b-it"
WINDOW_S = 10
AUTOSCALING = {
    "interval_s": 1,
    "window_s": 20,  # Ray reports its figures every ten seconds
    "mix_window_s": 120,
    "stale_after_s": 30,
    "timeout_s": 10,
    # A replica is taken to do far more than it can: what it does while a queue stands has to show that. Lateness costs
    # so little that the two streams that are open when the load has gone need one replica.
    "work": {"late_cost": 1, "cold_start_s": 60},
    "pace": {"scale_down_window_s": WINDOW_S, "period_s": 3},
}
ENGINE = {
    "device": "cpu",
    "weights": "tiny",
    "dtype": "float32",
    "kv_cache_bytes": 50_331_648,
    "cpus_per_replica": 0.25,
    "max_stream_s": 180,
    "stall_s": 120,
    "replicas": {"initial": 1, "min": 1, "max": 2, "tokens_per_s": 2000},
    "flags": {"max-num-seqs": 4},
}
LONG = 1000  # tokens: tens of seconds, longer than a scale-down takes to be decided
SHORT = 40


class Stage:
    """The stack, Prometheus, the autoscalers and the clients of the play."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.stack = stack
        admin, ray = stack.state.ports.admin, stack.state.ports.metrics
        jobs = {"parlance-gateway": [f"127.0.0.1:{admin}"], "ray": [f"127.0.0.1:{ray}"]}
        self.prometheus = PrometheusProcess(directory, jobs, interval_s=5)
        state = directory / "autoscaler"
        url = self.prometheus.url
        self.first = AutoscalerProcess(stack.fleet_file, url, state, directory / "first.log")
        self.second = AutoscalerProcess(stack.fleet_file, url, state, directory / "second.log")
        self.leader = self.first
        self.clients: list[Streams] = []

    def model(self) -> dict[str, Any]:
        """The leader's plan for the model."""
        told: dict[str, Any] = self.leader.plan()["models"].get(MODEL, {})
        return told

    def replicas(self) -> list[str]:
        """States of the replicas, from Ray Serve itself."""
        app = serve_api.applications(self.stack.state.dashboard_url)[MODEL]
        return sorted(replica.state for replica in app.replicas)

    def target(self) -> int | None:
        return serve_api.applications(self.stack.state.dashboard_url)[MODEL].target

    def streams(self, tokens: int, count: int) -> Streams:
        streams = Streams(self.stack.gateway_url, MODEL, tokens, count)
        self.clients.append(streams)
        return streams

    def until(self, what: str, holds: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds():
            logs = self.leader.log.read_text()[-1500:]
            assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}; {self.model()}\n{logs}"
            time.sleep(0.25)

    def stays(self, what: str, holds: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert holds(), f"{what} no longer: {self.model()}"
            time.sleep(0.5)

    def close(self) -> None:
        for process in (self.first, self.second):
            process.stop()
        self.prometheus.stop()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("autoscaling")
    serve, dashboard, gateway, admin = free_ports(4)
    cluster = {"serve_url": f"http://127.0.0.1:{serve}", "dashboard_url": f"http://127.0.0.1:{dashboard}"}
    fleet = {
        "clusters": {"local": cluster},
        # A busy machine answers probes late; this play is not about that.
        "gateway": {"port": gateway, "admin_port": admin, "health": {"timeout_s": 30, "failures": 10}},
        "models": [{"use": MODEL, "engine": ENGINE}],
        "autoscaling": AUTOSCALING,
        "slo": {"ttft_s": 0.5},
    }
    path = root / "fleet.yaml"
    path.write_text(yaml.safe_dump(fleet, sort_keys=False), encoding="utf-8")
    store = Store(root / "state")
    local.up(local.Options(fleet=path, prometheus=False, timeout_s=600), store, View(sys.stderr))
    try:
        stage = Stage(running(store), root)
        try:
            yield stage
        finally:
            stage.close()
    finally:
        local.down(store)


def test_load_rises_and_a_second_replica_is_called_for(stage: Stage) -> None:
    stage.until("the leader sees the model", lambda: stage.model().get("blind", "blind") is None, 120)
    assert stage.model()["wanted"] == 1
    assert stage.second.plan()["leader"] is False
    assert stage.second.metric("leader") == 0
    stage.streams(SHORT, 32)
    stage.until("two replicas are wanted", lambda: stage.model()["wanted"] == 2, 180)
    reason = stage.model()["reason"]
    assert reason["code"] in ("backlog", "risk", "work", "at_most"), reason
    assert "replicas' load" in reason["words"]
    assert "a late request costs" in reason["words"]
    stage.until("Ray Serve was told", lambda: stage.target() == 2, 60)
    stage.until("both run", lambda: stage.replicas() == ["RUNNING", "RUNNING"], 500)
    assert stage.leader.metric("replica_changes_total", model=MODEL, direction="up") == 1
    stage.until("the start was timed", lambda: stage.leader.metric("cold_start_seconds_count", model=MODEL) == 1, 60)


def test_both_replicas_serve(stage: Stage) -> None:
    served = f'ray_vllm_request_success_total{{model_name="{MODEL}"}} > 0'
    stage.until(
        "both have served",
        lambda: len({series["metric"]["ReplicaId"] for series in stage.prometheus.query(served)}) == 2,
        60,
    )


def test_without_prometheus_replicas_are_held_and_it_says_so(stage: Stage) -> None:
    """Nothing is asked any more, so that a plan that took no data for no load would take a replica away."""
    stage.prometheus.pause()
    began = stage.leader.metric("holds_total", model=MODEL, cause="unreachable")
    stage.until("it holds", lambda: stage.model()["reason"]["code"] == "blind", 60)
    stage.clients[-1].end()
    stage.stays("two wanted", lambda: stage.model()["wanted"] == stage.target() == 2, 2 * WINDOW_S)
    told = stage.model()
    assert told["blind"] == "unreachable"
    assert "the target of 2 is kept" in told["reason"]["words"]
    assert stage.leader.metric("blind", model=MODEL) == 1
    assert stage.leader.metric("holds_total", model=MODEL, cause="unreachable") > began
    assert stage.leader.get("/healthz")[0] == 200  # it is Prometheus that is ill
    stage.prometheus.resume()


def test_the_leader_dies_and_the_other_goes_on(stage: Stage) -> None:
    """In the middle of a scale-down window, which the second one knows of."""
    lasting = stage.streams(LONG, 2)
    stage.until("it sees again", lambda: stage.model()["blind"] is None, 120)
    assert stage.target() == 2
    known = stage.leader.plan()["at"]
    stage.first.kill()
    stage.leader = stage.second
    stage.until("the second leads", lambda: stage.second.plan()["leader"] and stage.model() != {}, 60)
    assert stage.model()["target"] == 2
    assert stage.model()["wanted"] == 2, "the new leader forgot what the old one had seen"
    assert stage.second.plan()["at"] >= known
    assert stage.second.metric("leader") == 1
    assert not lasting.problems


def test_load_falls_and_the_second_replica_is_drained(stage: Stage) -> None:
    """Two clients read long streams all the while, one on each replica: none of them may notice."""
    lasting = stage.clients[-1]
    stage.until("one is wanted", lambda: stage.model()["wanted"] == 1, 600)
    stage.until("Ray Serve was told", lambda: stage.target() == 1, 60)
    told = time.monotonic()
    stage.until("one is left", lambda: stage.replicas() == ["RUNNING"], 400)
    lasting.end()
    open_then = [stream for stream in lasting.done if stream.began < told < stream.ended]
    assert len(open_then) == 2
    stage.stays("one wanted", lambda: stage.model()["wanted"] == 1, 5)
    assert stage.leader.metric("replica_changes_total", model=MODEL, direction="down") == 1


def test_no_request_was_lost(stage: Stage) -> None:
    assert [problem for client in stage.clients for problem in client.problems] == []
    assert sum(len(client.done) for client in stage.clients) > 30


def test_another_hand_is_corrected(stage: Stage) -> None:
    """What Ray Serve says is compared with the plan each round, so that it does not matter who changed it."""
    url = f"/api/v1/applications/{MODEL}/deployments/vllm/scale"
    serve_api._call(f"{stage.stack.state.dashboard_url}{url}", "POST", {"target_num_replicas": 2})
    stage.until("it was seen", lambda: stage.model()["target"] == 2 or stage.target() == 1, 30)
    stage.until("it was put right", lambda: stage.target() == 1 and stage.model()["target"] == 1, 180)
