"""How much a load may grow before another replica could serve: a level, and what is learnt of how often it is exceeded.

    level    L = log of the load now + BLEND x (its mean over hours - it)         a load falls back to its mean
    residual r = (log of the largest load within the horizon - L) / sigma             known once the horizon has passed
    sigma      = mean size of such errors over the last hours                         calm days and restless ones

The residuals' distribution is learnt from all that have passed (a histogram that forgets with a half-life of four
days), so a quantile of the peak is exp(L + sigma x quantile of r). Forecasts with daily or weekly lags improved the
error on production traces by 1-6% only, and made the tail no thinner; what tells quiet from restless hours does
(bench/forecast.py prints both beside "no change").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import exp, log

# Share of the way back to its mean at which a load is expected, and over what it is a mean (half-life).
BLEND = 0.3
MEAN_HALF_LIFE_S = 4 * 3600.0
SIGMA_HALF_LIFE_S = 6 * 3600.0
RESIDUALS_HALF_LIFE_S = 4 * 86400.0
# Before anything is learnt: an error of a quarter, and residuals that are Laplace-distributed, which has heavier tails
# than a normal distribution; as if so many residuals had been seen.
FIRST_SIGMA = 0.25
LEAST_SIGMA = 0.02
PRIOR = 100.0
# Of a Laplace or normal distribution, the standard deviation is 1.25 to 1.4 times the mean size.
SPREAD = 1.25
# Bins of residuals, in sigmas.
LOWEST, WIDTH, BINS = -4.0, 0.2, 80
# One residual a minute is plenty, and keeps the pending ones few.
EVERY_S = 60.0
# Loads are in replicas; differences below a twentieth of one need no other plan.
LEAST_LOAD = 0.05
ROUNDING = 1e-9


def _prior() -> tuple[float, ...]:
    weights = [exp(-1.2 * abs(LOWEST + WIDTH * (index + 0.5))) for index in range(BINS)]
    whole = sum(weights)
    return tuple(PRIOR * weight / whole for weight in weights)


_PRIOR = _prior()


@dataclass(frozen=True, slots=True)
class Pending:
    """A forecast whose horizon has not passed: made `at`, and the largest logarithm of the load since."""

    at: float
    level: float
    sigma: float
    peak: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known after the last round; times are the controller's, loads in replicas."""

    at: float | None = None
    seen_s: float = 0.0  # for how long loads have been seen
    load: float = 0.0  # logarithm of the last load
    mean: float = 0.0  # logarithm
    sigma: float = FIRST_SIGMA
    bins: tuple[float, ...] = _PRIOR
    pending: tuple[Pending, ...] = ()

    def after(self, now: float, load: float, horizon_s: float) -> Forecast:
        """With a load that was measured now, for those that look `horizon_s` ahead."""
        if self.at is None or now <= self.at:
            return self.seeing(now, load)
        seeing = self.seeing(now, load)
        value, mean = seeing.load, seeing.mean
        sigma, bins = self.sigma, self.bins
        pending: list[Pending] = []
        for one in self.pending:
            if value > one.peak:
                one = Pending(one.at, one.level, one.sigma, value)
            if now - one.at < horizon_s:
                pending.append(one)
            else:
                sigma, bins = _learnt(sigma, bins, one)
        if not pending or now - pending[-1].at >= EVERY_S:
            pending.append(Pending(now, value + BLEND * (mean - value), sigma, value))
        return Forecast(now, seeing.seen_s, value, mean, sigma, bins, tuple(pending))

    def seeing(self, now: float, load: float) -> Forecast:
        """What is expected from a load that is measured now; nothing is learnt."""
        value = log(max(load, LEAST_LOAD))
        if self.at is None or now <= self.at:
            return Forecast(now, self.seen_s, value, value, self.sigma, self.bins, self.pending)
        passed = now - self.at
        seen_s = self.seen_s + passed
        # At first the plain mean of all that was seen: the first load must not count for hours.
        step = max(1 - 0.5 ** (passed / MEAN_HALF_LIFE_S), passed / (seen_s + passed))
        mean = self.mean + step * (value - self.mean)
        return Forecast(now, seen_s, value, mean, self.sigma, self.bins, self.pending)

    @property
    def level(self) -> float:
        """What is expected, in replicas, if nothing unusual happens."""
        return exp(self.load + BLEND * (self.mean - self.load))

    def exceeded(self) -> Iterator[tuple[float, float]]:
        """Loads in replicas, rising, each with the probability that the peak within the horizon is above it."""
        whole = sum(self.bins)
        above = whole
        load = exp(self.load + BLEND * (self.mean - self.load) + self.sigma * LOWEST)
        step = exp(self.sigma * WIDTH)
        for weight in self.bins:
            above -= weight
            load *= step
            yield load, max(above / whole, 0.0)

    def quantile(self, probability: float) -> float:
        """The load that the peak within the horizon stays below with this probability."""
        return next(load for load, above in self.exceeded() if above <= 1 - probability + ROUNDING)

    def shifted(self, by_s: float) -> Forecast:
        """The same on a clock that is `by_s` further."""
        pending = tuple(Pending(one.at + by_s, one.level, one.sigma, one.peak) for one in self.pending)
        return replace(self, at=None if self.at is None else self.at + by_s, pending=pending)


def _learnt(sigma: float, bins: tuple[float, ...], done: Pending) -> tuple[float, tuple[float, ...]]:
    """Error and histogram with one more residual."""
    error = done.peak - done.level
    index = min(max(int((error / done.sigma - LOWEST) / WIDTH), 0), BINS - 1)
    kept = 0.5 ** (EVERY_S / RESIDUALS_HALF_LIFE_S)
    counted = [weight * kept for weight in bins]
    counted[index] += 1.0
    step = 1 - 0.5 ** (EVERY_S / SIGMA_HALF_LIFE_S)
    return max(sigma + step * (SPREAD * abs(error) - sigma), LEAST_SIGMA), tuple(counted)
