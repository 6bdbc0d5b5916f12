"""Every model of the fleet as a candidate for one request: its expected cost, and why it may not take it."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from serve.routing import tokens
from serve.routing.cost import expected_output
from serve.routing.quality import passes
from serve.routing.records import Candidate, Endpoint, Live, ModelState, Rejection, Request
from serve.routing.table import TEMPLATED, Languages, Table, View
from serve.routing.tags import name

# A model is rejected with the first of these that holds: what nothing can change before what a minute may change.
ORDER = (
    Rejection.NOT_ALLOWED,
    Rejection.NO_CHAT_TEMPLATE,
    Rejection.MISSING_ABILITY,
    Rejection.CONTEXT_TOO_SMALL,
    Rejection.LANGUAGE_NOT_COVERED,
    Rejection.BELOW_FLOOR,
    Rejection.OVER_MAX_COST,
    Rejection.UNHEALTHY,
    Rejection.NO_CAPACITY,
)

# Expected prompt tokens x this must fit: single texts have more tokens than their language's mean (numbers, names,
# code), and an engine refuses what is one token too long.
CONTEXT_MARGIN = 1.15

_IDLE = ModelState()


class Weighed(NamedTuple):
    """A candidate with what the policy needs beside the record.

    `obstacle` is the first reason of ORDER that has nothing to do with language or floor: a model that a fallback may
    still take has none.
    """

    candidate: Candidate
    view: View
    in_flight: int
    obstacle: Rejection | None


def weigh(
    request: Request, table: Table, live: Live, languages: Languages, floor: float, auto: bool
) -> tuple[Weighed, ...]:
    """All models in order of their ids. `auto`: whether models that only answer to their name are left out."""
    views, proven = table.in_languages(languages)
    characters = max(request.characters, len(request.text))
    turns = max(request.turns, 1)
    # Once for all models: an Enum's hash is Python code, and costs more than the whole test.
    templated = request.endpoint in TEMPLATED
    serving = table.serving.get(request.endpoint, frozenset())
    share, extra = tokens.prose_share(characters, turns), tokens.overhead(turns, templated)
    assumed = table.fleet.routing.expected_output_tokens
    hinted = request.hints.models
    named = None if hinted is None else {table.fleet.aliases.get(model, model) for model in hinted}
    limit = request.hints.max_cost_usd
    cap = request.max_output_tokens
    choices = max(request.choices, 1)
    covering = bool(languages.needed)
    weighed = []
    for view in views:
        entry = view.entry
        state = live.get(entry.id, _IDLE)
        prompt = tokens.expected(view.fertility, characters, share, extra)
        answer = expected_output(assumed, view.same_content, entry.kind, state.mean_output_tokens, cap, choices)
        cost = prompt * entry.input_usd + answer * entry.output_usd
        room = cap if cap is not None else answer // choices
        rejection: Rejection | None = None
        detail = ""
        if request.allowed_models is not None and entry.id not in request.allowed_models:
            rejection, detail = Rejection.NOT_ALLOWED, "the key may not use it"
        elif named is not None and "auto" not in named and entry.id not in named:
            rejection, detail = Rejection.NOT_ALLOWED, "not among the models named in the hint"
        elif auto and not entry.auto:
            rejection, detail = Rejection.NOT_ALLOWED, "answers to its name only (auto: false)"
        elif templated and not entry.chats:
            rejection, detail = Rejection.NO_CHAT_TEMPLATE, "a base model: it serves /v1/completions only"
        elif entry.id not in serving:
            rejection, detail = Rejection.MISSING_ABILITY, _unserved(request.endpoint)
        elif not request.needs <= entry.abilities:
            lacking = ", ".join(sorted(request.needs - entry.abilities))
            rejection, detail = Rejection.MISSING_ABILITY, f"lacks {lacking}"
        elif prompt * CONTEXT_MARGIN + room > entry.context_tokens:
            rejection = Rejection.CONTEXT_TOO_SMALL
            detail = f"{prompt} prompt + {room} output tokens with margin, {entry.context_tokens} fit"
        late, why = _late(state, cost, limit) if limit is not None or not _open(state) else (None, "")
        obstacle = rejection or late
        standing = view.standing
        if rejection is None and covering:
            if not standing.covered:
                rejection = Rejection.LANGUAGE_NOT_COVERED
                detail = f"neither declares nor has evidence in {' and '.join(map(name, standing.missing))}"
            elif not passes(standing, floor, proven):
                rejection = Rejection.BELOW_FLOOR
                detail = _below(standing.delta, floor)
        if rejection is None and late is not None:
            rejection, detail = late, why
        weighed.append(
            Weighed(
                Candidate(entry.id, cost, prompt, answer, standing.delta, standing.status, rejection, detail),
                view,
                state.in_flight,
                obstacle,
            )
        )
    return tuple(weighed)


def _open(state: ModelState) -> bool:
    return state.healthy and state.has_capacity


def _late(state: ModelState, cost: float, limit: float | None) -> tuple[Rejection | None, str]:
    if limit is not None and not cost <= limit:  # a limit that is no number allows nothing
        return Rejection.OVER_MAX_COST, f"expected {cost:.3g} USD, at most {limit:.3g} are allowed"
    if not state.healthy:
        return Rejection.UNHEALTHY, state.reason or "its health check fails"
    if not state.has_capacity:
        return Rejection.NO_CAPACITY, state.reason or "no replica can take a request"
    return None, ""


def _unserved(endpoint: Endpoint) -> str:
    return f"does not serve /v1/{endpoint.value}"


@lru_cache(maxsize=4096)
def _below(delta: float | None, floor: float) -> str:
    if delta is None:
        return f"only declared, never measured; the floor is {floor:+g}"
    return f"{delta:+.1f} points against the reference, the floor is {floor:+g}"
