"""Every figure of the gateway's metrics is what a client counted of the same requests."""

import asyncio
import socket
import time

import pytest

from observability import metrics
from serve.fleet import load
from serve.routing.words import word
from tests.support.engine import USAGE, answer
from tests.support.scrape import Scrape, Watch

pytestmark = pytest.mark.integration

GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."
NYNORSK = "Kan du forklare meg kvifor himmelen er så raud om kvelden, og kvifor han er blå om dagen?"
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


def cost_of(got):
    """Nano-USD that the answer states, whole or in the chunk of a stream that has it."""
    if got.headers["content-type"].startswith("application/json"):
        return round(got.json["usage"]["cost"] * 1e9)
    return round(float(got.body.partition(b'"cost":')[2].partition(b",")[0]) * 1e9)


def test_requests_tokens_words_and_money_are_what_the_client_counted(gateway, engines):
    watch = Watch(gateway)
    asked = [(text, model) for text in (GERMAN, NYNORSK) for model in ("auto", "big", "gpt-4o")]
    got = [(text, gateway.chat(text, model=model, **more)) for text, model in asked for more in ({}, STREAM)]
    added = watch.added()
    fleet = load(gateway.journal.parent / "fleet.yaml")
    pairs = {(one.headers["x-parlance-model"], one.headers["x-parlance-language"]) for _, one in got}
    assert len(pairs) == 4
    for model, language in pairs:
        of_pair = [
            (text, one)
            for text, one in got
            if (one.headers["x-parlance-model"], one.headers["x-parlance-language"]) == (model, language)
        ]
        many, labels, kind = len(of_pair), {"model": model, "language": language}, fleet.model(model)
        for reason in {one.headers["x-parlance-reason"] for _, one in of_pair}:
            same = sum(one.headers["x-parlance-reason"] == reason for _, one in of_pair)
            assert added.get(metrics.REQUESTS, **labels, status="200", tenant_class="default", reason=reason) == same
        assert added.get(metrics.TOKENS, **labels, direction="input") == many * USAGE["prompt_tokens"]
        assert added.get(metrics.TOKENS, **labels, direction="output") == many * USAGE["completion_tokens"]
        spent = sum(cost_of(one) for _, one in of_pair)
        assert added.get(metrics.COST, **labels) * 1e9 == pytest.approx(spent, abs=1e-3)
        read = sum(len(text) for text, _ in of_pair) / word(kind, language).characters
        assert added.get(metrics.WORDS, **labels, direction="input") == pytest.approx(read)
        written = many * USAGE["completion_tokens"] / word(kind, language).written_tokens
        assert added.get(metrics.WORDS, **labels, direction="output") == pytest.approx(written)
        reference = added.get(metrics.REFERENCE_COST, **labels)
        assert reference * 1e9 == pytest.approx(spent, abs=1e-3) if model == "big" else reference * 1e9 > spent
    everything = sum(cost_of(one) for _, one in got)
    assert added.get(metrics.TENANT_COST, tenant="anonymous") * 1e9 == pytest.approx(everything, abs=1e-3)
    assert added.get(metrics.TENANT_REQUESTS, tenant="anonymous", outcome="answered") == len(got) == 12
    assert added.get(metrics.TENANT_REQUESTS) == added.get(metrics.REQUESTS) == 12
    assert added.get(metrics.LANGUAGE_SOURCE, source="text") == 12
    assert added.get(metrics.QUALITY_KNOWN, model="big", language="de") == 4
    assert added.get(metrics.QUALITY_GIVEN_UP, model="big") == 0
    assert added.get(metrics.QUALITY_GIVEN_UP, model="small", language="de") > 0
    assert added.get(metrics.ERRORS) == added.get(metrics.ABORTS) == added.get(metrics.RETRIES) == 0


def test_every_request_has_its_times(gateway, engines):
    watch = Watch(gateway)
    began = time.monotonic()
    for more in ({}, STREAM, STREAM):
        assert gateway.chat(GERMAN, model="big", **more).status == 200
    took = time.monotonic() - began
    added = watch.added()
    for metric, many in ((metrics.DURATION, 3), (metrics.QUEUE, 3), (metrics.TTFT, 2)):
        assert added.get(metric, "_count", model="big") == many, metric.name
    for metric, many in ((metrics.DECISION, 3), (metrics.OVERHEAD, 3)):
        assert added.get(metric, "_count") == many, metric.name
    assert added.get(metrics.LANGUAGE_TTFT, "_count", language="de") == 2
    whole = added.get(metrics.DURATION, "_sum")
    assert 0 < added.get(metrics.DECISION, "_sum") < added.get(metrics.OVERHEAD, "_sum") < whole < took
    assert 0 < added.get(metrics.TTFT, "_sum") < whole


def test_between_n_chunks_are_n_less_one_gaps(gateway, engines):
    gap = 0.03

    async def slowly(request, reply):
        await asyncio.sleep(1)
        await reply.start_stream()
        for index in range(8):
            await reply.token(str(index))
            await asyncio.sleep(gap)
        await reply.end(USAGE)  # two chunks: usage, and that it is the end

    engines[0].handle = slowly
    watch = Watch(gateway)
    gateway.chat(GERMAN, model="big", **STREAM)
    added = watch.added()
    assert added.get(metrics.ITL, "_count", model="big") == 9
    assert added.get(metrics.ITL, "_count") == 9
    assert added.get(metrics.ITL, "_sum", model="big") >= 4 * gap  # a first chunk that is late takes from the sum
    assert added.get(metrics.TTFT, "_sum") > 1 > added.get(metrics.OVERHEAD, "_sum"), "the engine's time is not ours"
    engines[0].handle = answer
    gateway.chat(GERMAN, model="big")
    assert watch.added().get(metrics.ITL, "_count") == 9, "an answer in one piece has none"


def test_a_failed_attempt_is_a_retry_and_the_next_engines_queue(gateway, engines):
    async def breaks(request, reply):
        await asyncio.sleep(1)
        reply.cut()

    engines[1].handle = breaks
    watch = Watch(gateway)
    got = gateway.chat(GERMAN, **STREAM)
    assert got.headers["x-parlance-model"] == "big"
    added = watch.added()
    assert added.get(metrics.RETRIES, model="small", cause="engine_connection_lost") == added.get(metrics.RETRIES) == 1
    assert added.get(metrics.QUEUE, "_count", model="big") == added.get(metrics.QUEUE, "_count") == 1
    assert added.get(metrics.QUEUE, "_sum", model="big") >= 1
    assert added.get(metrics.OVERHEAD, "_sum") < 1, "a failed attempt is not our own work"
    assert added.get(metrics.REQUESTS, model="big", status="200") == 1


async def _forever(request, reply):
    await reply.start_stream()
    while True:
        await reply.token("x" * 500)
        await asyncio.sleep(0.01)


async def _breaks_off(request, reply):
    await reply.start_stream()
    await reply.token("ein")
    reply.cut()


async def _falls_silent(request, reply):
    await reply.start_stream()
    await reply.token("ein")
    await reply.closed.wait()


async def _floods(request, reply):
    await reply.start_stream()
    while True:
        await reply.token("x" * 60_000)


def ask(gateway, **fields):
    """A connection on which a streamed request was sent, and nothing was read."""
    body = b'{"model":"big","stream":true,"messages":[{"role":"user","content":"Kva er ein fjord, og kvifor?"}]}'
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", gateway.port))
    connection.sendall(head % len(body) + body)
    return connection


@pytest.mark.parametrize(
    ("handle", "leave", "cause", "outcome", "status"),
    [
        (_forever, True, "client_left", "left", "499"),
        (_breaks_off, False, "engine_failed", "failed", "200"),
        (_falls_silent, False, "timeout", "failed", "200"),
        (_floods, False, "slow_client", "left", "499"),
    ],
    ids=["client_left", "engine_failed", "timeout", "slow_client"],
)
def test_answers_that_end_early_are_counted_by_cause(gateway, engines, handle, leave, cause, outcome, status):
    engines[0].handle = handle
    watch = Watch(gateway)
    connection = ask(gateway)
    if leave:
        assert connection.recv(100)
        connection.close()
    added = watch.added(lambda added: added.get(metrics.ABORTS) > 0)
    connection.close()
    assert added.get(metrics.ABORTS, model="big", cause=cause) == added.get(metrics.ABORTS) == 1
    assert added.get(metrics.TENANT_REQUESTS, outcome=outcome) == added.get(metrics.TENANT_REQUESTS) == 1
    assert added.get(metrics.REQUESTS, model="big", status=status) == 1
    told = {"engine_failed": "engine_connection_lost", "timeout": "engine_timeout"}.get(cause)
    assert added.get(metrics.ERRORS) == (1 if told else 0)
    if told:
        assert added.get(metrics.ERRORS, code=told) == 1


def test_what_is_open_is_seen_while_it_is_open(gateway, engines):
    engines[0].handle = _forever
    before = Scrape.of(gateway)
    assert before.get(metrics.OPEN_LIMIT) == 2048
    connection = ask(gateway)
    assert connection.recv(100)
    during = Scrape.of(gateway)
    assert during.get(metrics.IN_FLIGHT, model="big") == during.get(metrics.OPEN) == 1
    assert during.get(metrics.CONNECTIONS) == before.get(metrics.CONNECTIONS) + 1
    assert {labels["model"]: value for labels, value in during.matching(metrics.HEALTHY.name)} == {"big": 1, "small": 1}
    watch = Watch(gateway)
    connection.close()
    assert watch.added(lambda added: added.get(metrics.OPEN) < 0).get(metrics.IN_FLIGHT, model="big") == -1


def test_a_conversation_that_goes_on_is_told_from_a_new_one(gateway, engines):
    first = {"role": "user", "content": "Was ist ein Fjord, und wie entsteht er? Davon war noch nicht die Rede."}
    turns = [first, {"role": "assistant", "content": "Ein fjord."}, {"role": "user", "content": "Und warum am Morgen?"}]
    watch = Watch(gateway)
    for messages, model in (([first], "big"), (turns, "big"), ([*turns[:2], first], "small")):
        body = {"model": model, "messages": messages}
        assert gateway.post("/v1/chat/completions", body).status == 200
    added = watch.added()
    counted = {labels["outcome"]: value for labels, value in added.matching(metrics.STICKINESS.name)}
    assert counted == {"new": 1, "stayed": 1, "moved": 1}


def test_every_error_that_a_caller_is_told_is_counted(gateway, engines):
    watch = Watch(gateway)
    body = {"model": "nobody", "messages": [{"role": "user", "content": "x"}]}
    told = [
        gateway.post("/v1/chat/completions", body).json["error"]["code"],
        gateway.post("/v1/chat/completions", b"{").json["error"]["code"],
        gateway.get("/nowhere").json["error"]["code"],
    ]
    gateway.raw(b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", 2)
    gateway.raw(b"NONSENSE\r\n\r\n", 2)
    added = watch.added()
    counted = {labels["code"]: value for labels, value in added.matching(metrics.ERRORS.name) if value}
    assert counted == dict.fromkeys([*told, "headers_too_large", "invalid_http"], 1)
    assert added.get(metrics.REQUESTS, model="none") == added.get(metrics.TENANT_REQUESTS, outcome="refused") == 2


def test_what_decisions_rest_on_says_how_old_it_is(gateway, engines):
    now, scrape = time.time(), Scrape.of(gateway)
    ages = {labels["input"]: now - at for labels, at in scrape.matching(metrics.INPUT_TIME.name)}
    assert set(ages) == {"fleet", "evidence", "learnt", "health"}, "no keys are configured"
    assert -1 < ages["health"] < 30
    assert 0 < ages["learnt"] < 600
    assert ages["evidence"] > 24 * 3600
    assert scrape.get(metrics.BUILD) == 1


def test_the_catalogue_is_what_is_exported(gateway, engines):
    for _ in range(2):
        gateway.chat(GERMAN)
    body = gateway.admin("/metrics").body.decode()
    types = dict(line.split(" ")[2:] for line in body.splitlines() if line.startswith("# TYPE "))
    assert types == {metric.name: metric.kind.value for metric in metrics.GATEWAY}
    scrape = Scrape.of(gateway)
    labels = {name: {key for key, _ in having} - {"le"} for name, having in scrape.values}
    for metric in metrics.GATEWAY:
        for name in (metric.name, f"{metric.name}_bucket"):
            assert labels.get(name, set(metric.labels)) == set(metric.labels)
