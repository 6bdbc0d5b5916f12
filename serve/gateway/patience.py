"""A request that only a sleeping model could take is held until a replica has started, and then dispatched."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from serve.errors import Unavailable
from serve.gateway.body import Parsed
from serve.gateway.choice import no_model
from serve.routing.records import Decision, Mode

if TYPE_CHECKING:
    from serve.gateway.job import Job


async def serve(job: Job, parsed: Parsed, decision: Decision) -> None:
    """Dispatches the request, and holds it where that cannot be done yet: `gateway.waking` bounds how long in all.

    When a replica is there it is decided anew, for much may have changed. A budget is reserved before the wait: a
    tenant that has none left starts no replica. Raises what dispatching raises, Unavailable when too many are held or
    for too long, and why no model may answer.
    """
    worker, until = job.worker, None
    while True:
        wanted = worker.waking.wanted(decision)
        if wanted is None:
            if decision.model is None:
                raise no_model(decision)
            try:
                return await job.dispatch(parsed, decision)
            except Unavailable as failed:
                wanted = _fell_asleep(job, failed, decision)
                if wanted is None:
                    raise
        model, others = wanted
        if job.hold is not None:
            await worker.ledger.reserve(job.hold, worker.upstreams[model], parsed, decision)
        if until is None:
            until = worker.waking.deadline()
        began = perf_counter()
        try:
            await worker.waking.wait(model, job.caller.tenant, until, others, job.entered)
        finally:
            job.place = None
            job.moments.held += perf_counter() - began
        decision = job.decide(parsed)


def _fell_asleep(job: Job, failed: Unavailable, decision: Decision) -> tuple[str, frozenset[str]] | None:
    """The model to wait for where the only one that may answer lost its last replica a moment ago, and the watch of
    engines may not have seen it yet; None: it is something else, or too many requests needed another attempt."""
    model, reply = job.reply.model, job.reply
    no_replica = failed.code == Unavailable.code and not (reply.started or job.left or reply.held is not None)
    if not no_replica or model is None or (decision.mode is Mode.AUTO and len(decision.ranking) > 1):
        return None
    if not (job.worker.waking.holds(model) and job.worker.retries.take()):
        return None
    job.worker.instruments.retried(model, failed.code)
    return model, frozenset()
