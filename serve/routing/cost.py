"""What a request is expected to cost in USD, and what it did cost in integer nano-USD."""

from __future__ import annotations

from functools import lru_cache

from serve.fleet.card import Kind, Price
from serve.fleet.description import Model
from serve.fleet.shapes import usd_per_hour

# A reasoning model writes its <think> part as well. No figure is published for the catalogue's; 4 is a judgement that
# holds until the model's own running mean is known.
REASONING_FACTOR = 4.0

# What a prompt token in the KV cache costs of another one, on engines of one's own whose price does not say: it takes
# no prefill, and keeps memory that others could use. A judgement between the tenth and the half that providers with a
# price for cached input ask for; state `cached_input_usd_per_mtok` to replace it.
CACHED_SHARE = 0.25

# An answer of so many tokens is no measurement.
MOST_OUTPUT = 1e7

_TOKENS_PER_M = 1_000_000
_NANO_PER_USD = 1_000_000_000
# A price has at most this many digits that count: USD 0.000000001 a million tokens.
_PRICE_SCALE = 1_000_000_000


def rates(model: Model) -> Price:
    """The price of a model with the cached rate filled in: expectation and settlement both read this one."""
    return _rates(model.price, model.engine is not None)


@lru_cache(maxsize=4096)
def _rates(price: Price, own: bool) -> Price:
    if price.cached_input_usd_per_mtok is not None:
        return price
    cached = price.input_usd_per_mtok * (CACHED_SHARE if own else 1.0)
    return price.model_copy(update={"cached_input_usd_per_mtok": cached})


def usd_per_replica_hour(model: Model) -> float:
    """What an hour of one replica's GPUs costs; 0 where that is not known: CPUs, external endpoints, no price."""
    return (usd_per_hour(model.engine) or 0.0) if model.engine is not None else 0.0


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
    """USD for so many tokens, none of them cached."""
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
