"""Quantiles of times that differ by orders of magnitude, from a histogram whose bins grow by 5%."""

from __future__ import annotations

import math

# A value and the one that stands for it are in the same bin, so no quantile is off by more than this.
BIN = 1.05
# Seconds; what is less shares a bin. No step of an engine is that short.
LEAST = 1e-6

_PER_BIN = 1 / math.log(BIN)


class Quantiles:
    """Weighted values of 0 or more, in bins that are made when the first value comes. Not for several threads."""

    def __init__(self) -> None:
        self._bins: dict[int, float] = {}
        self._total = 0.0
        self._smallest, self._largest = math.inf, -math.inf

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return self._total

    def add(self, value: float, weight: float = 1.0) -> None:
        """Counts a value `weight` times; a weight of 0 changes nothing. Raises ValueError: value or weight is negative,
        infinite or NaN."""
        if not (0 <= value < math.inf and 0 <= weight < math.inf):
            raise ValueError(f"a value and a weight are finite, and 0 or more: {value!r}, {weight!r}")
        if not weight:
            return
        index = math.floor(math.log(value) * _PER_BIN) if value > LEAST else _FIRST
        self._bins[index] = self._bins.get(index, 0.0) + weight
        self._total += weight
        if value < self._smallest:
            self._smallest = value
        if value > self._largest:
            self._largest = value

    def quantile(self, quantile: float) -> float:
        """The value that this share of the weight is at most, within 5%; the ends exactly; NaN of nothing.

        Within a bin the weight is taken to be spread evenly over the logarithm. Raises ValueError: not within [0, 1].
        """
        if not 0 <= quantile <= 1:
            raise ValueError(f"a quantile is between 0 and 1: {quantile!r}")
        if not self._total:
            return math.nan
        if quantile in (0, 1):
            return self._largest if quantile else self._smallest
        left = quantile * self._total
        for index in sorted(self._bins):
            weight = self._bins[index]
            if left <= weight:
                value = BIN ** (index + left / weight) if index > _FIRST else LEAST
                return min(max(value, self._smallest), self._largest)
            left -= weight
        return self._largest  # what rounding has left over


_FIRST = math.floor(math.log(LEAST) * _PER_BIN)
