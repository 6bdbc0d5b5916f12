"""W3C Trace Context as the gateway reads and writes it, and which requests are sampled."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace.propagation import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.span import TraceState

from serve.fleet.traces import Traces
from serve.gateway.trace_context import SAMPLED, Sampling, parse_traceparent, parse_tracestate
from serve.gateway.traces import configured

pytestmark = pytest.mark.unit

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (GOOD, 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-03", 3),
        (f"00-{TRACE}-{SPAN}-ff", 3),  # flags that this version does not know are not passed on
        (f"cc-{TRACE}-{SPAN}-01", 1),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-holds", 1),
    ],
)
def test_a_valid_traceparent_is_read(value, flags):
    parent = parse_traceparent(value.encode())
    assert (f"{parent.trace_id:032x}", f"{parent.span_id:016x}", parent.flags) == (TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "value",
    [
        "",
        GOOD.upper(),
        GOOD + "-more",  # version 00 ends after the flags
        GOOD + "\n",
        GOOD[:-1],
        " " + GOOD,
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00_{TRACE}_{SPAN}_01",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"0-{TRACE}-{SPAN}-01",
    ],
)
def test_an_invalid_traceparent_is_none(value):
    assert parse_traceparent(value.encode()) is None


def _hex(length):
    digits = st.text(alphabet="0123456789abcdef", min_size=length, max_size=length)
    return st.one_of(digits, digits, st.just("0" * length), digits.map(lambda d: d[1:]), digits.map(str.upper))


@given(_hex(32), _hex(16), _hex(2), st.sampled_from(["", "-", "-x"]))
def test_version_00_is_read_as_opentelemetry_reads_it(trace, span, flags, rest):
    value = f"00-{trace}-{span}-{flags}{rest}"
    theirs = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": value})).get_span_context()
    ours = parse_traceparent(value.encode())
    assert (ours is not None) == theirs.is_valid


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 3))
def test_what_an_engine_is_told_is_read_back_by_opentelemetry(trace_id, span_id, flags):
    context = Sampling(Traces()).begin([(b"traceparent", b"00-%032x-%016x-%02x" % (trace_id, 1, flags))], 0)
    name, value = context.header_lines(span_id, True).decode().removesuffix("\r\n").split(": ")
    span = get_current_span(TraceContextTextMapPropagator().extract({name: value})).get_span_context()
    assert (span.trace_id, span.span_id, int(span.trace_flags)) == (trace_id, span_id, flags)


@pytest.mark.parametrize(
    ("values", "joined"),
    [
        (["a=1"], "a=1"),
        (["a=1 , b=2", "c@d=3"], "a=1,b=2,c@d=3"),
        (["a=1,,b=2"], "a=1,b=2"),
        (["a=with space"], "a=with space"),
        (["A=1"], ""),
        (["a=1,b"], ""),
        (["a=1=2"], ""),
        (["a=1,a=2"], ""),
        (["a=1\x01"], ""),
        ([",".join(f"k{n}=v" for n in range(33))], ""),
        (["a=" + "x" * 256, "b=" + "x" * 256], ""),  # more than 512 bytes
        ([], ""),
    ],
)
def test_tracestate_is_passed_on_whole_or_not_at_all(values, joined):
    assert parse_tracestate([v.encode() for v in values]) == joined.encode()
    if joined:
        assert TraceState.from_header([joined]).to_header() == joined


def test_two_traceparents_are_none():
    context = Sampling(Traces()).begin([(b"traceparent", GOOD.encode())] * 2, 0)
    assert context.parent is None
    assert context.hex_id != TRACE


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.5, 1.0])
def test_a_share_is_sampled_and_every_one_as_opentelemetry_would(ratio):
    random.seed(7)
    sampling, theirs = Sampling(Traces(sample_ratio=ratio, requests_per_s=100_000)), TraceIdRatioBased(ratio)
    contexts = [sampling.begin([], 0) for _ in range(5000)]
    assert sum(c.sampled for c in contexts) / 5000 == pytest.approx(ratio, abs=0.02)
    for context in contexts:
        assert context.sampled == theirs.should_sample(None, context.trace_id, "x").decision.is_sampled()


def test_a_callers_decision_holds_whatever_the_share():
    yes, no = [(b"traceparent", GOOD.encode())], [(b"traceparent", GOOD[:-1].encode() + b"0")]
    assert Sampling(Traces(sample_ratio=0)).begin(yes, 0).sampled
    assert not Sampling(Traces(sample_ratio=1)).begin(no, 0).sampled


def test_callers_who_sample_everything_are_held_to_the_rate():
    sampling = Sampling(Traces(requests_per_s=10))
    headers = [(b"traceparent", GOOD.encode())]
    seconds = [sum(sampling.begin(headers, second + n / 1000).sampled for n in range(1000)) for second in range(5)]
    assert seconds[0] in range(10, 21)  # a second's worth may come at once
    assert seconds[1:] == [10] * 4
    late = sampling.begin(headers, 5.0)
    assert late.hex_id == TRACE, "what is not sampled belongs to the caller's trace all the same"
    assert late.header_lines(1, True).endswith(b"-00\r\n") == (not late.flags & SAMPLED)


def test_foreign_endpoints_are_not_told_what_callers_keep_in_tracestate():
    context = Sampling(Traces()).begin([(b"traceparent", GOOD.encode()), (b"tracestate", b"a=1")], 0)
    assert b"tracestate: a=1\r\n" in context.header_lines(5, own_engine=True)
    assert context.header_lines(5, own_engine=False).count(b"\r\n") == 1


@pytest.mark.parametrize(
    ("endpoint", "environ", "on"),
    [
        (None, {}, False),
        ("http://c:4318/v1/traces", {}, True),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ("http://c:4318/v1/traces", {"OTEL_SDK_DISABLED": "TRUE"}, False),
        ("http://c:4318/v1/traces", {"OTEL_TRACES_EXPORTER": "none"}, False),
        (None, {"OTEL_SERVICE_NAME": "x"}, False),
    ],
)
def test_what_turns_traces_on(endpoint, environ, on):
    assert configured(Traces(endpoint=endpoint), environ) is on


@pytest.mark.parametrize("endpoint", ["http://collector:4318", "http://collector:4318/"])
def test_an_endpoint_without_a_path_is_refused_with_the_usual_one(endpoint):
    with pytest.raises(ValueError, match="http://collector:4318/v1/traces is usual"):
        Traces(endpoint=endpoint)
