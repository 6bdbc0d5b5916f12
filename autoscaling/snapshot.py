"""What is known of the fleet at one moment. What is missing, old or absurd is a value with a cause, and never 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite


class Cause(StrEnum):
    """Why there is no value."""

    MISSING = "missing"  # asked, and nobody tells
    STALE = "stale"  # told, too long ago
    INVALID = "invalid"  # NaN, negative, or more than there can be
    UNREACHABLE = "unreachable"  # could not be asked

    @property
    def words(self) -> str:
        """As it stands in a sentence, after the name of what is missing."""
        return _WORDS[self]


_WORDS = {
    Cause.MISSING: "no data",
    Cause.STALE: "the last sample is too old",
    Cause.INVALID: "a value that cannot be",
    Cause.UNREACHABLE: "who knows does not answer",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure: a finite number and its age, or the cause why there is none (and its age where that is known)."""

    value: float | None
    age_s: float | None = None
    cause: Cause | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.cause is None):
            raise ValueError(f"a reading has a value or a cause: {self.value!r}, {self.cause!r}")

    @classmethod
    def without(cls, cause: Cause, age_s: float | None = None) -> Reading:
        """No value, and why."""
        return cls(None, age_s, cause)

    @classmethod
    def of(cls, value: float, age_s: float, *, oldest_s: float, least: float = 0.0, most: float = 1e9) -> Reading:
        """The value if it is young enough and between `least` and `most`, ends included; else the cause.

        A sample from the future by more than `oldest_s` is as useless as one from the past.
        """
        if not isfinite(value) or not least <= value <= most:
            return cls(None, age_s, Cause.INVALID)
        if not abs(age_s) <= oldest_s:
            return cls(None, age_s, Cause.STALE)
        return cls(value, max(age_s, 0.0))


NOTHING = Reading.without(Cause.MISSING)


@dataclass(frozen=True, slots=True)
class Replicas:
    """A model's replicas as Ray Serve tells of them. `changing`: its application is being deployed anew."""

    target: int
    running: int
    starting: int = 0
    draining: int = 0
    changing: bool = False

    @property
    def held(self) -> int:
        """Those that hold GPUs."""
        return self.running + self.starting + self.draining


@dataclass(frozen=True, slots=True)
class Weights:
    """What a token is worth, in output tokens."""

    prompt: float
    output: float


@dataclass(frozen=True, slots=True)
class Seen:
    """One model at one moment. Rates are a second's; each field's query stands in `autoscaling.queries`.

    From gateways: requests that ended, that wait for or read an answer, how that number changes, those that were
    refused for lack of capacity; tokens and answers over the mix window, and over the window of rates (`recent_`);
    shares within the objectives: of first tokens, of the times between tokens, and of answers by their mean time per
    token. From engines, summed over running replicas: requests in the batch, those before it, tokens worked; the mean
    use of the KV cache.
    """

    finished: Reading = NOTHING
    in_flight: Reading = NOTHING
    growth: Reading = NOTHING
    refused: Reading = NOTHING
    prompt_tokens: Reading = NOTHING
    cached_tokens: Reading = NOTHING
    output_tokens: Reading = NOTHING
    answered: Reading = NOTHING
    recent_prompt_tokens: Reading = NOTHING
    recent_cached_tokens: Reading = NOTHING
    recent_output_tokens: Reading = NOTHING
    recent_answered: Reading = NOTHING
    ttft_within: Reading = NOTHING
    itl_within: Reading = NOTHING
    tpot_within: Reading = NOTHING
    running: Reading = NOTHING
    waiting: Reading = NOTHING
    kv_use: Reading = NOTHING
    worked_prompt_tokens: Reading = NOTHING
    worked_output_tokens: Reading = NOTHING
    replicas: Replicas | None = None
    replicas_cause: Cause | None = Cause.MISSING  # None where `replicas` is known

    def readings(self) -> dict[str, Reading]:
        """Every reading by its name."""
        return {name: value for name in READINGS if isinstance(value := getattr(self, name), Reading)}

    @property
    def arrivals(self) -> Reading:
        """Requests that arrive a second: those that ended, those by which more are open than before, the refused.

        Requests are counted when they end; a rate of ends lags behind the arrivals by an answer's length, and the
        growth of what is open is exactly the difference.
        """
        parts = (self.finished, self.growth, self.refused)
        return combined(parts, lambda finished, growth, refused: max(finished + growth, 0.0) + refused)

    def work_per_request(self, weights: Weights) -> Reading:
        """Work of an answered request in output tokens, over the mix window; missing where none was answered."""
        if self.answered.value == 0:
            return Reading.without(Cause.MISSING, self.answered.age_s)

        def mean(prompt: float, cached: float, output: float, answered: float) -> float:
            return (weights.prompt * max(prompt - cached, 0.0) + weights.output * output) / answered

        return combined((self.prompt_tokens, self.cached_tokens, self.output_tokens, self.answered), mean)

    def worked(self, weights: Weights) -> Reading:
        """Work that the engines did a second, in output tokens."""
        parts = (self.worked_prompt_tokens, self.worked_output_tokens)
        return combined(parts, lambda prompt, output: weights.prompt * prompt + weights.output * output)


READINGS = (
    "finished", "in_flight", "growth", "refused", "prompt_tokens", "cached_tokens", "output_tokens", "answered",
    "recent_prompt_tokens", "recent_cached_tokens", "recent_output_tokens", "recent_answered",
    "ttft_within", "itl_within", "tpot_within", "running", "waiting", "kv_use", "worked_prompt_tokens",
    "worked_output_tokens",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every model at one moment; `at` is the controller's clock, in seconds. A model that is not there is unknown.

    `flows`: requests a second to `auto` that routing gave to a model as the cheapest of several, by model and language
    (BCP-47), and that stayed there; `shifted`: those that the plan moved to a model. Clients that name a model are in
    neither.
    """

    at: float
    models: Mapping[str, Seen] = field(default_factory=dict)
    flows: Mapping[str, Mapping[str, Reading]] = field(default_factory=dict)
    shifted: Mapping[str, Mapping[str, Reading]] = field(default_factory=dict)

    def model(self, model_id: str) -> Seen:
        """What is known of a model: perhaps nothing."""
        return self.models.get(model_id, _UNKNOWN)


_UNKNOWN = Seen()


def combined(parts: tuple[Reading, ...], function: Callable[..., float]) -> Reading:
    """The function of all values, as old as the oldest; where some are missing, the first one's cause."""
    values: list[float] = []
    for part in parts:
        if part.value is None:
            return part
        values.append(part.value)
    return Reading(function(*values), max((part.age_s for part in parts if part.age_s is not None), default=None))
