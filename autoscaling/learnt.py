"""What one replica does a second within the objectives, learnt from what replicas did.

Only two kinds of rounds teach, all replicas being up:

* requests waited at the engines for longer than rates are measured over: the engines were at their limit, and what each
  did *is* what it can do. The estimate moves towards it, and down only where an objective was missed;
* nothing waited: what each did within the objectives is proven. The estimate is at least that. If an objective was
  missed while each replica did more than half of the estimate, the batch was too large: the estimate moves below.

A missed objective at low load teaches nothing: a cold start or a neighbour's noise is no limit of the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# Share of the way that one saturated round moves the estimate: half of it within two rounds.
STEP = 0.3
# Beyond the objectives the sustainable work lies below what was done; how far is not known.
BACK_OFF = 0.95
BUSY = 0.5
# An estimate never leaves this range around the seed: a broken exporter must not teach that a replica does nothing.
WIDEST = 50.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """The estimate in output tokens a second. `rounds`: how many have taught it anything."""

    seed: float
    tokens_per_s: float
    rounds: int = 0

    @classmethod
    def of(cls, seed: float) -> Capacity:
        """Nothing learnt."""
        return cls(seed, seed)

    def after(self, each: float, saturated: bool, met: bool | None) -> Capacity:
        """With one more round, in which every replica did `each`. `met`: whether objectives were met; None: not known
        because nothing was streamed."""
        estimate = self.tokens_per_s
        if saturated:
            moved = estimate + STEP * (each - estimate)
            estimate = min(estimate, moved) if met is False else moved
        elif met is False:
            estimate = min(estimate, BACK_OFF * each) if each > BUSY * estimate else estimate
        else:
            estimate = max(estimate, each)
        estimate = min(max(estimate, self.seed / WIDEST), self.seed * WIDEST)
        if estimate == self.tokens_per_s:
            return self
        return replace(self, tokens_per_s=estimate, rounds=self.rounds + 1)
