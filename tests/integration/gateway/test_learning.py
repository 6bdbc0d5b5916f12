"""What a gateway learns from its engines' usage: it shows in metrics and dry runs, and outlives the process."""

import json
import time

import pytest

from tests.integration.gateway.conftest import fleet
from tests.support.engine import Engine
from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.integration

GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."


def candidate(gateway, model, messages):
    got = gateway.post("/v1/route", {"model": "auto", "messages": messages})
    return next(one for one in got.json["candidates"] if one["model"] == model)


def test_ratios_outlive_the_process(tmp_path):
    engines = Engine(), Engine()
    described = fleet(*engines, state_dir="state")
    turn = [{"role": "user", "content": GERMAN}]
    gateway = GatewayProcess(tmp_path, described)
    try:
        before = candidate(gateway, "small", turn)["input_tokens"]
        for _ in range(300):
            assert gateway.chat(GERMAN).headers["x-parlance-model"] == "small"
    finally:
        gateway.stop()
    kept = json.loads((tmp_path / "state" / "learnt.json").read_text())
    assert {(model, language) for model, language, *_ in kept["ratios"]} == {("small", "de")}
    assert GERMAN not in json.dumps(kept, ensure_ascii=False)
    gateway = GatewayProcess(tmp_path, described)
    try:
        ratio = gateway.metric("parlance_token_ratio", model="small", language="de")
        assert 0.5 <= ratio < 0.95, "the scripted engine counts 10 tokens, whatever it is sent"
        assert candidate(gateway, "small", turn)["input_tokens"] == pytest.approx(before * ratio, abs=1)
        assert gateway.metric("parlance_answer_tokens", model="big", language="de", statistic="mean") > 0
        assert gateway.metric("parlance_price_usd_per_token", model="big", basis="list", direction="input") > 0
    finally:
        gateway.stop()
        for engine in engines:
            engine.stop()


def test_the_next_turn_of_a_conversation_expects_a_cached_prefix(gateway):
    turn = [{"role": "user", "content": f"{GERMAN} {time.time()}"}]
    assert candidate(gateway, "small", turn).get("cached_tokens", 0) == 0
    answer = gateway.post("/v1/chat/completions", {"model": "auto", "messages": turn}).json
    said = answer["choices"][0]["message"]["content"]
    following = [*turn, {"role": "assistant", "content": said}, {"role": "user", "content": "Und am Morgen?"}]
    one = candidate(gateway, "small", following)
    assert 0 < one["cached_tokens"] < one["input_tokens"]
    assert candidate(gateway, "big", following).get("cached_tokens", 0) == 0
