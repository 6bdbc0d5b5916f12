"""Engines that refuse, break off, hang or die: what the client sees, injected over real sockets."""

import asyncio
import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.engine import answer

pytestmark = pytest.mark.integration
GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


async def drop(request, reply):
    reply.cut()


async def hang(request, reply):
    await asyncio.sleep(60)


def status_of(status, body=b"<html>no</html>", kind="text/html"):
    async def handle(request, reply):
        await reply.whole(body, status, kind)

    return handle


def test_a_lost_connection_before_the_first_byte_is_retried_on_the_next_model(gateway, engines):
    engines[1].handle = drop
    got = gateway.chat(GERMAN)
    assert (got.status, got.headers["x-parlance-model"]) == (200, "big")
    assert gateway.records()[-1]["attempts"] == 2


def test_an_exact_id_is_retried_on_the_same_model_only(gateway, engines):
    calls = []

    async def second_time(request, reply):
        calls.append(1)
        await (drop if len(calls) == 1 else answer)(request, reply)

    engines[0].handle = second_time
    assert gateway.chat(model="big").status == 200
    assert not engines[1].requests
    assert len(calls) == 2


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_proxys_error_page_is_a_503_that_says_when_to_come_again(gateway, engines, status):
    engines[0].handle = status_of(status)
    got = gateway.chat(model="big")
    assert got.status == 503
    assert int(got.headers["retry-after"]) >= 1
    assert got.json["error"]["code"] == "engine_unavailable"


def test_a_busy_model_spills_to_the_next_one(gateway, engines):
    engines[1].handle = status_of(429, b"busy", "text/plain")
    assert gateway.chat(GERMAN).headers["x-parlance-model"] == "big"


def test_a_busy_model_that_was_named_is_a_429_at_once(gateway, engines):
    engines[0].handle = status_of(429, b"busy", "text/plain")
    got = gateway.chat(model="big")
    assert (got.status, got.headers["retry-after"]) == (429, "1")
    assert len(engines[0].requests) == 1


def test_the_engines_own_refusal_keeps_its_status_and_gets_openais_shape(gateway, engines):
    body = b'{"error":{"message":"top_k is wrong","type":"BadRequestError","param":"top_k","code":400}}'
    engines[0].handle = status_of(400, body, "application/json")
    got = gateway.chat(model="big")
    assert got.status == 400
    assert got.json["error"] == {
        "message": "top_k is wrong",
        "type": "invalid_request_error",
        "param": "top_k",
        "code": "invalid_value",
    }
    assert got.json["request_id"] == got.headers["x-request-id"]
    assert len(engines[0].requests) == 1


@pytest.mark.parametrize("how", ["cut", "error_event", "garbage"])
def test_a_stream_that_breaks_ends_with_an_error_event_and_never_with_done(gateway, engines, how):
    async def breaks(request, reply):
        await reply.start_stream()
        await reply.token("Ein")
        if how == "cut":
            await asyncio.sleep(0.05)
            reply.cut()
        elif how == "garbage":
            await reply.raw(b"this is no chunk\r\n")
            await asyncio.sleep(1)
        else:
            await reply.event(error={"message": "EngineCore died", "code": 500})
            await reply.end()

    engines[0].handle = breaks
    got = gateway.chat(model="big", stream=True)
    events = got.body.strip().split(b"\n\n")
    assert b"Ein" in events[0]
    assert "error" in json.loads(events[-1][6:])
    assert b"[DONE]" not in got.body
    usage = gateway.records()[-1]["usage"]
    assert (usage["completion_tokens"] >= 1, usage["estimated"]) == (True, True)


def test_an_engine_that_says_nothing_is_a_504(gateway, engines):
    engines[0].handle = hang
    began = time.monotonic()
    got = gateway.chat(model="big", stream=True)
    assert (got.status, got.json["error"]["code"]) == (504, "engine_timeout")
    assert time.monotonic() - began < 5
    until(lambda: engines[0].left == 1)


def test_an_engine_that_falls_silent_in_its_stream_is_told_as_an_event(gateway, engines):
    async def falls_silent(request, reply):
        await reply.start_stream()
        await reply.token("Ein")
        await asyncio.sleep(60)

    engines[0].handle = falls_silent
    got = gateway.chat(model="big", stream=True)
    assert got.status == 200
    assert json.loads(got.body.strip().split(b"\n\n")[-1][6:])["error"]["code"] == "engine_timeout"


def test_a_failing_fleet_is_not_hit_harder_for_failing(gateway, engines):
    for engine in engines:
        engine.handle = drop
    asked = 200
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: gateway.chat(GERMAN).status, range(asked)))
    attempts = sum(len(e.requests) for e in engines)
    assert set(statuses) == {503}
    # 20% of the requests, and what a quiet gateway had saved up (floor 10 + 20).
    assert attempts <= 1.2 * asked + 30


def open_chat(gateway, stream):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    body = {"model": "big", "stream": stream, "messages": [{"role": "user", "content": "x"}]}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    return connection


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_the_engine(gateway, engines, stream):
    async def slowly(request, reply):
        if stream:
            await reply.start_stream()
            for index in range(1000):
                await reply.token(str(index))
                await asyncio.sleep(0.02)
        await asyncio.sleep(2.5)

    engines[0].handle = slowly
    connection = open_chat(gateway, stream)
    until(lambda: len(engines[0].requests) == 1)
    if stream:
        assert connection.getresponse().read(50)
    connection.sock.close() if connection.sock else connection.close()
    began = time.monotonic()
    connection.close()
    until(lambda: engines[0].left == 1)
    assert time.monotonic() - began < 1
    record = gateway.records()[-1]
    assert record["status"] == 499
    if stream:
        assert record["usage"]["estimated"]
    assert gateway.metric("parlance_in_flight_requests") == 0


def test_a_model_that_goes_down_answers_503_also_to_who_waits_already(gateway, engines):
    async def never(request, reply):
        await asyncio.sleep(60)

    engines[0].handle = never
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.chat, model="big")
        until(lambda: len(engines[0].requests) == 1)
        engines[0].health = 503
        got = waiting.result(5)
    assert (got.status, got.json["error"]["code"]) == (503, "engine_unavailable")
    assert int(got.headers["retry-after"]) >= 1
    began = time.monotonic()
    assert gateway.chat(model="big").status == 503
    assert time.monotonic() - began < 1
    assert gateway.metric("parlance_model_healthy", model="big") == 0
    assert gateway.chat(GERMAN).headers["x-parlance-model"] == "small"
    engines[0].health, engines[0].handle = 200, answer
    until(lambda: gateway.chat(model="big").status == 200)


def test_a_slow_reader_does_not_fill_the_gateway(gateway, engines):
    sent = 0

    async def flood(request, reply):
        nonlocal sent
        await reply.start_stream()
        padding = "x" * 60_000
        for _ in range(3000):  # 180 MB
            await reply.token(padding)
            sent += 1

    engines[0].handle = flood
    before = gateway.resident_mib()
    body = json.dumps({"model": "big", "stream": True, "messages": [{"role": "user", "content": "x"}]}).encode()
    with socket.create_connection(("127.0.0.1", gateway.port)) as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        until(lambda: sent > 0)
        time.sleep(1)
        stuck = sent
        time.sleep(0.5)
        assert sent == stuck, "the engine was not held back"
        assert gateway.resident_mib() - before < 20
        until(lambda: engines[0].left == 1)  # the write time-out
