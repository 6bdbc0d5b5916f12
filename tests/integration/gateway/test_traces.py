"""Traces through a real gateway to a real OTLP receiver: what the spans say, how they nest, what engines are told."""

import asyncio
import http.client
import json
import re
import time

import pytest

from tests.integration.gateway.conftest import PATIENT, fleet
from tests.support.collector import Collector
from tests.support.engine import answer
from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.integration

GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."
THEIRS = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


@pytest.fixture(scope="module")
def collector():
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture(scope="module")
def shared_gateway(engines, collector, tmp_path_factory):
    traces = {"endpoint": f"{collector.url}/v1/traces"}
    environ = {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20c2VjcmV0",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_SERVICE_NAME": "gateway-under-test",
    }
    gateway = GatewayProcess(
        tmp_path_factory.mktemp("gateway"), fleet(*engines, **PATIENT, traces=traces), environ=environ
    )
    yield gateway
    gateway.stop()


def by_name(spans):
    return {span.name: span for span in spans}


def traced(gateway, collector, headers=(), **fields):
    """An answer, and its trace."""
    body = {"model": "big", "messages": [{"role": "user", "content": GERMAN}], **fields}
    got = gateway.post("/v1/chat/completions", body, **dict(headers))
    wanted = got.headers.get("x-parlance-decision-id") or gateway.records()[-1]["decision_id"]
    return got, collector.trace(wanted)


def told(engine):
    """Trace id, parent and flags that an engine was told last."""
    match = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", engine.requests[-1].headers["traceparent"])
    assert match, engine.requests[-1].headers
    return match[1], match[2], int(match[3], 16)


def hangs_together(spans):
    """Every span lies within its parent, in time and by id."""
    root, ids = spans[0], {span.span_id: span for span in spans}
    assert len(ids) == len(spans)
    assert {span.trace_id for span in spans} == {root.trace_id}
    for span in spans:
        assert span.start_ns <= span.end_ns, span
        assert all(span.start_ns <= at <= span.end_ns for at in span.events.values()), span
        if span is not root:
            parent = ids[span.parent_id]
            assert parent.start_ns <= span.start_ns, (parent, span)
            assert span.end_ns <= parent.end_ns, (parent, span)


def test_a_whole_answer(gateway, engines, collector):
    before = time.time_ns()
    _, spans = traced(gateway, collector)
    hangs_together(spans)
    assert [s.name for s in spans] == ["POST /v1/chat/completions", "accept", "decide", "chat big", "settle"]
    assert [s.kind for s in spans] == ["SERVER", "INTERNAL", "INTERNAL", "CLIENT", "INTERNAL"]
    root, accept, decide, upstream, settle = spans
    assert before - 1e9 < root.start_ns < root.end_ns < time.time_ns() + 1e9
    assert accept.end_ns == decide.start_ns
    assert decide.end_ns <= upstream.start_ns
    assert (upstream.end_ns, settle.end_ns) == (settle.start_ns, root.end_ns)
    assert root.parent_id == ""
    record = gateway.records()[-1]
    expected = {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "big",
        "gen_ai.response.model": "big",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 3,
        "parlance.language": "de",
        "parlance.reason": record["reason"],
        "parlance.decision_id": record["decision_id"],
        "parlance.cost_usd": record["cost_nano_usd"] / 1e9,
    }
    assert root.attributes | expected == root.attributes
    assert not any(s.failed or "error.type" in s.attributes for s in spans)
    assert upstream.attributes["gen_ai.provider.name"] == "vllm"
    assert upstream.attributes["server.port"] == engines[0].port
    assert decide.attributes["parlance.ranking"][0] == "big"
    assert told(engines[0]) == (root.trace_id, upstream.span_id, 3)
    assert record["trace_id"] == root.trace_id


def test_who_we_are_and_how_the_collector_is_called(gateway, collector):
    _, spans = traced(gateway, collector)
    resource = spans[0].resource
    assert resource["service.name"] == "gateway-under-test"
    assert resource["deployment.environment.name"] == "test"
    assert resource["service.version"]
    assert resource["service.instance.id"]
    assert collector.paths[-1] == "/v1/traces"
    assert collector.headers[-1]["authorization"] == "Basic c2VjcmV0"


def test_a_stream_shows_its_first_token(gateway, engines, collector):
    async def slowly(request, reply):
        await asyncio.sleep(0.2)
        await answer(request, reply)

    engines[0].handle = slowly
    _, spans = traced(gateway, collector, stream=True, stream_options={"include_usage": True})
    hangs_together(spans)
    named = by_name(spans)
    upstream, first, root = named["chat big"], named["first_token"], spans[0]
    assert first.parent_id == upstream.span_id
    assert first.end_ns - first.start_ns >= 0.19e9
    assert first.end_ns <= root.events["parlance.first_byte"] <= upstream.end_ns
    assert root.attributes["gen_ai.response.time_to_first_chunk"] >= 0.19
    assert root.attributes["gen_ai.usage.output_tokens"] == 3


def test_a_retry_is_two_upstream_spans_and_each_engine_knows_its_own(gateway, engines, collector):
    async def busy(request, reply):
        await reply.whole({"error": {"message": "no"}}, 503)

    engines[1].handle = busy
    _, spans = traced(gateway, collector, model="auto")
    hangs_together(spans)
    failed, answered = [s for s in spans if s.kind == "CLIENT"]
    assert (failed.name, answered.name) == ("chat small", "chat big")
    assert failed.failed
    assert failed.attributes["error.type"]
    assert not answered.failed
    assert [s.attributes["parlance.attempt"] for s in (failed, answered)] == [1, 2]
    assert "gen_ai.usage.input_tokens" not in failed.attributes
    assert told(engines[1]) == (spans[0].trace_id, failed.span_id, 3)
    assert told(engines[0]) == (spans[0].trace_id, answered.span_id, 3)
    assert not spans[0].failed, "the request went well in the end"


def test_a_failure_is_the_servers_and_a_bad_request_is_not(gateway, engines, collector):
    async def broken(request, reply):
        await reply.whole({"error": {"message": "boom"}}, 500)

    engines[0].handle = broken
    got, spans = traced(gateway, collector)
    hangs_together(spans)
    root = spans[0]
    assert root.attributes["http.response.status_code"] == got.status >= 500
    assert root.failed
    assert root.attributes["error.type"] == got.json["error"]["code"]
    _, spans = traced(gateway, collector, messages="nonsense")
    hangs_together(spans)
    assert [s.name for s in spans[1:]] == ["accept", "decide"]
    assert spans[0].attributes["http.response.status_code"] == 400
    assert spans[0].attributes["error.type"] == spans[2].attributes["error.type"]
    assert not any(s.failed for s in spans), "what a client did wrong is no fault of the server's"
    _, spans = traced(gateway, collector, messages=[{"role": "user", "content": "x" * 300_000}])
    assert [s.name for s in spans[1:]] == ["accept"]
    assert spans[1].attributes["error.type"] == "request_too_large"


def test_a_client_that_leaves(gateway, engines, collector):
    async def for_ever(request, reply):
        await reply.start_stream()
        while True:
            await reply.token("x")
            await asyncio.sleep(0.05)

    engines[0].handle = for_ever
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    body = {"model": "big", "messages": [{"role": "user", "content": GERMAN}], "stream": True}
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    response = connection.getresponse()
    response.read(20)
    response.close()
    connection.close()
    spans = collector.trace(response.headers["x-parlance-decision-id"])
    hangs_together(spans)
    upstream = by_name(spans)["chat big"]
    assert spans[0].attributes["http.response.status_code"] == 499
    assert spans[0].attributes["error.type"] == upstream.attributes["error.type"] == "client_left"
    assert not spans[0].failed
    assert not upstream.failed


def test_a_callers_trace_is_continued_with_its_decision(gateway, engines, collector):
    headers = {"traceparent": f"00-{THEIRS[0]}-{THEIRS[1]}-01", "tracestate": "vendor=a:1, other=b"}
    _, spans = traced(gateway, collector, headers.items())
    root = spans[0]
    assert (root.trace_id, root.parent_id) == THEIRS
    trace_id, parent, flags = told(engines[0])
    assert (trace_id, parent, flags) == (THEIRS[0], by_name(spans)["chat big"].span_id, 1)
    assert parent != THEIRS[1]
    assert engines[0].requests[-1].headers["tracestate"] == "vendor=a:1,other=b"
    assert root.state == "vendor=a:1,other=b"

    other = "a" * 32
    gateway.post("/v1/chat/completions", body_of(), traceparent=f"00-{other}-{THEIRS[1]}-00")
    trace_id, parent, flags = told(engines[0])
    assert (trace_id, flags) == (other, 0)
    assert parent != THEIRS[1]
    assert "trace_id" not in gateway.records()[-1]
    traced(gateway, collector)  # what was recorded before it would have come by now
    assert not any(s.trace_id == other for s in collector.spans)


def body_of(**fields):
    return {"model": "big", "messages": [{"role": "user", "content": GERMAN}], **fields}


def test_an_invalid_traceparent_begins_a_new_trace(gateway, engines, collector):
    for bad in ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", "ff-" + "-".join(THEIRS) + "-01", "x" * 55):
        _, spans = traced(gateway, collector, {"traceparent": bad, "tracestate": "a=1"}.items())
        assert spans[0].parent_id == ""
        assert told(engines[0])[0] == spans[0].trace_id not in (THEIRS[0], "0" * 32)
        assert "tracestate" not in engines[0].requests[-1].headers


def test_no_word_and_no_key_is_in_a_span(gateway, engines, collector):
    count = len(collector.spans)
    secret = "Sesam-öffne-dich"
    headers = {"authorization": "Bearer pk-very-secret", "x-api-key": "pk-also-secret"}
    traced(gateway, collector, headers.items(), messages=[{"role": "user", "content": f"{GERMAN} {secret}"}], user="me")
    said = str(collector.spans[count:])
    assert "POST /v1/chat/completions" in said
    assert not re.search("Sesam|Himmel|fjord|secret", said)


def test_callers_that_are_not_trusted_are_linked_and_cannot_make_it_dear(tmp_path, pair, collector):
    traces = {"endpoint": f"{collector.url}/v1/traces", "trust_callers": False, "sample_ratio": 0}
    theirs = f"00-{'b' * 32}-{THEIRS[1]}-01"
    gateway = GatewayProcess(tmp_path, fleet(*pair, **PATIENT, traces=traces))
    try:
        gateway.post("/v1/chat/completions", body_of(), traceparent=theirs)
        trace_id, _, flags = told(pair[0])
        assert trace_id != "b" * 32
        assert flags & 1 == 0
    finally:
        gateway.stop()
    gateway = GatewayProcess(tmp_path, fleet(*pair, **PATIENT, traces=traces | {"sample_ratio": 1}))
    try:
        _, spans = traced(gateway, collector, {"traceparent": theirs}.items())
        assert spans[0].links == [("b" * 32, THEIRS[1])]
        assert spans[0].parent_id == ""
    finally:
        gateway.stop()


def test_what_waits_is_sent_before_the_end(tmp_path, pair, collector):
    gateway = GatewayProcess(tmp_path, fleet(*pair, **PATIENT, traces={"endpoint": f"{collector.url}/v1/traces"}))
    try:
        answers = [gateway.chat(GERMAN, model="big") for _ in range(20)]
        assert [one.status for one in answers] == [200] * 20
    finally:
        code = gateway.stop()
    assert code == 0
    ids = [one.headers["x-parlance-decision-id"] for one in answers]
    seen = {s.attributes.get("parlance.decision_id") for s in collector.spans}
    assert set(ids) <= seen


@pytest.mark.parametrize("fault", ["slow", "refuses", "gone"])
def test_a_collector_that_fails_costs_no_request(tmp_path, pair, fault):
    own = Collector(delay_s=30 if fault == "slow" else 0, status=500 if fault == "refuses" else 200)
    if fault == "gone":
        own.stop()
    traces = {"endpoint": f"{own.url}/v1/traces", "queue_spans": 64, "requests_per_s": 10_000}
    gateway = GatewayProcess(tmp_path, fleet(*pair, **PATIENT, traces=traces, drain_s=2))
    try:
        for _ in range(60):
            assert gateway.chat(GERMAN, model="big").status == 200
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not gateway.metric("parlance_log_entries_lost_total", log="traces"):
            time.sleep(0.1)
        # 60 requests of 5 spans: what the queue holds may wait, the rest is lost and counted
        assert gateway.metric("parlance_log_entries_lost_total", log="traces") >= 60 * 5 - 2 * 64
        assert gateway.chat(GERMAN, model="big").status == 200
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began < 10, "a collector that does not answer holds up no end"
        complaints = [line for line in gateway.log.read_text().splitlines() if "trace_exporter" in line]
        assert len(complaints) <= 4, "each way to fail is told of once a minute"
    finally:
        gateway.stop()
        if fault != "gone":
            own.stop()


def test_the_environment_alone_turns_traces_on(tmp_path, pair, collector):
    gateway = GatewayProcess(tmp_path, fleet(*pair, **PATIENT), environ={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    try:
        _, spans = traced(gateway, collector)
        assert spans[0].resource["service.name"] == "parlance-gateway"
    finally:
        gateway.stop()


def test_what_cannot_be_exported_is_one_sentence(tmp_path, pair, collector):
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(RuntimeError, match="OTEL_EXPORTER_OTLP_PROTOCOL is grpc: the gateway speaks http/protobuf"):
        GatewayProcess(tmp_path, fleet(*pair, **PATIENT), environ=environ)


def test_off_they_cost_no_import_and_a_traceparent_passes_as_it_came(tmp_path, pair):
    gateway = GatewayProcess(tmp_path, fleet(*pair, **PATIENT), environ={"PYTHONPROFILEIMPORTTIME": "1"})
    theirs = "00-" + "-".join(THEIRS) + "-01"
    try:
        gateway.post("/v1/chat/completions", body_of(), traceparent=theirs)
        assert pair[0].requests[-1].headers["traceparent"] == theirs
        gateway.post("/v1/chat/completions", body_of())
        assert "traceparent" not in pair[0].requests[-1].headers
        assert "trace_id" not in gateway.records()[-1]
    finally:
        gateway.stop()
    imported = gateway.log.read_text()
    assert "serve.gateway.traces" in imported
    assert "opentelemetry" not in imported
