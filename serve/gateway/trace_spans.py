"""The spans of a request that is over, as plain data: what was done when, and what may be said of it.

Never a word of a prompt or an answer, never a key. Names follow OpenTelemetry's semantic conventions for HTTP and
generative AI (`http.*`, `gen_ai.*`, `error.type`); what they have no name for is `parlance.*`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from serve.gateway.instruments.bounds import CLIENT_LEFT, SLOW_CLIENT
from serve.gateway.moments import Attempt
from serve.gateway.record import Finished
from serve.gateway.reply_check import WrongLanguage
from serve.gateway.stream import Usage
from serve.gateway.trace_context import TraceContext
from serve.routing.records import Decision, Endpoint
from serve.routing.reply import Verdict

Value = str | bool | int | float | list[str]

OPERATION = {  # gen_ai.operation.name: its well-known values
    Endpoint.CHAT: "chat",
    Endpoint.COMPLETIONS: "text_completion",
    Endpoint.RESPONSES: "chat",
    Endpoint.MESSAGES: "chat",
    Endpoint.EMBEDDINGS: "embeddings",
}
_NO_FAULT = ("", CLIENT_LEFT, SLOW_CLIENT, WrongLanguage.code)  # of an engine: it did what it was asked to
_MAX_NAME = 128  # of what a client wrote as the model


class Kind(Enum):
    """On which side of a call a span stands."""

    SERVER = "server"
    CLIENT = "client"
    INTERNAL = "internal"


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happened at one moment; nanoseconds since the epoch."""

    name: str
    at_ns: int


class SpanRecord(msgspec.Struct, gc=False):
    """One span. `parent` is the position of its parent in the list that it stands in, None for the request's own.
    `span_id` 0: any will do. `error` is a code; `failed`: the span's status is an error, and not merely noteworthy."""

    name: str
    kind: Kind
    parent: int | None
    start_ns: int
    end_ns: int
    attributes: dict[str, Value]
    span_id: int = 0
    events: tuple[Event, ...] = ()
    failed: bool = False


class Target(msgspec.Struct, frozen=True):
    """What a span says of the model that was asked: where it answers and by which name."""

    host: str
    port: int
    remote_name: str
    own: bool  # an engine of ours, which is vLLM


class _Clock:
    """Seconds of `perf_counter` as nanoseconds since the epoch: one offset for a request, so that its spans nest."""

    def __init__(self, done: Finished) -> None:
        self._offset = done.at - done.moments.ended

    def __call__(self, seconds: float) -> int:
        return round((self._offset + seconds) * 1e9)


def spans_of(done: Finished, context: TraceContext, targets: Mapping[str, Target]) -> list[SpanRecord]:
    """The request's span first, then those of its steps, in the order that they began."""
    clock, moments, error = _Clock(done), done.moments, done.error
    spans = [_request(done, context, clock)]
    # Where no model was asked, the last step that began is the one that refused.
    refused = None if moments.attempts or error is None else "decide" if moments.read else "accept"

    def step(name: str, began: float, ended: float, attributes: dict[str, Value]) -> None:
        failed = False
        if error is not None and name == refused:
            attributes["error.type"] = error.code
            failed = error.status >= 500
        spans.append(SpanRecord(name, Kind.INTERNAL, 0, clock(began), clock(ended), attributes, failed=failed))

    step("accept", moments.arrived, moments.read or moments.ended, {})
    if moments.read:
        decided = moments.decided or moments.ended
        step("decide", moments.read, decided, _decision(done.decision) if done.decision is not None else {})
    for number, attempt in enumerate(moments.attempts, 1):
        spans.append(_upstream(done, attempt, number, targets.get(attempt.model), clock))
        if attempt.heard and moments.first and attempt is moments.answered:
            # How long the engine took to begin: its queue and its prefill. A whole answer does not tell.
            began, ended = clock(attempt.sent), clock(attempt.heard)
            spans.append(SpanRecord("first_token", Kind.INTERNAL, len(spans) - 1, began, ended, {}))
    if moments.attempts:
        step("settle", moments.attempts[-1].ended, moments.ended, _settlement(done))
    return spans


def _request(done: Finished, context: TraceContext, clock: _Clock) -> SpanRecord:
    path, decision, usage = f"/v1/{done.endpoint.value}", done.decision, done.usage
    attributes: dict[str, Value] = {
        "http.request.method": "POST",
        "http.route": path,
        "url.path": path,
        "url.scheme": "http",
        "http.response.status_code": done.status,
        "gen_ai.operation.name": OPERATION[done.endpoint],
        "parlance.request_id": done.request_id,
        "parlance.decision_id": done.decision_id,
        "parlance.tenant": done.caller.tenant,
        "parlance.attempts": done.attempts,
    }
    if decision is not None:
        attributes |= {
            "gen_ai.request.model": decision.requested[:_MAX_NAME],
            "parlance.language": decision.language.tag,
            "parlance.reason": decision.reason_code,
            "parlance.mode": decision.mode.value,
        }
    if done.model is not None:
        attributes["gen_ai.response.model"] = done.model
    if done.moments.held:
        attributes["parlance.held_s"] = done.moments.held
    events: tuple[Event, ...] = ()
    if done.moments.first:
        attributes["gen_ai.response.time_to_first_chunk"] = done.moments.first - done.moments.arrived
        events = (Event("parlance.first_byte", clock(done.moments.first)),)
    if usage is not None:
        attributes |= _usage(usage)
        attributes["parlance.cost_usd"] = done.nano_usd / 1e9
    if done.judged is not None and done.judged.tag is not None:
        attributes["parlance.reply.language"] = done.judged.tag
        attributes["parlance.reply.wrong_language"] = done.judged.verdict is Verdict.WRONG
    error = done.error
    if error is not None:
        attributes["error.type"] = error.code
    return SpanRecord(
        f"POST {path}",
        Kind.SERVER,
        None,
        clock(done.moments.arrived),
        clock(done.moments.ended),
        attributes,
        context.span_id,
        events,
        failed=error is not None and error.status >= 500,  # what a client did wrong is no fault of this server's
    )


def _decision(decision: Decision) -> dict[str, Value]:
    attributes: dict[str, Value] = {
        "parlance.language": decision.language.tag,
        "parlance.language.source": decision.language.source.value,
        "parlance.language.answer": decision.language.answer,
        "parlance.reason": decision.reason_code,
        "parlance.mode": decision.mode.value,
        "parlance.fallback": decision.fallback,
        "parlance.quality_floor": decision.floor,
        "parlance.ranking": list(decision.ranking),
        "parlance.rejections": [f"{c.model}: {c.rejection.value}" for c in decision.candidates if c.rejection],
    }
    if decision.language.posterior:
        attributes["parlance.language.probability"] = decision.language.posterior[0][1]
    if decision.task is not None:
        attributes["parlance.task"] = decision.task.value
    if decision.model is not None:
        attributes["parlance.model"] = decision.model
        expected = next((c for c in decision.candidates if c.model == decision.model), None)
        if expected is not None:
            attributes["parlance.expected_cost_usd"] = expected.cost_usd
    return attributes


def _upstream(done: Finished, attempt: Attempt, number: int, target: Target | None, clock: _Clock) -> SpanRecord:
    operation = OPERATION[done.endpoint]
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": operation,
        "gen_ai.request.model": target.remote_name if target is not None else attempt.model,
        "parlance.model": attempt.model,
        "parlance.attempt": number,
    }
    if target is not None:
        attributes |= {"server.address": target.host, "server.port": target.port}
        if target.own:
            attributes["gen_ai.provider.name"] = "vllm"
    events = []
    if attempt.sent:
        events.append(Event("parlance.sent", clock(attempt.sent)))
    if attempt.heard:
        events.append(Event("parlance.heard", clock(attempt.heard)))
    if attempt.error:
        attributes["error.type"] = attempt.error
    elif done.usage is not None and attempt.model == done.model and attempt is done.moments.answered:
        attributes |= _usage(done.usage)
    return SpanRecord(
        f"{operation} {attempt.model}",
        Kind.CLIENT,
        0,
        clock(attempt.began),
        clock(attempt.ended or done.moments.ended),
        attributes,
        attempt.span_id,
        tuple(events),
        failed=attempt.error not in _NO_FAULT,
    )


def _settlement(done: Finished) -> dict[str, Value]:
    attributes: dict[str, Value] = {"parlance.cost_usd": done.nano_usd / 1e9}
    if done.usage is not None:
        attributes["parlance.usage.estimated"] = done.usage.estimated
    return attributes


def _usage(usage: Usage) -> dict[str, Value]:
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
    }
