"""When to try again what failed."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_S = 300.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Failures in a row, and when the next attempt may be made."""

    failures: int = 0
    until: float = float("-inf")

    def failed(self, now: float, interval_s: float, chance: float) -> Backoff:
        """After one more failure: an interval, then twice as long each time, up to LONGEST_S or the interval.

        `chance` in [0, 1) takes up to half of the wait off, so that several clusters are not called in step.
        """
        wait = min(interval_s * 2.0 ** min(self.failures, 30), max(LONGEST_S, interval_s))
        return Backoff(self.failures + 1, now + wait * (1 - chance / 2))
