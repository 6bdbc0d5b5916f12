"""The gateway's call of `decide`, and what a caller is told when it finds no model."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic, perf_counter, time
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from serve.errors import Forbidden, NoModel, NotFound, Overloaded, ParlanceError, Unavailable
from serve.gateway.auth import Caller
from serve.gateway.body import Parsed
from serve.routing import policy
from serve.routing.decide import decide_observed
from serve.routing.log import State, states_of
from serve.routing.observe import observe
from serve.routing.records import Decision, Observed, Request
from serve.routing.shifts import NO_SHIFTS, Shifts, uniform_of

if TYPE_CHECKING:
    from serve.gateway.worker import Worker


_NO_STATES: Mapping[str, State] = {}


class Chosen(msgspec.Struct, frozen=True, gc=False):
    """A decision with what it was made from, and how long it took in seconds."""

    decision: Decision
    request: Request
    observed: Observed
    states: Mapping[str, State]  # what the decision log keeps of the models; empty where none is written
    seconds: float
    shifts: Shifts = NO_SHIFTS  # of the plan in force
    uniform: float = 0.0  # the conversation's number, where there are shifts


def choose(worker: Worker, parsed: Parsed, caller: Caller) -> Chosen:
    """The decision for a request of this caller."""
    request = parsed.request
    mix = worker.replies.mixes.of(caller.tenant)
    cached = worker.prefixes.known(caller.tenant, parsed.prefixes, monotonic())
    if caller.models is not None or mix is not None or cached:
        request = replace(request, allowed_models=caller.models, mix=mix, cached_characters=cached)
    began = perf_counter()
    observed = observe(request)
    shifts = worker.shifts.table
    uniform = uniform_of(caller.tenant, request.hints.session or parsed.conversation) if shifts else 0.0
    decision = decide_observed(observed, request, worker.fleet, worker.live, time(), shifts, uniform)
    states = states_of(worker.live, decision) if worker.decisions is not None else _NO_STATES
    return Chosen(decision, request, observed, states, perf_counter() - began, shifts, uniform)


def no_model(decision: Decision) -> ParlanceError:
    """Why nothing can answer, as the caller is told it."""
    name = decision.requested[:128]
    match decision.reason_code:
        case policy.UNKNOWN_MODEL:
            return NotFound(
                f"the model {name!r} does not exist: GET /v1/models lists what does",
                param="model",
                code="model_not_found",
            )
        case policy.NOT_ALLOWED:
            return Forbidden(f"this API key may not use {name!r}", param="model", code="model_not_allowed")
        case policy.UNHEALTHY:
            return Unavailable(decision.reason, retry_after_s=5)
        case policy.NO_CAPACITY:
            return Overloaded(decision.reason, retry_after_s=1)
        case _:
            return NoModel(decision.reason, param="model")
