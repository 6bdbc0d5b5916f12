"""What serves one model in the simulation, between two moments: fluid or request by request, behind one interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from autoscaling.simulate.traces import Arrival


@dataclass(frozen=True, slots=True)
class Batch:
    """What arrives for one model within a tick: how many, and their mean lengths in tokens. `cv` is the coefficient of
    variation of the times between them. `arrivals` are the single requests, where they are drawn."""

    count: float
    prompt: float
    output: float
    cv: float = 1.0
    arrivals: tuple[Arrival, ...] = ()


@dataclass(slots=True)
class Tally:
    """Sums since the begin, and the state now; of fractions of requests where the world is fluid.

    `answered` had a first token; `ttft_within` of them in time. `finished` ended; `itl_within` of them with a mean
    inter-token latency within the objective; `met` both. `lost` died with a replica. Tokens: of finished requests
    (`prompt`, `output`), and as the engines computed them (`worked_*`). `token_gaps` and `gaps_within`: times between
    two tokens of a stream, as gateways see them, and those in time.
    """

    arrived: float = 0.0
    answered: float = 0.0
    ttft_within: float = 0.0
    finished: float = 0.0
    itl_within: float = 0.0
    met: float = 0.0
    lost: float = 0.0
    prompt: float = 0.0
    output: float = 0.0
    worked_prompt: float = 0.0
    worked_output: float = 0.0
    token_gaps: float = 0.0
    gaps_within: float = 0.0
    running: float = 0.0
    waiting: float = 0.0
    kv_use: float = 0.0  # mean of the serving replicas

    @property
    def open(self) -> float:
        """Requests that have arrived and not ended."""
        return self.arrived - self.finished - self.lost


class Pool(Protocol):
    """One model's serving replicas and the requests in them. The lifecycle around it decides who serves when.

    Requests that arrive while none serves wait, as those of a gateway that holds them do.
    """

    @property
    def serving(self) -> int:
        """Replicas that take new requests."""

    @property
    def draining(self) -> int:
        """Replicas that take none, and still have some to end."""

    @property
    def tally(self) -> Tally:
        """Sums and state at the last moment; the object may change with the next tick."""

    def add(self) -> None:
        """One more replica serves from now on."""

    def remove(self) -> None:
        """One takes no more requests, and goes when it has ended those it has."""

    def lose(self) -> None:
        """One dies with what it has."""

    def advance(self, until_s: float, batch: Batch) -> None:
        """Runs until then, with what arrives on the way."""

    def ttft_quantile(self, quantile: float) -> float:
        """Of all first tokens so far, in seconds; NaN before the first."""

    def itl_quantile(self, quantile: float) -> float:
        """Of all finished answers' mean inter-token latencies, in seconds; NaN before the first."""
