"""Service level objectives: what the fleet promises its clients, and what alerts and the autoscaler hold it to."""

from __future__ import annotations

from pydantic import Field, field_validator

from serve.fleet.base import Frozen

# Bounds of the gateway's histograms. An objective is one of them: between two bounds a histogram cannot say how many
# requests were in time.
# What a person waits for: from an instant cache hit to the longest queue that is still an answer.
TTFT_BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
# From a small model on a fast GPU (2 ms) over reading speed (a person reads 4-5 words a second: 0.15 s a token) to a
# batch that a long prefill holds up.
ITL_BOUNDS_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)


class Slo(Frozen):
    """What is promised. A request counts against availability when it fails for a reason that is not the client's."""

    availability: float = Field(
        default=0.995, gt=0.5, lt=1, description="Share of requests that are answered (no 5xx, no broken stream)."
    )
    ttft_s: float = Field(default=2.5, description="Time to first token of a streamed answer.")
    itl_s: float = Field(default=0.1, description="Inter-token latency: between two chunks of a stream.")
    attainment: float = Field(
        default=0.99, gt=0.5, lt=1, description="Share of first tokens, and of further tokens, that are in time."
    )

    @field_validator("ttft_s")
    @classmethod
    def _measurable_ttft(cls, value: float) -> float:
        return _one_of(value, TTFT_BOUNDS_S)

    @field_validator("itl_s")
    @classmethod
    def _measurable_itl(cls, value: float) -> float:
        return _one_of(value, ITL_BOUNDS_S)


def _one_of(value: float, bounds: tuple[float, ...]) -> float:
    if value not in bounds:
        raise ValueError(
            f"{value:g} is no bound of the histogram that measures it: {', '.join(f'{b:g}' for b in bounds)}"
        )
    return value
