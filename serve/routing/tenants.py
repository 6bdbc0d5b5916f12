"""What several tenants say together, so that none of them moves it by more than 5%.

Each tenant has one value, the logarithm of a ratio, and a weight between 0 and 1 that grows with what it was seen to
do.

    together = sum of weight x value / max(sum of weights, limit / share)

with values clipped to `limit`, and to half of it around their weighted median where there are many. One tenant's part
is at most `share`. Few tenants move the value little: what is not known well stays as it was. Where there is one tenant
only, or its owner trusts all of them, there is nobody to protect: they count in full.
"""

from __future__ import annotations

from collections.abc import Sequence

# ln 1.047: what one tenant can do, with some room for the others' weights that it displaces.
SHARE = 0.046


def together(said: Sequence[tuple[float, float]], limit: float, alone: bool, share: float = SHARE) -> float:
    """The value of all (value, weight) pairs: 0 where there are none, and never beyond `limit`."""
    if not said:
        return 0.0
    least = 1.0 if alone else limit / share
    weights = sum(weight for _, weight in said)
    low, high = -limit, limit
    if weights > least and not alone:
        middle = min(max(_median(said), low), high)
        low, high = max(low, middle - limit / 2), min(high, middle + limit / 2)
    return sum(min(max(value, low), high) * weight for value, weight in said) / max(weights, least)


def _median(said: Sequence[tuple[float, float]]) -> float:
    half = sum(weight for _, weight in said) / 2
    passed = 0.0
    for value, weight in sorted(said):
        passed += weight
        if passed >= half:
            return value
    return max(said)[0]
