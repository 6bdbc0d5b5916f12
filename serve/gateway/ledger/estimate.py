"""What a request is expected to cost, and the most that it can, before it is sent. Money is nano-USD."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import msgspec

from serve.fleet.card import Price
from serve.fleet.ledger import Ledger
from serve.gateway.body import Parsed
from serve.gateway.parameters import MAX_TOKENS
from serve.routing.records import Candidate, Endpoint
from serve.routing.table import TEMPLATED

# A chat template's own text, beyond what it writes for each turn: Llama 3.3's longest preamble has under 60 tokens.
TEMPLATE_TOKENS = 256


class Rates(NamedTuple):
    """Nano-USD a token. `prompt` is the dearer of the two kinds of prompt tokens."""

    prompt: float
    fresh: float
    cached: float
    answer: float

    @classmethod
    def of(cls, price: Price) -> Rates:
        """Those of a price, which is in USD a million tokens: 1,000 nano-USD a token."""
        fresh, answer = price.input_usd_per_mtok * 1e3, price.output_usd_per_mtok * 1e3
        cached = fresh if price.cached_input_usd_per_mtok is None else price.cached_input_usd_per_mtok * 1e3
        return cls(max(fresh, cached), fresh, cached, answer)


class Estimate(NamedTuple):
    """`expected` must be free of a budget for the request to be taken; `ceiling` is held back while it is open."""

    expected: int
    ceiling: int


def estimate(
    settings: Ledger, parsed: Parsed, body_bytes: int, candidate: Candidate | None, rates: Rates, context_tokens: int
) -> Estimate:
    """What a model of these rates and this context may cost for a request whose body has so many bytes.

    The ceiling holds whatever the answer is: a prompt has no more tokens than its body has bytes (all tokenizers served
    here fall back to bytes, and the body's JSON has more bytes a turn than a template has tokens), and an answer no
    more than `max_tokens` says, or else than the context has room for.
    """
    request, endpoint = parsed.request, parsed.endpoint
    prompt = body_bytes + TEMPLATE_TOKENS
    if prompt > context_tokens and endpoint in TEMPLATED:
        prompt = context_tokens  # an engine refuses what is longer
    if endpoint is Endpoint.EMBEDDINGS:
        answer = 0
    else:
        cap = request.max_output_tokens
        cap = _cap(parsed, cap) if cap is not None else settings.unbounded_tokens or context_tokens
        answer = min(cap, context_tokens) * request.choices
        if endpoint is Endpoint.COMPLETIONS:
            answer *= _prompts(parsed)
    ceiling = ceil(prompt * rates.prompt + answer * rates.answer)
    if candidate is None:
        return Estimate(ceiling, ceiling)
    _, fresh, cached, each = rates
    known = candidate.cached_tokens
    expected = (candidate.input_tokens - known) * fresh + known * cached + candidate.output_tokens * each
    return Estimate(min(ceil(expected * settings.reserve_margin), ceiling), ceiling)


def _cap(parsed: Parsed, least: int) -> int:
    """The caller's limit of one answer. Of several an engine may take any: the largest counts."""
    values = [bytes(parsed.fields[name]) for name in MAX_TOKENS if name in parsed.fields]
    return least if len(values) == 1 else max((int(value) for value in values if value != b"null"), default=least)


def _prompts(parsed: Parsed) -> int:
    """How many prompts a request to /v1/completions has: each is answered."""
    raw = parsed.fields.get("prompt")
    if raw is None or not bytes(raw).lstrip().startswith(b"["):
        return 1
    first, *rest = msgspec.json.decode(raw, type=list[msgspec.Raw]) or [msgspec.Raw(b"0")]
    return 1 + len(rest) if bytes(first)[:1] in (b'"', b"[") else 1  # else the token ids of one prompt
