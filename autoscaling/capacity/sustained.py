"""What a replica sustains for a mix of requests: the largest batch that keeps the objectives and fits the KV cache."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from autoscaling.capacity.lengths import OF_TOKENS, context, itl_spread
from autoscaling.capacity.roofline import Roofline
from serve.fleet import Model, memory
from serve.fleet.gpus import gpus
from serve.fleet.shapes import architecture, usable_bytes
from serve.fleet.slo import Slo

Bound = Literal["itl", "ttft", "kv", "sequences"]


@dataclass(frozen=True, slots=True)
class Mix:
    """The mean request: prompt tokens, those of them that a prefix cache has, and output tokens."""

    prompt: float
    output: float
    cached: float = 0.0

    @property
    def read(self) -> float:
        """Prompt tokens that are computed."""
        return max(self.prompt - self.cached, 1.0)


@dataclass(frozen=True, slots=True)
class Sustained:
    """Steady state at the limit. Rates are of one replica; `bound` is what keeps it from more."""

    requests_per_s: float
    output_tokens_per_s: float
    sequences: float
    itl_s: float
    ttft_s: float
    bound: Bound


def roofline_of(model: Model) -> Roofline | None:
    """The roofline of a model's replica; None where it cannot be computed: on CPU, behind an endpoint of others, or
    without an architecture on the card."""
    engine = model.engine
    if engine is None or engine.device != "gpu" or engine.gpu is None:
        return None
    arch = architecture(model.card, engine)
    gpu = gpus().get(engine.gpu)
    if arch is None or gpu is None:
        return None
    return Roofline(arch, memory.layout(engine, gpu), gpu)


def sustained(model: Model, mix: Mix, slo: Slo) -> Sustained | None:
    """What one replica of a model sustains within the objectives on average; None without a roofline.

    In steady state every request that ends is followed by one that is read, so a step that gives a token to each of
    n sequences also reads n x (prompt ÷ output) prompt tokens. No queue is counted: that is the policy's business.
    """
    roof, tokens = roofline_of(model), kv_tokens_of(model)
    if roof is None or tokens is None:
        return None
    return at_objectives(roof, mix, slo, tokens)


def kv_tokens_of(model: Model) -> int | None:
    """Tokens of KV cache that one replica has room for; None without a roofline."""
    roof, engine = roofline_of(model), model.engine
    if roof is None or engine is None:
        return None
    need = memory.need(roof.arch, roof.layout)
    if engine.kv_cache_bytes:
        return engine.kv_cache_bytes // need.kv_per_token
    return need.room_tokens(usable_bytes(engine, roof.gpu))


def at_objectives(roof: Roofline, mix: Mix, slo: Slo, kv_tokens: int) -> Sustained:
    """The largest batch with which `slo.attainment` of requests are within the objectives. At least one sequence: a
    model that misses them alone still serves.

    Step times grow with the batch, so bisection finds it: of its logarithm, so that a batch of four is found as
    closely as one of two hundred, whatever room the KV cache leaves to begin from.
    """
    limits: list[tuple[float, Bound]] = [
        (max(kv_tokens / context(mix.prompt, mix.output), 1.0), "kv"),
        (float(roof.layout.sequences), "sequences"),
    ]
    most, bound = min(limits)
    low, high = 1.0, max(most, 1.0)
    if why := _misses(roof, mix, slo, high):
        bound = why
        while high > low * _CLOSE:
            middle = math.sqrt(low * high)
            if missed := _misses(roof, mix, slo, middle):
                high, bound = middle, missed
            else:
                low = middle
        high = low
    itl, _, ttft = _times(roof, mix, high)
    return Sustained(high / itl / mix.output, high / itl, high, itl, ttft, bound)


def _times(roof: Roofline, mix: Mix, sequences: float) -> tuple[float, float, float]:
    """Mean ITL, the spread of single requests' (standard deviation of its logarithm), and TTFT.

    Some steps read a prompt and take longer, the others do not; as long as reading weights hides a few tokens, the mean
    of both is longer than the step of the mean.
    """
    held = context(mix.prompt, mix.output)
    long = mix.prompt * OF_TOKENS
    idle = roof.step_s(sequences, held)
    prompts = sequences / mix.output  # that a step begins
    busy = -math.expm1(-prompts)
    longer = roof.step_s(sequences, held, prompts * mix.read / busy, long) - idle
    itl = idle + busy * longer
    return itl, itl_spread(busy, longer, mix.output, itl), itl / 2 + roof.prefill_s(mix.read, sequences, held)


def _misses(roof: Roofline, mix: Mix, slo: Slo, sequences: float) -> Bound | None:
    itl, spread, ttft = _times(roof, mix, sequences)
    if itl * math.exp(spread * _NORMAL.inv_cdf(slo.attainment)) > slo.itl_s:
        return "itl"
    return "ttft" if ttft > slo.ttft_s else None


_NORMAL = NormalDist()
_CLOSE = 1.001
