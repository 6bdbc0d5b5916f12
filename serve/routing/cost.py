"""What a request is expected to cost in USD, and what it did cost in integer nano-USD."""

from __future__ import annotations

from serve.fleet.card import Kind, Price

# A reasoning model writes its <think> part as well. No figure is published for the catalogue's; 4 is a judgement that
# holds until the model's own running mean is known.
REASONING_FACTOR = 4.0

# An answer of so many tokens is no measurement.
MOST_OUTPUT = 1e7

_TOKENS_PER_M = 1_000_000
_NANO_PER_USD = 1_000_000_000
# A price has at most this many digits that count: USD 0.000000001 a million tokens.
_PRICE_SCALE = 1_000_000_000


def expected_output(
    assumed: int, same_content: float, kind: Kind, mean: float | None, cap: int | None, choices: int = 1
) -> int:
    """Expected output tokens of all choices together, at least 1.

    The running mean of this model where one is known (it has the languages' mix in it); else `assumed` English tokens
    x `same_content`, times `REASONING_FACTOR` for reasoning models. `cap` is the caller's limit for one choice.
    """
    if mean is not None and 0 <= mean < MOST_OUTPUT:
        each = mean
    else:
        each = assumed * same_content * (REASONING_FACTOR if kind is Kind.REASONING else 1.0)
    if cap is not None:
        each = min(each, max(cap, 0))
    return max(1, round(each)) * max(1, choices)


def expected_cost_usd(price: Price, input_tokens: float, output_tokens: float) -> float:
    """USD for so many tokens; a prefix that may be cached counts in full, since nobody knows before."""
    return (input_tokens * price.input_usd_per_mtok + output_tokens * price.output_usd_per_mtok) / _TOKENS_PER_M


def exact_cost_nano_usd(price: Price, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> int:
    """The price of what was used, in nano-USD, rounded up: a used token is never free.

    The counts are `usage.prompt_tokens`, `prompt_tokens_details.cached_tokens` (part of the prompt's) and
    `completion_tokens`. Integer arithmetic: the same usage always costs the same. Negative counts read as 0, and more
    cached than prompt tokens as all of them.
    """
    prompt = max(prompt_tokens, 0)
    cached = min(max(cached_tokens, 0), prompt)
    rate = price.cached_input_usd_per_mtok
    scaled = (
        (prompt - cached) * _scaled(price.input_usd_per_mtok)
        + cached * _scaled(price.input_usd_per_mtok if rate is None else rate)
        + max(completion_tokens, 0) * _scaled(price.output_usd_per_mtok)
    )
    # tokens x (USD/Mtok x scale): nano-USD = / 1e6 tokens / scale x 1e9.
    divisor = _TOKENS_PER_M * _PRICE_SCALE // _NANO_PER_USD
    return -(-scaled // divisor)


def _scaled(usd_per_mtok: float) -> int:
    return round(usd_per_mtok * _PRICE_SCALE)
