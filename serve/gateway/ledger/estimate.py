"""What a request is expected to cost, and the most that it can, before it is sent. Money is nano-USD."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from serve.fleet.card import Price
from serve.fleet.ledger import Ledger
from serve.gateway.body import Parsed
from serve.gateway.parameters import MAX_TOKENS
from serve.routing.cost import exact_cost_nano_usd
from serve.routing.records import Candidate, Endpoint
from serve.routing.table import TEMPLATED

# A chat template's own text, beyond what it writes for each turn: Llama 3.3's longest preamble has under 60 tokens.
TEMPLATE_TOKENS = 256


class Estimate(NamedTuple):
    """`expected` must be free of a budget for the request to be taken; `ceiling` is held back while it is open."""

    expected: int
    ceiling: int


def estimate(
    settings: Ledger, parsed: Parsed, body_bytes: int, candidate: Candidate | None, price: Price, context_tokens: int
) -> Estimate:
    """What a model with this price and context may cost for a request whose body has so many bytes.

    The ceiling holds whatever the answer is: a prompt has no more tokens than its body has bytes (all tokenizers served
    here fall back to bytes, and the body's JSON has more bytes a turn than a template has tokens), and an answer no
    more than `max_tokens` says, or else than the context has room for.
    """
    request = parsed.request
    prompts = _prompts(parsed) if parsed.endpoint is Endpoint.COMPLETIONS else 1
    prompt = body_bytes + TEMPLATE_TOKENS
    if parsed.endpoint in TEMPLATED and prompt > context_tokens:
        prompt = context_tokens  # an engine refuses what is longer
    if parsed.endpoint is Endpoint.EMBEDDINGS:
        answer = 0
    else:
        cap = _cap(parsed)
        if cap is None:
            cap = settings.unbounded_tokens or context_tokens
        answer = min(cap, context_tokens) * request.choices * prompts
    dear = (price.cached_input_usd_per_mtok or 0.0) > price.input_usd_per_mtok  # never yet seen, and not forbidden
    ceiling = exact_cost_nano_usd(price, prompt, prompt if dear else 0, answer)
    if candidate is None:
        return Estimate(ceiling, ceiling)
    expected = exact_cost_nano_usd(price, candidate.input_tokens, candidate.cached_tokens, candidate.output_tokens)
    return Estimate(min(int(expected * settings.reserve_margin), ceiling), ceiling)


def _cap(parsed: Parsed) -> int | None:
    """The caller's limit of one answer. Of several an engine may take any: the largest counts."""
    cap = parsed.request.max_output_tokens
    if cap is None:
        return None
    named = [parsed.fields[name] for name in MAX_TOKENS if name in parsed.fields]
    if len(named) == 1:
        return cap
    return max((int(bytes(value)) for value in named if bytes(value) != b"null"), default=cap)


def _prompts(parsed: Parsed) -> int:
    """How many prompts a request to /v1/completions has: each is answered."""
    raw = parsed.fields.get("prompt")
    if raw is None or not bytes(raw).lstrip().startswith(b"["):
        return 1
    first, *rest = msgspec.json.decode(raw, type=list[msgspec.Raw]) or [msgspec.Raw(b"0")]
    return 1 + len(rest) if bytes(first)[:1] in (b'"', b"[") else 1  # else the token ids of one prompt
