"""Every model of the fleet as a candidate for one request: its expected cost, and why it may not take it."""

from __future__ import annotations

from typing import NamedTuple

from serve.routing import tokens
from serve.routing.cost import expected_output
from serve.routing.quality import passes
from serve.routing.records import Candidate, Live, ModelState, Rejection, Request
from serve.routing.table import TEMPLATED, VIEWS, Entry, Languages, Table, View
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


class Ground(NamedTuple):
    """What is said of a model before the text's length, the caller and the moment are looked at.

    `unfit` with `why` is about the API and its abilities, `unspoken` with `since` about language and floor.
    """

    view: View
    unfit: Rejection | None
    why: str
    unspoken: Rejection | None
    since: str


def weigh(
    request: Request, table: Table, live: Live, languages: Languages, floor: float, auto: bool
) -> tuple[Weighed, ...]:
    """All models in order of their ids. `auto`: whether models that only answer to their name are left out."""
    key = (languages, floor, request.endpoint.value, request.needs, auto)
    grounds = table.grounds.get(key)
    if grounds is None:
        if len(table.grounds) >= VIEWS:
            table.grounds.clear()
        grounds = table.grounds[key] = _grounds(request, table, languages, floor, auto)
    characters = max(request.characters, len(request.text))
    turns = max(request.turns, 1)
    share, extra = tokens.prose_share(characters, turns), tokens.overhead(turns, request.endpoint in TEMPLATED)
    assumed = table.fleet.routing.expected_output_tokens
    allowed, hinted = request.allowed_models, request.hints.models
    named = None if hinted is None else {table.fleet.aliases.get(model, model) for model in hinted}
    limit = request.hints.max_cost_usd
    cap = request.max_output_tokens
    choices = max(request.choices, 1)
    weighed = []
    for view, unfit, why, unspoken, since in grounds:
        entry = view.entry
        state = live.get(entry.id, _IDLE)
        prompt = tokens.expected(view.fertility, characters, share, extra)
        answer = expected_output(assumed, view.same_content, entry.kind, state.mean_output_tokens, cap, choices)
        cost = prompt * entry.input_usd + answer * entry.output_usd
        room = cap if cap is not None else answer // choices
        if allowed is not None and entry.id not in allowed:
            obstacle, detail = Rejection.NOT_ALLOWED, "the key may not use it"
        elif named is not None and "auto" not in named and entry.id not in named:
            obstacle, detail = Rejection.NOT_ALLOWED, "not among the models named in the hint"
        elif unfit is not None:
            obstacle, detail = unfit, why
        elif prompt * CONTEXT_MARGIN + room > entry.context_tokens:
            obstacle = Rejection.CONTEXT_TOO_SMALL
            detail = f"{prompt} prompt + {room} output tokens with margin, {entry.context_tokens} fit"
        else:
            obstacle, detail = None, ""
        rejection = obstacle
        if rejection is None and unspoken is not None:
            rejection, detail = unspoken, since
        if obstacle is None and (limit is not None or not (state.healthy and state.has_capacity)):
            obstacle, late = _late(state, cost, limit)
            if rejection is None:
                rejection, detail = obstacle, late
        standing = view.standing
        candidate = Candidate(entry.id, cost, prompt, answer, standing.delta, standing.status, rejection, detail)
        weighed.append(Weighed(candidate, view, state.in_flight, obstacle))
    return tuple(weighed)


def _grounds(request: Request, table: Table, languages: Languages, floor: float, auto: bool) -> tuple[Ground, ...]:
    """The part of the weighing that is the same for every request of this kind."""
    views, proven = table.in_languages(languages)
    return tuple(
        Ground(view, *_fitness(request, table, view.entry, auto), *_spoken(view, languages, floor, proven))
        for view in views
    )


def _fitness(request: Request, table: Table, entry: Entry, auto: bool) -> tuple[Rejection | None, str]:
    if auto and not entry.auto:
        return Rejection.NOT_ALLOWED, "answers to its name only (auto: false)"
    if request.endpoint in TEMPLATED and not entry.chats:
        return Rejection.NO_CHAT_TEMPLATE, "a base model: it serves /v1/completions only"
    if entry.id not in table.serving.get(request.endpoint, frozenset()):
        return Rejection.MISSING_ABILITY, f"does not serve /v1/{request.endpoint.value}"
    if not request.needs <= entry.abilities:
        return Rejection.MISSING_ABILITY, f"lacks {', '.join(sorted(request.needs - entry.abilities))}"
    return None, ""


def _spoken(view: View, languages: Languages, floor: float, proven: bool) -> tuple[Rejection | None, str]:
    standing = view.standing
    if not languages.needed:
        return None, ""
    if not standing.covered:
        missing = " and ".join(map(name, standing.missing))
        return Rejection.LANGUAGE_NOT_COVERED, f"neither declares nor has evidence in {missing}"
    if not passes(standing, floor, proven):
        return Rejection.BELOW_FLOOR, _below(standing.delta, floor)
    return None, ""


def _late(state: ModelState, cost: float, limit: float | None) -> tuple[Rejection | None, str]:
    if limit is not None and not cost <= limit:  # a limit that is no number allows nothing
        return Rejection.OVER_MAX_COST, f"expected {cost:.3g} USD, at most {limit:.3g} are allowed"
    if not state.healthy:
        return Rejection.UNHEALTHY, state.reason or "its health check fails"
    if not state.has_capacity:
        return Rejection.NO_CAPACITY, state.reason or "no replica can take a request"
    return None, ""


def _below(delta: float | None, floor: float) -> str:
    if delta is None:
        return f"only declared, never measured; the floor is {floor:+g}"
    return f"{delta:+.1f} points against the reference, the floor is {floor:+g}"
