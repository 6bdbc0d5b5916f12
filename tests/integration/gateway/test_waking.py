"""A model without replicas: requests are held until one has started, within bounds, and nobody is forgotten."""

import contextlib
import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.gateway.conftest import fleet
from tests.integration.gateway.test_budgets import TURN, keys_file
from tests.support.engine import answer
from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.integration

BODY = {"model": "small", "messages": TURN}
DEADLINE_S = 20


async def nobody(request, reply):
    """What Ray Serve's proxy answers for an application without replicas (serve.engines.fallback)."""
    error = {"message": "no replica of this model is ready", "type": "service_unavailable_error", "param": None}
    await reply.whole({"error": {**error, "code": "engine_unavailable"}}, 503)


def sleeping(big, small, waking=None, **gateway):
    """The usual fleet, of which `small` may have no replica."""
    described = fleet(big, small, waking={"max_wait_s": 60, **(waking or {})}, **gateway)
    described["models"][1]["engine"] = {
        **described["models"][1]["engine"],
        "replicas": {"min": 0, "initial": 0, "max": 2},
    }
    return described


def asleep(engine):
    engine.health, engine.handle = 503, nobody


def awake(engine):
    engine.handle, engine.health = answer, 200


@contextlib.contextmanager
def running(tmp_path, pair, waking=None, both=False, **gateway):
    """A gateway whose `small` sleeps; with `both`, `big` is down too."""
    asleep(pair[1])
    if both:
        pair[0].health = 503
    described = sleeping(*pair, waking, **gateway)
    started = GatewayProcess(tmp_path, described, ready=False)
    try:
        started._wait("/readyz")
        yield started
        assert started.process.poll() is None, "the gateway died"
    finally:
        started.stop()


def until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def held(gateway, count):
    until(lambda: gateway.metric("parlance_waking_requests", model="small") == count, f"{count} requests are held")


def begun(gateway, body, key=""):
    """A connection that has sent a request, and closes when the context ends."""
    data = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: {len(data)}\r\n\r\n"
    client = socket.create_connection(("127.0.0.1", gateway.port))
    client.sendall(head.encode() + data)
    return contextlib.closing(client)


def ends(gateway, outcome):
    return gateway.metric("parlance_waking_ends_total", model="small", outcome=outcome)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as threads:
        yield threads


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_by_name_is_held_and_answered_when_a_replica_has_started(tmp_path, pair, pool, stream):
    with running(tmp_path, pair) as gateway:
        body = {**BODY, "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        coming = pool.submit(gateway.post, "/v1/chat/completions", body)
        held(gateway, 1)
        assert gateway.metric("parlance_in_flight_requests", model="small") == 1, "what starts a replica"
        time.sleep(0.4)
        assert not coming.done()
        assert pair[1].requests == [], "nothing is sent to a model without replicas"
        awake(pair[1])
        got = coming.result(DEADLINE_S)
        assert (got.status, got.headers["x-parlance-model"], got.headers["x-parlance-reason"]) == (
            200,
            "small",
            "exact",
        )
        warm = gateway.post("/v1/chat/completions", body)
        assert got.body == warm.body
        assert len(pair[1].requests) == 2
        first = next(record for record in gateway.records() if "held_s" in record)
        assert first["held_s"] >= 0.4
        assert first["usage"]["completion_tokens"] == 3
        assert first["attempts"] == 1
        if stream:
            assert first["ttft_s"] >= first["held_s"]
            assert gateway.metric("parlance_time_to_first_token_seconds_sum", model="small") >= first["held_s"]
        assert gateway.metric("parlance_queue_seconds_sum", model="small") >= first["held_s"]
        assert gateway.metric("parlance_overhead_seconds_sum") < first["held_s"], (
            "waiting is not the gateway's own time"
        )
        assert ends(gateway, "woken") == 1
        assert gateway.metric("parlance_waking_wait_seconds_count", model="small") == 1
        assert gateway.metric("parlance_waking_requests", model="small") == 0
        assert gateway.metric("parlance_in_flight_requests", model="small") == 0
        assert gateway.metric("parlance_tokens_total", model="small", direction="output") == 6


def test_auto_goes_to_the_next_model_and_waits_where_there_is_none(tmp_path, pair, pool):
    with running(tmp_path, pair) as gateway:
        spilled = gateway.chat(TURN[0]["content"])
        assert (spilled.status, spilled.headers["x-parlance-model"]) == (200, "big")
        assert ends(gateway, "woken") == 0
        assert gateway.metric("parlance_spilled_requests_total", model="small") == 1, "it would have had it"
        only = {"parlance": {"models": ["small"]}}
        waiting = pool.submit(gateway.chat, TURN[0]["content"], **only)
        held(gateway, 1)
        awake(pair[1])
        got = waiting.result(DEADLINE_S)
        assert (got.status, got.headers["x-parlance-model"]) == (200, "small")
        assert got.headers["x-parlance-reason"] == "only_candidate", "it is decided anew"


def test_auto_is_answered_by_whichever_model_comes_up_first(tmp_path, pair, pool):
    with running(tmp_path, pair, both=True) as gateway:
        assert gateway.admin("/readyz").status == 200, "else nobody would send what wakes a model"
        waiting = pool.submit(gateway.chat, TURN[0]["content"])
        held(gateway, 1)
        pair[0].health = 200
        got = waiting.result(DEADLINE_S)
        assert (got.status, got.headers["x-parlance-model"]) == (200, "big")


def test_no_more_are_held_than_may_be(tmp_path, pair, pool):
    with running(tmp_path, pair, {"max_requests": 2}) as gateway:
        waiting = [pool.submit(gateway.post, "/v1/chat/completions", BODY) for _ in range(2)]
        held(gateway, 2)
        refused = gateway.post("/v1/chat/completions", BODY)
        assert (refused.status, refused.json["error"]["code"]) == (503, "engine_unavailable")
        assert 1 <= int(refused.headers["retry-after"]) <= 60, "when the oldest place is free at the latest"
        assert ends(gateway, "full") == 1
        awake(pair[1])
        assert [one.result(DEADLINE_S).status for one in waiting] == [200, 200]


def test_without_places_the_answer_is_at_once_and_still_counts_as_demand(tmp_path, pair):
    with running(tmp_path, pair, {"max_requests": 0}) as gateway:
        refused = gateway.post("/v1/chat/completions", BODY)
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert gateway.metric("parlance_candidate_rejections_total", model="small", code="unhealthy") == 1
        assert gateway.metric("parlance_requests_total", model="none", status="503") == 1


def test_nobody_waits_for_longer_than_allowed(tmp_path, pair):
    with running(tmp_path, pair, {"max_wait_s": 0.5}) as gateway:
        refused = gateway.post("/v1/chat/completions", BODY)
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert "no replica of small has started within 0.5 s" in refused.json["error"]["message"]
        assert ends(gateway, "timeout") == 1
        assert gateway.metric("parlance_candidate_rejections_total", model="small", code="unhealthy") == 1
        assert gateway.metric("parlance_in_flight_requests", model="small") == 0
        (record,) = gateway.records()
        assert record["held_s"] > 0.4
        assert pair[1].requests == []


def test_a_client_that_leaves_frees_its_place(tmp_path, pair, pool):
    with running(tmp_path, pair, {"max_requests": 1}) as gateway:
        with begun(gateway, BODY):
            held(gateway, 1)
        until(lambda: ends(gateway, "left") == 1, "the place is free")
        coming = pool.submit(gateway.post, "/v1/chat/completions", BODY)
        held(gateway, 1)
        awake(pair[1])
        assert coming.result(DEADLINE_S).status == 200
        assert len(pair[1].requests) == 1, "of the one that left nothing is asked"
        assert [record["status"] for record in gateway.records()] == [499, 200]


def test_a_gateway_that_stops_tells_those_that_wait(tmp_path, pair, pool):
    asleep(pair[1])
    gateway = GatewayProcess(tmp_path, sleeping(*pair), ready=False)
    gateway._wait("/readyz")
    try:
        waiting = []
        for number in range(3):
            waiting.append(pool.submit(gateway.post, "/v1/chat/completions", {**BODY, "seed": number}))
            held(gateway, number + 1)
        gateway.process.send_signal(signal.SIGTERM)
        told = [one.result(DEADLINE_S) for one in waiting]
        assert [(one.status, one.headers["retry-after"]) for one in told] == [(503, "1")] * 3
        assert gateway.process.wait(DEADLINE_S) == 0
        ended = [json.loads(line)["request_id"] for line in gateway.journal.read_text().splitlines()]
        assert ended == [one.headers["x-request-id"] for one in told], "in the order in which they came"
    finally:
        gateway.stop()


def test_a_tenant_that_floods_leaves_places_to_others(tmp_path, pair, pool):
    keys = keys_file(tmp_path, flood=None, calm=None)
    with running(tmp_path, pair, {"max_requests": 4}, keys_file="keys.yaml") as gateway:

        def ask(tenant):
            return pool.submit(gateway.post, "/v1/chat/completions", BODY, authorization=f"Bearer {keys[tenant]}")

        flood = []
        for number in range(4):
            flood.append(ask("flood"))
            held(gateway, number + 1)
        assert ask("flood").result(DEADLINE_S).status == 503, "all places are taken"
        calm = [ask("calm"), ask("calm")]
        told = [one.result(DEADLINE_S) for one in flood[2:]]
        assert [one.status for one in told] == [503, 503], "the newest ones make room"
        assert all("retry-after" in one.headers for one in told)
        assert ask("calm").result(DEADLINE_S).status == 503, "half of the places each, and no more"
        assert (ends(gateway, "displaced"), ends(gateway, "full")) == (2, 2)
        awake(pair[1])
        assert [one.result(DEADLINE_S).status for one in (*flood[:2], *calm)] == [200] * 4


def test_a_replica_that_went_a_moment_ago_is_waited_for(tmp_path, pair, pool):
    """The watch of engines has not seen it: what the engine answers is what tells."""
    awake(pair[1])
    described = sleeping(*pair, health={"interval_s": 1, "timeout_s": 5, "failures": 50})
    gateway = GatewayProcess(tmp_path, described)
    try:
        until(lambda: gateway.metric("parlance_model_healthy", model="small") == 1, "it is awake")
        asleep(pair[1])
        coming = pool.submit(gateway.post, "/v1/chat/completions", BODY)
        held(gateway, 1)
        assert gateway.metric("parlance_model_healthy", model="small") == 1
        awake(pair[1])
        assert coming.result(DEADLINE_S).status == 200
        (record,) = gateway.records()
        assert record["attempts"] == len(pair[1].requests) > 1
        assert record["held_s"] > 0
    finally:
        gateway.stop()


def test_what_is_held_back_of_a_budget_is_released_once(tmp_path, pair, pool):
    keys = keys_file(tmp_path, rich={"budget_usd": 1.0}, poor={"budget_usd": 1e-9})
    directory = tmp_path / "state"
    with running(tmp_path, pair, {"max_wait_s": 60}, keys_file="keys.yaml", state_dir=str(directory)) as gateway:

        def ask(tenant):
            return gateway.post(
                "/v1/chat/completions", {**BODY, "max_tokens": 50}, authorization=f"Bearer {keys[tenant]}"
            )

        broke = ask("poor")
        assert (broke.status, broke.json["error"]["code"]) == (429, "insufficient_quota"), "it wakes nothing"
        coming = pool.submit(ask, "rich")
        held(gateway, 1)
        assert gateway.metric("parlance_budget_reserved_usd", tenant="rich") > 0
        awake(pair[1])
        got = coming.result(DEADLINE_S)
        assert got.status == 200
        until(lambda: gateway.metric("parlance_budget_reserved_usd", tenant="rich") == 0, "nothing is held back")
        spent = gateway.metric("parlance_budget_spent_usd", tenant="rich")
        assert spent == pytest.approx(got.json["usage"]["cost"])
        asleep(pair[1])
        until(lambda: gateway.metric("parlance_model_healthy", model="small") == 0, "it sleeps again")
        with begun(gateway, {**BODY, "max_tokens": 50}, keys["rich"]):
            held(gateway, 1)
            assert gateway.metric("parlance_budget_reserved_usd", tenant="rich") > 0
        until(lambda: gateway.metric("parlance_budget_reserved_usd", tenant="rich") == 0, "nor for who left")
        assert gateway.metric("parlance_budget_spent_usd", tenant="rich") == pytest.approx(spent)
