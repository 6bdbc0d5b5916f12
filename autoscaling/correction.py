"""How far what replicas really do is from what they were reckoned to do: a factor on the reckoned limit.

Every round tells how much of the reckoned limit a replica did (its use), and which share of requests was late. Below
the true limit few are late, beyond it most: the factor is the use that separates the two best, the one that minimises

    requests in time at a greater use + requests late at a smaller one

over a histogram that forgets. Single bad rounds (a cold start, a neighbour, a prompt that holds a step up) do not move
it, however low the use they came at: they are outnumbered. What cannot be told apart stays at what was reckoned.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

# Bins of use, on a logarithmic scale: from a fiftieth of what was reckoned to fifty times as much, 5% each.
WIDTH = 0.05
LOWEST = -78 * WIDTH
BINS = 156
HALF_LIFE_S = 86400.0
# As if the reckoned limit had been seen to hold for so many seconds of traffic on either side.
PRIOR_S = 900.0
# How far from the reckoned limit the prior's own observations lie: those nearby outweigh few that are real.
PRIOR_BINS = 20


# The factor is found anew so often; what was seen in between waits with the rest.
EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Correction:
    """By index of use, the seconds in time and late that were seen there; the prior is not among them. `fresh_s`
    of them have not been looked at yet."""

    bins: tuple[tuple[int, float, float], ...] = ()
    factor: float = 1.0
    fresh_s: float = 0.0

    def after(self, use: float, late: float, seconds: float, weight: float = 1.0) -> Correction:
        """With a round of `seconds` at that use (1 = as reckoned), of whose requests the share `late` was late; it
        counts for `weight` such rounds."""
        if use <= 0:
            return self
        index = min(max(int((log(use) - LOWEST) / WIDTH), 0), BINS - 1)
        met, missed = weight * seconds * (1 - late), weight * seconds * late
        fresh_s = self.fresh_s + seconds
        if fresh_s < EVERY_S:
            found = list(self.bins)
            at = next((place for place, told in enumerate(found) if told[0] >= index), len(found))
            if at < len(found) and found[at][0] == index:
                found[at] = (index, found[at][1] + met, found[at][2] + missed)
            else:
                found.insert(at, (index, met, missed))
            return Correction(tuple(found), self.factor, fresh_s)
        kept = 0.5 ** (fresh_s / HALF_LIFE_S)
        told = {place: (before * kept, after * kept) for place, before, after in self.bins}
        before, after = told.get(index, (0.0, 0.0))
        told[index] = (before + met, after + missed)
        bins = tuple((place, *each) for place, each in sorted(told.items()) if sum(each) > 1.0)
        return Correction(bins, _best(bins))


def _best(bins: tuple[tuple[int, float, float], ...]) -> float:
    """The use that separates best; of equals the one nearest to 1."""
    one = int(-LOWEST / WIDTH)
    told: dict[int, tuple[float, float]] = {index: (met, late) for index, met, late in bins}
    each = PRIOR_S / PRIOR_BINS
    for step in range(PRIOR_BINS):
        below, above = one - 1 - step, one + step
        met, late = told.get(below, (0.0, 0.0))
        told[below] = (met + each, late)
        met, late = told.get(above, (0.0, 0.0))
        told[above] = (met, late + each)
    cost = sum(met for met, _ in told.values())  # everything is beyond a limit of nothing
    best, at = cost, min(told)
    for index in sorted(told):  # the limit lies at the upper end of this bin
        met, late = told[index]
        cost += late - met
        if cost < best - 1e-9 or (abs(cost - best) <= 1e-9 and abs(index + 1 - one) < abs(at - one)):
            best, at = cost, index + 1
    return exp(LOWEST + WIDTH * at)
