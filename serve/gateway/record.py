"""The one log line of a request: the decision and what came of it."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

from serve.errors import ParlanceError

if TYPE_CHECKING:
    from serve.gateway.job import Job


def record_of(job: Job, error: ParlanceError | None, seconds: float) -> dict[str, Any]:
    """What the log says of a request: never its text, never its key."""
    record: dict[str, Any] = {
        "time": round(time(), 6),
        "request_id": job.request_id,
        "decision_id": job.decision_id,
        "path": f"/v1/{job.endpoint.value}",
        "status": job.status,
        "tenant": job.caller.tenant,
        "key": job.caller.key,
        "duration_s": round(seconds, 6),
        "attempts": job.attempts,
    }
    decision, usage = job.decision, job.usage
    if decision is not None:
        record |= {
            "model": job.model,
            "requested": decision.requested[:128],
            "mode": decision.mode,
            "language": decision.language.tag,
            "language_source": decision.language.source,
            "posterior": decision.language.posterior[:3],
            "answer_language": decision.language.answer,
            "reason": decision.reason_code,
            "why": decision.reason,
            "fallback": decision.fallback,
            "expected_cost_usd": {c.model: c.cost_usd for c in decision.candidates if c.rejection is None},
            "rejected": {c.model: c.rejection for c in decision.candidates if c.rejection is not None},
        }
    if job.first_byte_s is not None:
        record["ttft_s"] = round(job.first_byte_s, 6)
    if usage is not None:
        record["usage"] = {
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "completion_tokens": usage.completion_tokens,
            "estimated": usage.estimated,
        }
        record["cost_nano_usd"] = job.nano_usd
    if error is not None:
        record["error"] = {"code": error.code, "message": error.message[:500], "param": error.param}
    return record
