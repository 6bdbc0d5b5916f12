"""Every model of the fleet as a candidate for one request: its expected cost, and why it may not take it."""

from __future__ import annotations

from typing import NamedTuple

from serve.fleet.card import Kind
from serve.fleet.routing import PriceBasis
from serve.routing import tokens
from serve.routing.cost import expected_output
from serve.routing.quality import passes
from serve.routing.records import Candidate, Live, ModelState, Rejection, Request, Shape
from serve.routing.table import TEMPLATED, Entry, Need, Table, View
from serve.routing.tags import OTHER, name

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

# Ratios of counted to expected tokens beyond this are no measurement.
LEAST_RATIO = 0.25

IDLE = ModelState()


class Weighed(NamedTuple):
    """A candidate with what the policy needs beside the record.

    `price_usd` is what it is compared by: the expected cost, and what waiting for it costs. `obstacle` is the first
    reason of ORDER that has nothing to do with language or floor: a model that a fallback may still take has none.
    """

    candidate: Candidate
    view: View
    in_flight: int
    obstacle: Rejection | None
    price_usd: float


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
    request: Request, table: Table, live: Live, need: Need, floor: float, auto: bool, shape: Shape | None = None
) -> tuple[Weighed, ...]:
    """All models in order of their ids. `auto`: whether models that only answer to their name are left out; `shape`:
    what the text's tokens are counted from."""
    routing = table.fleet.routing
    grounds = table.grounds_of(
        (need, floor, request.endpoint.value, request.needs, auto),
        lambda: _grounds(request, table, need, floor, auto),
    )
    characters = max(request.characters, len(request.text))
    turns = max(request.turns, 1)
    templated = request.endpoint in TEMPLATED
    share, extra = tokens.prose_share(characters, turns), tokens.overhead(turns, templated)
    seen = tokens.covered(shape)
    allowed, hinted = request.allowed_models, request.hints.models
    named = None if hinted is None else {table.fleet.aliases.get(model, model) for model in hinted}
    limit = request.hints.max_cost_usd
    cap = request.max_output_tokens
    choices = max(request.choices, 1)
    cached = request.cached_characters
    kind_of_answer = (need.answer, need.task or "")
    counted: dict[int, int] = {}  # by tokenizer and language: models share them
    answers: dict[tuple[float, Kind], int] = {}
    assumed, basis, reference = routing.expected_output_tokens, routing.price_basis, table.fleet.reference
    listed, per_s = basis is PriceBasis.LIST, routing.waiting_usd_per_s
    weighed = []
    for view, unfit, why, unspoken, since in grounds:
        entry = view.entry
        state = live.get(entry.id, IDLE)
        row = view.fertility
        prompt = counted.get(id(row), 0)
        if not prompt:
            prompt = tokens.expected(row, shape, seen, characters, share, extra, request.structured_characters)
            counted[id(row)] = prompt
        if templated:
            prompt += entry.fixed_tokens
        if state.token_ratios:
            ratio = state.token_ratios.get(need.text[0] if need.text else OTHER, 1.0)
            prompt = max(1, round(prompt * ratio)) if LEAST_RATIO <= ratio <= 1 / LEAST_RATIO else prompt
        held = min(prompt, prompt * cached.get(entry.id, 0) // max(characters, 1)) if cached else 0
        learnt = state.answer_tokens.get(kind_of_answer) if state.answer_tokens else None
        if learnt is not None:
            answer = expected_output(assumed, view.same_content, entry.kind, learnt, cap, choices)
        else:
            kind = (view.same_content, entry.kind)
            answer = answers.get(kind, 0)
            if not answer:
                answer = answers[kind] = expected_output(assumed, view.same_content, entry.kind, None, cap, choices)
        if listed:
            into, again, out = entry.input_usd, entry.cached_usd, entry.output_usd
        else:
            into, again, out = prices(entry, state, basis)
        cost = (prompt - held) * into + held * again + answer * out
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
        standing = view.standing
        delta = standing.delta
        if state.penalties and delta is not None and entry.id != reference:
            # Never of the reference: it is what others are measured against, and what answers when none of them may.
            delta -= max(state.penalties.get(tag, 0.0) for tag in need.languages)
            if unspoken is None and delta < floor:
                unspoken = Rejection.BELOW_FLOOR
                since = f"{_below(delta, floor)} (answers in wrong languages counted)"
        rejection = obstacle
        if rejection is None and unspoken is not None:
            rejection, detail = unspoken, since
        if obstacle is None and (limit is not None or not (state.healthy and state.has_capacity)):
            obstacle, late = _late(state, cost, limit)
            if rejection is None:
                rejection, detail = obstacle, late
        candidate = Candidate(
            entry.id,
            cost,
            prompt,
            answer,
            delta,
            standing.status,
            rejection,
            detail,
            held,
            state.wait_s,
            standing.low,
            standing.high,
        )
        price = cost + state.wait_s * per_s
        weighed.append(Weighed(candidate, view, state.in_flight, obstacle, price))
    return tuple(weighed)


def prices(entry: Entry, state: ModelState, basis: PriceBasis) -> tuple[float, float, float]:
    """USD per input, cached input and output token on this basis; list prices where nothing was measured.

    What a cached token costs of an uncached one is the same on every basis.
    """
    measured = state.measured
    if basis is PriceBasis.LIST or measured is None:
        return entry.input_usd, entry.cached_usd, entry.output_usd
    if basis is PriceBasis.MARGINAL:
        into, out = measured.marginal_input_usd, measured.marginal_output_usd
    else:
        into, out = measured.average_input_usd, measured.average_output_usd
    return into, into * (entry.cached_usd / entry.input_usd if entry.input_usd else 1.0), out


def _grounds(request: Request, table: Table, need: Need, floor: float, auto: bool) -> tuple[Ground, ...]:
    """The part of the weighing that is the same for every request of this kind."""
    views, proven = table.views_of(need)
    return tuple(
        Ground(view, *_fitness(request, table, view.entry, auto), *_spoken(view, need, floor, proven)) for view in views
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


def _spoken(view: View, need: Need, floor: float, proven: bool) -> tuple[Rejection | None, str]:
    standing = view.standing
    if not need.languages:
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
