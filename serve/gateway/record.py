"""What is left of a request when it is over: one struct, from which metrics and its one log line are made later."""

from __future__ import annotations

from typing import Any

import msgspec

from serve.errors import ParlanceError
from serve.gateway.auth import Caller
from serve.gateway.choice import Chosen
from serve.gateway.moments import Moments
from serve.gateway.stream import Usage
from serve.gateway.trace_context import TraceContext
from serve.routing.log import Entry, Outcome, entry_of
from serve.routing.records import Decision, Endpoint
from serve.routing.reply import Judged, Verdict


class Discarded(msgspec.Struct, gc=False):
    """An answer that was paid for and not sent: another model was asked because of its language."""

    model: str
    usage: Usage | None
    nano_usd: int
    judged: Judged


class Finished(msgspec.Struct, gc=False):
    """A request that is over. `at` is seconds since the epoch; durations are in seconds."""

    at: float
    request_id: str
    decision_id: str
    endpoint: Endpoint
    status: int  # 499: the client left
    caller: Caller
    attempts: int
    model: str | None  # that answered, or was asked last
    chosen: Chosen | None
    moments: Moments
    usage: Usage | None
    nano_usd: int  # of every answer that was paid for
    error: ParlanceError | None
    reply: str | None = None  # its first words, until they are judged; None: it is not judged
    judged: Judged | None = None
    discarded: Discarded | None = None
    settled: bool = False  # what it teaches has been learnt
    trace_id: str = ""  # 32 hex digits where the request belongs to a trace: exemplars carry it
    trace: TraceContext | None = None  # None: traces are off

    @property
    def seconds(self) -> float:
        """From arrival to the last byte."""
        return self.moments.ended - self.moments.arrived

    @property
    def first_byte_s(self) -> float | None:
        """From arrival to the first byte of a streamed answer; None: no stream began."""
        return self.moments.first - self.moments.arrived if self.moments.first else None

    @property
    def decision(self) -> Decision | None:
        """What was decided; None when the request never came so far."""
        return None if self.chosen is None else self.chosen.decision


def record_of(done: Finished) -> dict[str, Any]:
    """What the log says of a request: never its text, never its key."""
    record: dict[str, Any] = {
        "time": round(done.at, 6),
        "request_id": done.request_id,
        "decision_id": done.decision_id,
        "path": f"/v1/{done.endpoint.value}",
        "status": done.status,
        "tenant": done.caller.tenant,
        "key": done.caller.key,
        "duration_s": round(done.seconds, 6),
        "attempts": done.attempts,
    }
    decision, usage = done.decision, done.usage
    if done.trace_id:
        record["trace_id"] = done.trace_id
    if decision is not None:
        record |= {
            "model": done.model,
            "requested": decision.requested[:128],
            "mode": decision.mode,
            "language": decision.language.tag,
            "language_source": decision.language.source,
            "posterior": decision.language.posterior[:3],
            "answer_language": decision.language.answer,
            "task": decision.task,
            "reason": decision.reason_code,
            "why": decision.reason,
            "fallback": decision.fallback,
            "expected_cost_usd": {c.model: c.cost_usd for c in decision.candidates if c.rejection is None},
            "rejected": {c.model: c.rejection for c in decision.candidates if c.rejection is not None},
        }
    if done.moments.held:
        record["held_s"] = round(done.moments.held, 6)
    if done.first_byte_s is not None:
        record["ttft_s"] = round(done.first_byte_s, 6)
    if usage is not None:
        record["usage"] = _usage(usage)
        record["cost_nano_usd"] = done.nano_usd
    if done.judged is not None and done.judged.tag is not None:
        record["reply_language"] = done.judged.tag
        record["wrong_language"] = done.judged.verdict is Verdict.WRONG
    discarded = done.discarded
    if discarded is not None:
        record["discarded"] = {
            "model": discarded.model,
            "reply_language": discarded.judged.tag,
            "usage": _usage(discarded.usage) if discarded.usage else None,
            "cost_nano_usd": discarded.nano_usd,
        }
    error = done.error
    if error is not None:
        record["error"] = {"code": error.code, "message": error.message[:500], "param": error.param}
    return record


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "completion_tokens": usage.completion_tokens,
        "estimated": usage.estimated,
    }


def entry(done: Finished, with_text: bool) -> Entry | None:
    """What the decision log says of a request; None when nothing was decided."""
    chosen = done.chosen
    if chosen is None:
        return None
    usage = done.usage
    outcome = Outcome(
        status=done.status,
        model=done.model,
        attempts=done.attempts,
        prompt_tokens=usage.prompt_tokens if usage else None,
        cached_tokens=usage.cached_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else None,
        nano_usd=done.nano_usd,
        wrong_language=done.judged.tag if done.judged is not None and done.judged.verdict is Verdict.WRONG else None,
    )
    return entry_of(
        chosen.decision,
        chosen.request,
        chosen.observed,
        chosen.states,
        done.decision_id,
        done.caller.tenant,
        outcome,
        with_text,
        chosen.shifts,
        chosen.uniform,
    )
