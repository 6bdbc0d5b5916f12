"""How single requests scatter around a mean: lengths, latencies and waits of many, in slices."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist

from autoscaling.capacity.lengths import PROMPT_CV

_NORMAL = NormalDist()
# Slices of many by their rank: the lower half, and ever finer ones towards the tail.
_ENDS = (0.0, 0.5, 0.8, 0.95, 0.99, 1.0)
SLICES = tuple((high - low, _NORMAL.inv_cdf((low + high) / 2)) for low, high in pairwise(_ENDS))
"""Share of all, and by how many standard deviations its middle lies from the mean."""

_SIGMA = math.sqrt(math.log1p(PROMPT_CV**2))
PROMPTS = tuple((share, math.exp(_SIGMA * z - _SIGMA**2 / 2)) for share, z in SLICES)
"""Share of prompts, and their length over the mean one's: log-normal, as traces are drawn."""

WAITS = ((0.7, 0.42), (0.3, 2.353))
"""Share of an exponential distribution, and the mean of that share over the whole one's."""


def share_within(limit: float, middle: float, sigma: float) -> float:
    """Of a log-normal distribution with such a median, what is at most the limit."""
    if sigma <= 0:
        return float(middle <= limit)
    return _NORMAL.cdf(math.log(limit / middle) / sigma)


def share_below(first: float, last: float, limit: float) -> float:
    """Of what lies evenly between two ends, the share below a limit."""
    low, high = (first, last) if first <= last else (last, first)
    if high <= limit:
        return 1.0
    if low >= limit:
        return 0.0
    return (limit - low) / (high - low)
