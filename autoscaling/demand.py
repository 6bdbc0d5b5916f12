"""How much load there is, in replicas: requests a second over what one replica sustains for requests like these."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, log

from autoscaling.capacity.sustained import Mix, sustained
from autoscaling.snapshot import Reading, Seen, Weights
from serve.fleet import Model
from serve.fleet.autoscaling import Autoscaling
from serve.fleet.slo import Slo

# The lengths of the last minute count against those of the long window as if so many requests had been seen there:
# with fewer, a minute's mean is noise.
STEADY_REQUESTS = 30.0
# Means that differ by less than this are one mix: what it sustains is computed once.
GRAIN = 0.02


@dataclass(frozen=True, slots=True)
class Demand:
    """One model's load now. `load` and `served` are in replicas at the reckoned limit `each` (requests a second of one
    replica); `served` is what ended, over the rate window. `mix` may be the last one that was known."""

    load: float
    served: float
    each: float
    mix: Mix


def demand(model: Model, seen: Seen, last: Mix | None, settings: Autoscaling, slo: Slo) -> Demand | None:
    """The load of a model; None where arrivals are not known."""
    arrivals, finished = seen.arrivals.value, seen.finished.value
    if arrivals is None or finished is None:
        return None
    mix = mix_of(seen, settings.window_s, settings.mix_window_s) or last or _assumed(settings)
    each = limit(model, mix, settings, slo)
    return Demand(arrivals / each, finished / each, each, mix)


def mix_of(seen: Seen, window_s: float, mix_window_s: float) -> Mix | None:
    """Mean tokens of a request: those of the last minute as far as they are many, else of the long window; None where
    nothing was answered, or is not known."""
    long = _mix(seen.prompt_tokens, seen.cached_tokens, seen.output_tokens, seen.answered)
    short = _mix(seen.recent_prompt_tokens, seen.recent_cached_tokens, seen.recent_output_tokens, seen.recent_answered)
    if long is None or short is None:
        return long or short
    recent = (seen.recent_answered.value or 0.0) * window_s
    weight = recent / (recent + min(STEADY_REQUESTS, (seen.answered.value or 0.0) * mix_window_s))
    return Mix(
        *(before + weight * (now - before)
          for before, now in ((long.prompt, short.prompt), (long.output, short.output), (long.cached, short.cached)))
    )  # fmt: skip


def limit(model: Model, mix: Mix, settings: Autoscaling, slo: Slo) -> float:
    """Requests a second that one replica is reckoned to sustain: by the roofline where there is one, else by what the
    description says that it does."""
    engine = model.engine
    assert engine is not None
    if engine.replicas.tokens_per_s is None:
        found = _sustained(model.id, slo, _bin(mix.prompt), _bin(mix.output), _bin(mix.cached), _Known(model))
        if found is not None:
            return found
    return tokens_per_s(model, settings) / work_of(mix, weights(settings))


def tokens_per_s(model: Model, settings: Autoscaling) -> float:
    """Work of one replica before anything is measured, in output tokens a second, as the description has it."""
    engine = model.engine
    assert engine is not None
    if engine.replicas.tokens_per_s is not None:
        return engine.replicas.tokens_per_s
    work = settings.work
    return work.gpu_tokens_per_s * engine.workers if engine.device == "gpu" else work.cpu_tokens_per_s


def weights(settings: Autoscaling) -> Weights:
    """What a token is worth, as the fleet says it."""
    return Weights(settings.work.prompt_token_weight, settings.work.output_token_weight)


def work_of(mix: Mix, worth: Weights) -> float:
    """Output tokens that a request of this mix amounts to; above 0."""
    return max(worth.prompt * max(mix.prompt - mix.cached, 0.0) + worth.output * mix.output, 1.0)


class _Known:
    """A model as part of a cache's key: by its identity, since hashing all of it takes longer than the answer."""

    __slots__ = ("model",)

    def __init__(self, model: Model) -> None:
        self.model = model

    def __hash__(self) -> int:
        return id(self.model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and other.model is self.model


@lru_cache(maxsize=65_536)
def _sustained(_id: str, slo: Slo, prompt: int, output: int, cached: int, known: _Known) -> float | None:
    found = sustained(known.model, Mix(_of(prompt), _of(output), _of(cached)), slo)
    return found.requests_per_s if found is not None else None


def _bin(tokens: float) -> int:
    return round(log(tokens + 1) / GRAIN)


def _of(index: int) -> float:
    return exp(index * GRAIN) - 1 if index else 0.0


def _mix(prompt: Reading, cached: Reading, output: Reading, answered: Reading) -> Mix | None:
    told = [reading.value for reading in (prompt, cached, output, answered)]
    if any(value is None for value in told) or not told[3]:
        return None
    values = [value or 0.0 for value in told]
    return Mix(max(values[0] / values[3], 1.0), max(values[2] / values[3], 1.0), max(values[1] / values[3], 0.0))


def _assumed(settings: Autoscaling) -> Mix:
    """A request before any has been answered: of the work that the description says, half of it reading."""
    worth, work = weights(settings), settings.work.request_tokens
    return Mix(work / 2 / worth.prompt if worth.prompt else 1.0, max(work / 2 / worth.output, 1.0))
