"""A model that sleeps, on real Ray Serve with a real vLLM: gateway, Prometheus and autoscaler as `parlance up` starts
them. It is left without a replica when nobody asks; who asks then is held, within a bound, until there is one again."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from serve.local import serve_api
from serve.local import stack as local
from serve.local.progress import View
from serve.local.state import Store
from tests.support.prometheus import installed
from tests.support.stack import Stack, free_ports, running

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not installed(), reason="Prometheus is not installed (Debian: apt install prometheus)"),
]

MODEL = "gemma-2-9b-it"
HELD = 2
WAIT_S = 400
ENGINE = {
    "device": "cpu",
    "weights": "tiny",
    "dtype": "float32",
    "kv_cache_bytes": 50_331_648,
    "cpus_per_replica": 0.25,
    "max_stream_s": 60,
    "stall_s": 120,
    "replicas": {"initial": 1, "min": 0, "max": 1},
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    root = tmp_path_factory.mktemp("sleeping")
    serve, dashboard, gateway, admin = free_ports(4)
    fleet = {
        "clusters": {
            "local": {"serve_url": f"http://127.0.0.1:{serve}", "dashboard_url": f"http://127.0.0.1:{dashboard}"}
        },
        "gateway": {
            "port": gateway,
            "admin_port": admin,
            "health": {"timeout_s": 30, "failures": 3},
            "waking": {"max_requests": HELD, "max_wait_s": WAIT_S},
            "timeouts": {"first_byte_s": WAIT_S},
        },
        "models": [{"use": MODEL, "engine": ENGINE}],
        "autoscaling": {
            "interval_s": 2,
            "window_s": 20,
            "stale_after_s": 30,
            "work": {"cold_start_s": 20},
            "pace": {"scale_down_window_s": 10, "period_s": 3},
        },
    }
    path = root / "fleet.yaml"
    path.write_text(yaml.safe_dump(fleet, sort_keys=False), encoding="utf-8")
    store = Store(root / "state")
    local.up(local.Options(fleet=path, timeout_s=600), store, View(sys.stderr))
    try:
        yield running(store)
    finally:
        local.down(store)


def application(stack: Stack) -> serve_api.Application:
    return serve_api.applications(stack.state.dashboard_url)[MODEL]


def until(what: str, holds: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.5)


def ask(stack: Stack, model: str) -> tuple[int, dict[str, str], Any]:
    body = {"model": model, "messages": [{"role": "user", "content": "Kva er ein fjord?"}], "max_tokens": 8}
    request = urllib.request.Request(
        f"{stack.gateway_url}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S + 60) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, json.load(error)


def metric(stack: Stack, name: str, **labels: str) -> float:
    with urllib.request.urlopen(f"{stack.admin_url}/metrics", timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_it_answers_while_it_is_awake(stack: Stack) -> None:
    status, headers, _ = ask(stack, "auto")
    assert (status, headers["x-parlance-model"]) == (200, MODEL)


def test_nobody_asks_and_no_replica_is_left(stack: Stack) -> None:
    until("the target is 0", lambda: application(stack).target == 0, 300)
    until("no replica is left", lambda: not application(stack).replicas, 120)


def test_who_asks_is_held_until_a_replica_has_started(stack: Stack) -> None:
    """As many as may be held get their answer from a vLLM that was not there; one more is told so at once."""
    with ThreadPoolExecutor(HELD) as pool:
        held = [pool.submit(ask, stack, model) for model in (MODEL, "auto")[:HELD]]
        until("they are held", lambda: metric(stack, "parlance_waking_requests", model=MODEL) == HELD, 30)
        status, headers, body = ask(stack, MODEL)
        assert status == 503, body
        assert int(headers["retry-after"]) > 0
        assert body["error"]["code"]
        for one in held:
            status, headers, body = one.result(WAIT_S + 60)
            assert (status, headers["x-parlance-model"]) == (200, MODEL), body
            assert body["usage"]["completion_tokens"] > 0
    assert application(stack).target == 1
    assert application(stack).running == 1
    assert metric(stack, "parlance_waking_ends_total", model=MODEL, outcome="woken") == HELD


def test_awake_it_answers_at_once_again(stack: Stack) -> None:
    assert ask(stack, MODEL)[0] == 200
