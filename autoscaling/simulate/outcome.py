"""What came of a simulated policy: the figures that are compared, and the minutes that are plotted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of one model. `met` is the share of its requests within both objectives, 1 where there were none;
    `work` arrived, in output tokens a second; replicas are those at its end, `wanted` the plan's."""

    at_s: float
    requests: float
    work: float
    met: float
    waiting: float
    wanted: int
    serving: int
    held: int


@dataclass(frozen=True, slots=True)
class ModelOutcome:
    """One model under one policy. Shares of requests; times in seconds; GPU-hours from the call for a replica until it
    has gone. `met`: within both objectives; requests that were lost or never answered met none.

    `reversals` are changes of the plan in the other direction than the one before.
    """

    model: str
    requests: float
    met: float
    ttft_within: float
    itl_within: float
    ttft_p50_s: float
    ttft_p99_s: float
    itl_p50_s: float
    itl_p99_s: float
    gpu_hours: float
    usd: float
    reversals: int
    cold_starts: int
    failures: int
    minutes: tuple[Minute, ...] = ()

    @property
    def worst_minute(self) -> Minute | None:
        """The one in which the most requests missed."""
        return max(self.minutes, key=lambda minute: (1 - minute.met) * minute.requests, default=None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One policy over a trace. `seconds` of simulated time, `took_s` of real time."""

    policy: str
    seconds: float
    took_s: float
    models: Mapping[str, ModelOutcome]

    @property
    def met(self) -> float:
        """Share of all requests within both objectives."""
        requests = sum(one.requests for one in self.models.values())
        return sum(one.met * one.requests for one in self.models.values()) / requests if requests else 1.0

    @property
    def gpu_hours(self) -> float:
        """Of all models."""
        return sum(one.gpu_hours for one in self.models.values())

    @property
    def usd(self) -> float:
        """Of all models."""
        return sum(one.usd for one in self.models.values())
