"""Replies in wrong languages, from real engines through a real gateway: log, metrics, the next choice, a second try."""

import json
import time

import pytest

from tests.integration.gateway.conftest import fleet
from tests.support.engine import USAGE, answer
from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.integration

GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."
IN_GERMAN = "Am Abend legt das Licht der Sonne einen weiten Weg durch die Luft zurück, und nur das rote bleibt übrig. "
IN_ENGLISH = "In the evening the light of the sun travels a long way through the air, and only the red part is left. "
RED = json.dumps({"red": IN_ENGLISH})


def whole(text, usage=USAGE):
    async def handle(request, reply):
        if request.path.endswith("/chat/completions"):
            message = {"role": "assistant", "content": text}
            body = {"object": "chat.completion", "choices": [{"index": 0, "message": message}], "usage": usage}
        elif request.path.endswith("/completions"):
            body = {"object": "text_completion", "choices": [{"index": 0, "text": text}], "usage": usage}
        elif request.path.endswith("/responses"):
            content = [{"type": "output_text", "text": text, "annotations": []}]
            thought = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": IN_ENGLISH}]}
            output = [thought, {"type": "message", "role": "assistant", "content": content}]
            body = {"object": "response", "output": output, "usage": {"input_tokens": 10, "output_tokens": 3}}
        else:
            usage_of = {"input_tokens": 10, "output_tokens": 3}
            body = {"type": "message", "content": [{"type": "text", "text": text}], "usage": usage_of}
        await reply.whole(body)

    return handle


def streamed(text, thought=""):
    async def handle(request, reply):
        pieces = [text[i : i + 7] for i in range(0, len(text), 7)]
        await reply.start_stream()
        if request.path.endswith("/chat/completions"):
            for piece in [thought[i : i + 50] for i in range(0, len(thought), 50)]:
                await reply.event(choices=[{"index": 0, "delta": {"reasoning_content": piece}}])
            for piece in pieces:
                await reply.token(piece)
            await reply.end(USAGE)
            return
        for piece in pieces:
            if request.path.endswith("/completions"):
                await reply.event(choices=[{"index": 0, "text": piece}])
            elif request.path.endswith("/responses"):
                kind = "response.output_text.delta"
                data = json.dumps({"type": kind, "delta": piece, "item_id": "m"}, ensure_ascii=False)
                await reply.chunk(f"event: {kind}\ndata: {data}\n\n".encode())
            else:
                delta = {"type": "text_delta", "text": piece}
                data = json.dumps({"type": "content_block_delta", "index": 0, "delta": delta})
                await reply.chunk(f"event: content_block_delta\ndata: {data}\n\n".encode())
        await reply.raw(b"0\r\n\r\n")

    return handle


BODIES = {
    "chat/completions": {"messages": [{"role": "user", "content": GERMAN}]},
    "completions": {"prompt": GERMAN},
    "responses": {"input": GERMAN},
    "messages": {"messages": [{"role": "user", "content": GERMAN}], "max_tokens": 100},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("endpoint", BODIES)
def test_a_reply_in_a_wrong_language_is_said_in_log_and_metrics(gateway, engines, endpoint, stream):
    for model, engine, text in (("small", engines[1], IN_ENGLISH), ("big", engines[0], IN_GERMAN)):
        engine.handle = (streamed if stream else whole)(text * 4)
        labels = {"model": model, "language": "de"}
        checked = gateway.metric("parlance_replies_checked_total", **labels)
        wrong = gateway.metric("parlance_wrong_language_total", **labels)
        got = gateway.post(f"/v1/{endpoint}", {"model": model, "stream": stream, **BODIES[endpoint]})
        assert got.status == 200
        record = gateway.records()[-1]
        assert record["model"] == model
        assert record["wrong_language"] is (text is IN_ENGLISH)
        assert record["reply_language"] == ("en" if text is IN_ENGLISH else "de")
        assert gateway.metric("parlance_replies_checked_total", **labels) == checked + 1
        assert gateway.metric("parlance_wrong_language_total", **labels) == wrong + (text is IN_ENGLISH)
        assert text[:20] not in json.dumps(record, ensure_ascii=False)


def test_thoughts_are_no_reply(gateway, engines):
    engines[0].handle = streamed(IN_GERMAN * 3, thought=IN_ENGLISH * 3)
    gateway.chat(GERMAN, model="big", stream=True)
    assert gateway.records()[-1]["reply_language"] == "de"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (IN_ENGLISH, {"response_format": {"type": "json_object"}}),
        (IN_ENGLISH, {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]}),
        (IN_ENGLISH, {"n": 2}),
        (RED, {}),
        ("Rot.", {}),
        ("", {}),
    ],
)
def test_what_is_not_checked_is_neither_right_nor_wrong(gateway, engines, text, fields):
    engines[0].handle = whole(text)
    assert gateway.chat(GERMAN, model="big", **fields).status == 200
    assert "wrong_language" not in gateway.records()[-1]


def test_the_asked_for_language_is_the_wanted_one(gateway, engines):
    engines[0].handle = whole(IN_ENGLISH)
    gateway.chat(f"Antworte bitte auf Englisch: {GERMAN}", model="big")
    assert gateway.records()[-1]["wrong_language"] is False


def test_a_checked_stream_passes_byte_for_byte(gateway, engines):
    sent = []

    async def handle(request, reply):
        await reply.start_stream()
        for piece in ("Der “Himmel”\n", "ist\\rot", "🌅", " am Abend"):
            data = json.dumps({"choices": [{"index": 0, "delta": {"content": piece}}]})
            event = f"data: {data}\n\n".encode()
            sent.append(event)
            for half in (event[: len(event) // 2], event[len(event) // 2 :]):
                await reply.chunk(half)
        sent.append(b"data: [DONE]\n\n")
        await reply.end()

    engines[0].handle = handle
    assert gateway.chat(GERMAN, model="big", stream=True).body == b"".join(sent)


@pytest.fixture(scope="module")
def asking_again(engines, tmp_path_factory):
    description = fleet(*engines)
    description["routing"]["retry_wrong_language"] = True
    process = GatewayProcess(tmp_path_factory.mktemp("asking-again"), description)
    yield process
    process.stop()


@pytest.fixture
def again(asking_again, engines):
    for engine in engines:
        engine.handle = answer
        engine.requests.clear()
    yield asking_again
    assert asking_again.process.poll() is None


def price(gateway, model, usage):
    listed = gateway.get(f"/v1/models/{model}").json["parlance"]
    return (
        usage["prompt_tokens"] * listed["input_usd_per_mtok"]
        + usage["completion_tokens"] * listed["output_usd_per_mtok"]
    ) / 1e6


OTHER_USAGE = {"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50}


def test_the_next_model_is_asked_once_and_both_answers_are_paid(again, engines):
    engines[1].handle, engines[0].handle = whole(IN_ENGLISH), whole(IN_GERMAN, OTHER_USAGE)
    spent = {model: again.metric("parlance_cost_usd_total", model=model) for model in ("small", "big")}
    got = again.chat(GERMAN)
    assert (got.status, got.headers["x-parlance-model"]) == (200, "big")
    assert got.json["choices"][0]["message"]["content"] == IN_GERMAN
    assert [len(engine.requests) for engine in engines] == [1, 1]
    first, second = price(again, "small", USAGE), price(again, "big", OTHER_USAGE)
    assert got.json["usage"]["cost"] == pytest.approx(first + second, abs=2e-9)
    record = again.records()[-1]
    assert (record["model"], record["attempts"], record["wrong_language"]) == ("big", 2, False)
    assert record["cost_nano_usd"] == round(got.json["usage"]["cost"] * 1e9)
    assert (record["discarded"]["model"], record["discarded"]["reply_language"]) == ("small", "en")
    assert record["discarded"]["cost_nano_usd"] == pytest.approx(first * 1e9, abs=2)
    assert again.metric("parlance_cost_usd_total", model="small") - spent["small"] == pytest.approx(first, abs=2e-9)
    assert again.metric("parlance_cost_usd_total", model="big") - spent["big"] == pytest.approx(second, abs=2e-9)
    assert again.metric("parlance_retries_total", model="small", cause="wrong_language") >= 1


def test_when_both_are_wrong_the_first_answer_is_sent(again, engines):
    engines[1].handle, engines[0].handle = whole(IN_ENGLISH), whole("Dans la soirée, " + IN_ENGLISH, OTHER_USAGE)
    got = again.chat(GERMAN)
    assert got.headers["x-parlance-model"] == "small"
    assert got.json["choices"][0]["message"]["content"] == IN_ENGLISH
    assert [len(engine.requests) for engine in engines] == [1, 1]
    expected = price(again, "small", USAGE) + price(again, "big", OTHER_USAGE)
    assert got.json["usage"]["cost"] == pytest.approx(expected, abs=2e-9)
    assert again.records()[-1]["discarded"]["model"] == "big"


def test_when_the_second_model_fails_the_first_answer_is_sent(again, engines):
    async def drop(request, reply):
        reply.cut()

    async def refuse(request, reply):
        await reply.whole({"error": {"message": "no", "type": "BadRequestError", "code": 400}}, 400)

    for failing in (drop, refuse):
        engines[1].handle, engines[0].handle = whole(IN_ENGLISH), failing
        got = again.chat(GERMAN)
        assert (got.status, got.headers["x-parlance-model"]) == (200, "small")
        assert got.json["usage"]["cost"] == pytest.approx(price(again, "small", USAGE), abs=2e-9)


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "small"},
        {"stream": True},
        {"response_format": {"type": "json_object"}},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
    ],
)
def test_a_named_model_a_stream_and_guided_answers_are_never_asked_twice(again, engines, fields):
    for engine in engines:
        engine.handle = streamed(IN_ENGLISH * 3) if fields.get("stream") else whole(IN_ENGLISH)
    assert again.chat(GERMAN, **fields).status == 200
    assert sum(len(engine.requests) for engine in engines) == 1


def test_a_right_answer_is_sent_at_once(again, engines):
    engines[1].handle = whole(IN_GERMAN)
    assert again.chat(GERMAN).headers["x-parlance-model"] == "small"
    assert not engines[0].requests


def test_every_series_is_there_before_the_first_reply(again):
    shown = again.admin("/metrics").body.decode()
    for name in ("parlance_replies_checked_total", "parlance_wrong_language_total"):
        for model in ("big", "small"):
            assert f'{name}{{language="de",model="{model}"}}' in shown


def test_the_policy_is_off_by_default(gateway, engines):
    engines[1].handle = whole(IN_ENGLISH)
    assert gateway.chat(GERMAN).headers["x-parlance-model"] == "small"
    assert not engines[0].requests


def after_thirty_wrong_replies(engines, state_dir, weights):
    """What small's evidence lost, and who is asked then."""
    description = fleet(*engines)
    description["routing"]["quality_floor"] = -15
    engine = {"device": "cpu", "weights": weights, "kv_cache_bytes": 2**31}
    description["models"][1]["engine"] = engine
    gateway = GatewayProcess(state_dir, description)
    route = {"model": "auto", "messages": [{"role": "user", "content": GERMAN}]}

    def asked():
        decision = gateway.post("/v1/route", route).json
        return {c["model"]: c for c in decision["candidates"]}["small"]["quality"], decision["model"]

    try:
        engines[0].handle, engines[1].handle = whole(IN_GERMAN), whole(IN_ENGLISH)
        before, _ = asked()
        for _ in range(30):
            gateway.chat(GERMAN, model="small")
        time.sleep(0.5)
        assert gateway.metric("parlance_wrong_language_total", model="small", language="de") == 30
        after, chosen = asked()
        return before - after, chosen
    finally:
        gateway.stop()


def test_a_model_that_keeps_answering_in_a_wrong_language_is_left(engines, tmp_path):
    lost, chosen = after_thirty_wrong_replies(engines, tmp_path, "hub")
    assert lost == pytest.approx(30, abs=0.5)
    assert chosen == "big"


def test_random_weights_that_stand_in_for_a_model_take_nothing_off_it(engines, tmp_path):
    """On a laptop whose models write noise, `auto` goes where it would go with the real ones, however long it runs."""
    lost, _ = after_thirty_wrong_replies(engines, tmp_path, "tiny")
    assert lost == 0


def test_a_greeting_is_in_the_tenants_language_once_it_is_known(engines, tmp_path):
    norwegian = "Kva er ein fjord, og korleis vart fjordane til under den siste istida?"
    gateway = GatewayProcess(tmp_path, fleet(*engines))
    try:
        assert gateway.chat("Hei!", model="big").headers["x-parlance-language"] == "other"
        for _ in range(20):
            assert gateway.chat(norwegian, model="big").headers["x-parlance-language"] == "nn"
        time.sleep(0.5)
        assert gateway.chat("Hei!", model="big").headers["x-parlance-language"] == "nn"
        assert gateway.records()[-1]["language_source"] == "prior"
    finally:
        gateway.stop()
