"""One simulated request on its way, and what engines have done for all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from autoscaling.simulate.traces import Arrival


@dataclass(slots=True)
class Request:
    """One request on its way. Times in seconds; `first_s` and `end_s` are NaN until they come.

    `prompt` and `output` are at least one token; an engine cuts an answer where its context ends.
    """

    arrival: Arrival
    first_s: float = math.nan
    end_s: float = math.nan
    written: int = 0  # tokens that the client has, known when the request enters or leaves the batch
    preemptions: int = 0
    paused_s: float = math.nan  # when it was preempted last
    cached: int = 0  # its blocks that are free and not taken yet, from its first token on
    ahead: int = 0  # blocks that are taken before those
    prompt: int = field(init=False)
    output: int = field(init=False)

    def __post_init__(self) -> None:
        self.prompt, self.output = max(self.arrival.prompt, 1), max(self.arrival.output, 1)

    @property
    def begun(self) -> bool:
        """Whether the client has a token of it."""
        return not math.isnan(self.first_s)

    @property
    def ttft_s(self) -> float:
        """Time to first token."""
        return self.first_s - self.arrival.at_s

    @property
    def itl_s(self) -> float:
        """Mean inter-token latency; 0 for an answer of one token."""
        return (self.end_s - self.first_s) / (self.output - 1) if self.output > 1 else 0.0


@dataclass(slots=True)
class Progress:
    """What engines have done; several may share one. Whoever reads `answered` and `ended` empties them.

    `gaps` are times between two tokens of a stream, `gaps_within` those of at most `itl_s`.
    """

    itl_s: float = math.inf
    answered: list[Request] = field(default_factory=list)  # had their first token
    ended: list[Request] = field(default_factory=list)
    read: int = 0  # tokens of prompts, again after a preemption
    wrote: int = 0
    gaps: int = 0
    gaps_within: int = 0
    preemptions: int = 0
