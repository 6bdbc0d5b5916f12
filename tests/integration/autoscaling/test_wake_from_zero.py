"""From a held request to its answer: gateway, Prometheus and autoscaler as they are, Ray and the engine scripted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway.test_waking import asleep, awake
from tests.support.autoscaler import AutoscalerProcess
from tests.support.control_plane import Dashboard
from tests.support.engine import Engine
from tests.support.gateway import GatewayProcess
from tests.support.prometheus import PrometheusProcess, installed

pytestmark = [pytest.mark.integration, pytest.mark.skipif(not installed(), reason="no prometheus on PATH")]

SMALL = "small"
DEADLINE_S = 60


class Ray(Dashboard):
    """A dashboard whose application has no replica until it is told to have one; then the engine answers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        super().__init__(SMALL, "a")
        self.target = 0

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        status, told = super().answer(method, path, body)
        if self.target:
            awake(self._engine)
        elif method != "POST":
            told["applications"][SMALL]["deployments"]["vllm"]["replicas"] = []
        return status, told


def described(engine: Engine, ray: Ray) -> dict[str, Any]:
    tiny = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 67_108_864}
    replicas = {"min": 0, "initial": 0, "max": 2}
    small = {"use": "suzume-llama-3-8b-multilingual", "id": SMALL, "engine": {**tiny, "replicas": replicas}}
    return {
        "clusters": {"local": {"serve_url": engine.url, "dashboard_url": ray.url}},
        "models": [small],
        "routing": {"reference": SMALL, "quality_floor": -100},
        "gateway": {
            "health": {"interval_s": 0.2, "timeout_s": 5, "failures": 2},
            "waking": {"max_wait_s": DEADLINE_S},
        },
        "autoscaling": {"interval_s": 1, "window_s": 10, "mix_window_s": 30},
    }


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.fixture
def engine() -> Iterator[Engine]:
    started = Engine()
    yield started
    started.stop()


@pytest.fixture
def ray(engine: Engine) -> Iterator[Ray]:
    started = Ray(engine)
    yield started
    started.stop()


def test_a_held_request_starts_the_first_replica(tmp_path: Path, engine: Engine, ray: Ray) -> None:
    asleep(engine)
    gateway = GatewayProcess(tmp_path, described(engine, ray))
    started: list[Any] = [gateway]
    try:
        prometheus = PrometheusProcess(tmp_path, {"parlance-gateway": [f"127.0.0.1:{gateway.admin_port}"]})
        started.append(prometheus)
        fleet, log = tmp_path / "fleet.yaml", tmp_path / "autoscaler.log"
        autoscaler = AutoscalerProcess(fleet, prometheus.url, None, log)
        started.append(autoscaler)

        def plan() -> dict[str, Any]:
            found: dict[str, Any] = autoscaler.plan()["models"].get(SMALL, {})
            return found

        until(lambda: plan().get("needed") == 0, "it sees that nothing is needed")
        time.sleep(2)
        assert ray.scaled == [], "nobody asks: it sleeps on"
        with ThreadPoolExecutor(2) as pool:
            body = {"model": SMALL, "messages": [{"role": "user", "content": "Kva er ein fjord?"}]}
            named = pool.submit(gateway.post, "/v1/chat/completions", body)
            auto = pool.submit(gateway.chat)
            for coming in (named, auto):
                got = coming.result(DEADLINE_S)
                assert (got.status, got.headers["x-parlance-model"]) == (200, SMALL), log.read_text()
        assert ray.scaled[0] >= 1
        assert gateway.metric("parlance_waking_ends_total", model=SMALL, outcome="woken") == 2
        assert len(engine.requests) == 2
    finally:
        for one in reversed(started):
            one.stop()
