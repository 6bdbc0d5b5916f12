"""What a late request is worth, so that the promised share is in time: a price that follows measured misses.

Replicas are chosen where one more costs as much as the late requests that it saves. A late request costs `multiple`
times what it costs to serve one at full use. The multiple is the Lagrange multiplier of "at most 1 - attainment are
late", found by dual ascent while the fleet runs:

    d log(multiple) / dt = GAIN x (share late - AIM x (1 - attainment)) / day

where the share is weighted by requests. Too many late ones make it dearer to be late, and headroom grows; a quiet week
makes it cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

# With nothing late for a day, a promise of 99% and this gain the price halves; one percentage point too many doubles
# it within a day.
GAIN = 0.9
# The share is to stay inside what is promised.
AIM = 0.6
MOST_MULTIPLE = 20_000.0
LEAST, MOST = log(1.0), log(MOST_MULTIPLE)
DAY_S = 86400.0
RATE_HALF_LIFE_S = 86400.0


@dataclass(frozen=True, slots=True)
class Risk:
    """`at`: when it was last looked at; `rate`: mean requests a second, None before any."""

    multiple_log: float
    at: float | None = None
    rate: float | None = None

    @classmethod
    def of(cls, multiple: float) -> Risk:
        """Nothing measured."""
        return cls(log(multiple))

    @property
    def multiple(self) -> float:
        """What a late request costs, in costs of serving one at full use."""
        return exp(self.multiple_log)

    def after(self, now: float, requests_per_s: float, late_per_s: float, attainment: float) -> Risk:
        """With what ended in time and late since it was last looked at."""
        if self.at is None or now <= self.at:
            return Risk(self.multiple_log, now, requests_per_s if self.rate is None else self.rate)
        passed, before = now - self.at, self.rate if self.rate is not None else requests_per_s
        rate = before + (1 - 0.5 ** (passed / RATE_HALF_LIFE_S)) * (requests_per_s - before)
        if rate <= 0:
            return Risk(self.multiple_log, now, rate)
        promised = 1 - attainment
        # Against the mean rate, so that busy hours count for more than quiet ones.
        too_many = (late_per_s - AIM * promised * requests_per_s) / max(rate, requests_per_s) / promised
        moved = self.multiple_log + GAIN * too_many * passed / DAY_S
        return Risk(min(max(moved, LEAST), MOST), now, rate)
