"""What goes through a gateway, and what it adds: bytes, headers, cost, log and metrics."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.engine import USAGE

pytestmark = pytest.mark.integration

GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."


def test_auto_goes_to_the_cheapest_good_enough_model_and_says_so(gateway, engines):
    _, small = engines
    got = gateway.chat(GERMAN)
    assert got.status == 200
    assert got.headers["x-parlance-model"] == "small"
    assert got.headers["x-parlance-language"] == "de"
    assert got.headers["x-parlance-decision-id"]
    assert got.headers["x-parlance-reason"]
    seen = small.requests[-1]
    assert seen.path == "/small/v1/chat/completions"
    assert seen.json["model"] == "small"
    assert len(seen.json["cache_salt"]) == 24
    assert got.json["usage"]["prompt_tokens"] == 10


def test_an_exact_id_and_an_alias_are_obeyed(gateway, engines):
    big, _ = engines
    for name in ("big", "gpt-4o", "meta-llama/Llama-3.3-70B-Instruct"):
        assert gateway.chat(GERMAN, model=name).headers["x-parlance-model"] == "big"
    assert [r.json["model"] for r in big.requests] == ["big"] * 3


def test_cost_is_usage_at_the_fleets_prices(gateway):
    listed = gateway.get("/v1/models/big").json["parlance"]
    cost = gateway.chat(model="big").json["usage"]["cost"]
    expected = (10 * listed["input_usd_per_mtok"] + 3 * listed["output_usd_per_mtok"]) / 1e6
    assert cost == pytest.approx(expected, abs=1e-9)
    assert cost > 0


def test_a_stream_passes_verbatim_without_the_usage_that_only_we_wanted(gateway, engines):
    _, small = engines
    got = gateway.chat(GERMAN, stream=True)
    assert got.headers["content-type"].startswith("text/event-stream")
    events = got.body.split(b"\n\n")
    assert [json.loads(e[6:])["choices"][0]["delta"]["content"] for e in events[:3]] == ["Ein", " fjord", "."]
    assert events[3:] == [b"data: [DONE]", b""]
    assert small.requests[-1].json["stream_options"] == {"include_usage": True}


def test_a_stream_states_usage_and_cost_to_who_asks(gateway):
    got = gateway.chat(GERMAN, stream=True, stream_options={"include_usage": True})
    usage = json.loads(got.body.split(b"\n\n")[3][6:])["usage"]
    assert usage.pop("cost") > 0
    assert usage == USAGE


def test_log_metrics_and_header_tell_the_same_story(gateway):
    before = gateway.metric("parlance_requests_total", model="small", language="de", status="200")
    tokens = gateway.metric("parlance_tokens_total", model="small", language="de")
    got = gateway.chat(GERMAN)
    record = gateway.records()[-1]
    assert record["decision_id"] == got.headers["x-parlance-decision-id"]
    assert (record["model"], record["language"], record["status"]) == ("small", "de", 200)
    assert record["usage"] == {"prompt_tokens": 10, "cached_tokens": 0, "completion_tokens": 3, "estimated": False}
    assert record["cost_nano_usd"] == round(got.json["usage"]["cost"] * 1e9)
    assert gateway.metric("parlance_requests_total", model="small", language="de", status="200") == before + 1
    assert gateway.metric("parlance_tokens_total", model="small", language="de") == tokens + 13
    assert GERMAN not in json.dumps(record, ensure_ascii=False)


def test_a_dry_run_decides_as_the_request_would_and_sends_nothing(gateway, engines):
    body = {"model": "auto", "messages": [{"role": "user", "content": GERMAN}]}
    got = gateway.post("/v1/route", body)
    assert got.status == 200
    assert got.json["model"] == "small"
    assert {c["model"] for c in got.json["candidates"]} == {"big", "small"}
    assert not engines[0].requests
    assert not engines[1].requests


def test_the_models_are_listed(gateway):
    ids = [m["id"] for m in gateway.get("/v1/models").json["data"]]
    assert ids == ["auto", "big", "small"]
    assert gateway.get("/v1/models/gpt-4o").json["id"] == "big"
    missing = gateway.get("/v1/models/nope")
    assert (missing.status, missing.json["error"]["code"]) == (404, "model_not_found")


def test_an_own_request_id_comes_back_and_a_hostile_one_does_not(gateway):
    body = {"model": "big", "messages": [{"role": "user", "content": "x"}]}
    assert gateway.post("/v1/chat/completions", body, **{"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for bad in ("a" * 200, "a b", "a/../b"):
        got = gateway.post("/v1/chat/completions", body, **{"x-request-id": bad})
        assert got.headers["x-request-id"].startswith("req-")


def test_many_streams_at_once_never_mix(gateway, engines):
    async def echo(request, reply):
        word = request.json["messages"][0]["content"]
        await reply.start_stream()
        for index in range(10):
            await reply.token(f"{word}-{index} ")
        await reply.end()

    engines[0].handle = echo

    def one(number: int) -> bool:
        nonce = f"nonce{number:04d}"
        got = gateway.chat(nonce, model="big", stream=True)
        assert got.status == 200, got.body
        text = "".join(
            json.loads(e[6:])["choices"][0]["delta"]["content"] for e in got.body.split(b"\n\n") if b"choices" in e
        )
        return text == "".join(f"{nonce}-{i} " for i in range(10))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(150)))


def test_connections_to_engines_are_reused(gateway, engines):
    gateway.chat(model="big")
    before = engines[0].connections
    for stream in (False, True, False, True):
        assert gateway.chat(model="big", stream=stream).status == 200
    assert engines[0].connections == before
