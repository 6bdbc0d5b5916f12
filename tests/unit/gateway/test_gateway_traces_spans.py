"""The spans of finished requests: which there are, that they nest, and what they may say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes, url_attributes

from serve.errors import BadRequest, Unavailable
from serve.gateway.auth import ANYONE
from serve.gateway.job import ClientLeft
from serve.gateway.moments import Attempt, Moments
from serve.gateway.record import Finished
from serve.gateway.reply_check import WrongLanguage
from serve.gateway.stream import Usage
from serve.gateway.trace_context import TraceContext
from serve.gateway.trace_spans import OPERATION, Kind, Target, spans_of
from serve.routing.records import Endpoint

pytestmark = pytest.mark.unit

TARGETS = {"big": Target("10.0.0.1", 8000, "big", True), "far": Target("api.example", 443, "gpt", False)}


def finished(moments, *, error=None, status=200, usage=None, model="big", endpoint=Endpoint.CHAT):
    return Finished(
        at=1_790_000_000.123,
        request_id="req-1",
        decision_id="req-2",
        endpoint=endpoint,
        status=status,
        caller=ANYONE,
        attempts=len(moments.attempts),
        model=model,
        chosen=None,
        moments=moments,
        usage=usage,
        nano_usd=42_000,
        error=error,
        trace=TraceContext(7, 9, 1),
    )


def spans(done):
    return spans_of(done, done.trace, TARGETS)


def times(steps):
    """Moments of a request whose steps took these seconds; the clock stands anywhere."""
    at, out = 5000.25, []
    for step in steps:
        at += step
        out.append(at)
    return out


@given(st.lists(st.floats(0, 5, allow_subnormal=False), min_size=13, max_size=13), st.booleans(), st.booleans())
def test_every_span_lies_within_its_parent(steps, streamed, retried):
    t = times(steps)
    attempts = [Attempt("big", t[3], t[4], 0.0, t[5], "engine_error", 11)] if retried else []
    attempts.append(Attempt("big", t[6], t[7], t[8], t[10], "", 12))
    moments = Moments(t[0], t[1], t[2], t[9] if streamed else 0.0, t[11], attempts)
    made = spans(finished(moments, usage=Usage(10, 5, 2)))
    assert len(made) == 5 + retried + streamed
    for span in made:
        assert span.start_ns <= span.end_ns
        assert all(span.start_ns <= event.at_ns <= span.end_ns for event in span.events)
        if span.parent is not None:
            parent = made[span.parent]
            assert parent.start_ns <= span.start_ns
            assert span.end_ns <= parent.end_ns
    assert abs(made[0].end_ns - 1_790_000_000_123_000_000) < 500


def test_the_ids_that_were_given_out_are_kept():
    t = times([0.1] * 8)
    made = spans(finished(Moments(t[0], t[1], t[2], 0, t[7], [Attempt("big", t[3], t[4], t[5], t[6], "", 77)])))
    assert [(s.name, s.span_id) for s in made if s.span_id] == [("POST /v1/chat/completions", 9), ("chat big", 77)]


@pytest.mark.parametrize(
    ("read", "error", "blamed"),
    [(False, BadRequest("x"), "accept"), (True, BadRequest("x"), "decide"), (True, Unavailable("x"), "decide")],
)
def test_a_request_that_reached_no_model_says_at_which_step_it_ended(read, error, blamed):
    moments = Moments(1.0, 2.0 if read else 0.0, 0.0, 0.0, 3.0)
    made = spans(finished(moments, error=error, status=error.status, model=None))
    assert made[-1].name == blamed
    assert made[-1].end_ns == made[0].end_ns
    assert [s.attributes.get("error.type") for s in made] == [error.code, *[None] * (len(made) - 2), error.code]
    assert made[-1].failed is made[0].failed is (error.status >= 500)


@pytest.mark.parametrize(
    ("code", "failed"),
    [("", False), (ClientLeft.code, False), (WrongLanguage.code, False), (Unavailable.code, True)],
)
def test_an_attempt_fails_by_the_engines_fault_only(code, failed):
    done = finished(Moments(1.0, 2.0, 3.0, 0.0, 6.0, [Attempt("big", 4.0, 4.1, 0.0, 5.0, code)]))
    upstream = spans(done)[3]
    assert upstream.kind is Kind.CLIENT
    assert upstream.failed is failed
    assert upstream.attributes.get("error.type", "") == code


def test_a_foreign_endpoint_is_asked_by_its_own_name():
    done = finished(Moments(1.0, 2.0, 3.0, 0.0, 6.0, [Attempt("far", 4.0, 4.1, 4.2, 5.0)]), model="far")
    attributes = spans(done)[3].attributes
    assert attributes["gen_ai.request.model"] == "gpt"
    assert (attributes["server.address"], attributes["server.port"]) == ("api.example", 443)
    assert "gen_ai.provider.name" not in attributes


def test_names_are_those_of_the_semantic_conventions():
    known = {
        value
        for module in (gen_ai_attributes, error_attributes, http_attributes, server_attributes, url_attributes)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
    t = times([0.1] * 9)
    moments = Moments(t[0], t[1], t[2], t[6], t[8], [Attempt("big", t[3], t[4], t[5], t[7], "engine_error")])
    done = finished(moments, error=Unavailable("x"), usage=Usage(1, 0, 1))
    used = {name for span in spans(done) for name in span.attributes}
    assert used >= {"http.route", "gen_ai.usage.input_tokens", "error.type", "server.port"}
    assert {name for name in used if not name.startswith("parlance.")} <= known


def test_every_endpoint_has_an_operation_that_the_conventions_know():
    known = {value.value for value in gen_ai_attributes.GenAiOperationNameValues}
    assert set(OPERATION) == set(Endpoint)
    assert set(OPERATION.values()) <= known
