"""Replicas around a pool: called for, started on a node, serving, drained, failed; and what they cost in GPU time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.pool import Pool
from autoscaling.snapshot import Replicas


class Lifecycle:
    """One model's replicas. A call that is taken back before its replica ran costs what it held until then."""

    def __init__(self, pool: Pool, conditions: Conditions, random: Random, initial: int) -> None:
        """`initial` replicas serve from the first moment on."""
        self.target = initial
        self.cold_starts = 0
        self.failures = 0
        self.reversals = 0
        self.replica_s = 0.0
        self._pool = pool
        self._conditions = conditions
        self._random = random
        self._ready: list[float] = []  # when each starting replica will serve, soonest first
        self._direction = 0
        for _ in range(initial):
            pool.add()

    @property
    def held(self) -> int:
        """Replicas that hold GPUs."""
        return self._pool.serving + len(self._ready) + self._pool.draining

    def replicas(self) -> Replicas:
        """As Ray Serve tells of them."""
        return Replicas(self.target, self._pool.serving, len(self._ready), self._pool.draining)

    def aim(self, now: float, target: int) -> None:
        """Applies a plan. What is too much is taken from those that start, the youngest first, then drained."""
        if target == self.target:
            return
        direction = 1 if target > self.target else -1
        self.reversals += self._direction == -direction
        self._direction = direction
        self.target = target
        self._call(now)
        for _ in range(len(self._ready) + self._pool.serving - target):
            if self._ready:
                self._ready.pop()
            else:
                self._pool.remove()

    def advance(self, now: float, seconds: float) -> None:
        """What happened in the `seconds` that end now: replicas became ready, replicas died."""
        self.replica_s += self.held * seconds
        while self._ready and self._ready[0] <= now:
            self._ready.pop(0)
            self._pool.add()
        for _ in range(self._deaths(seconds)):
            self._pool.lose()
            self.failures += 1
        self._call(now)

    def _call(self, now: float) -> None:
        """Starts as many as the target misses."""
        for _ in range(self.target - self._pool.serving - len(self._ready)):
            self._ready.append(now + self._starts())
            self.cold_starts += 1
        self._ready.sort()

    def _starts(self) -> float:
        """Seconds until the next replica serves."""
        told = self._conditions
        seconds = _lognormal(told.cold_start_s, told.cold_start_cv, self._random)
        if told.node_s and self.held >= told.warm_nodes:
            seconds += _lognormal(told.node_s, told.cold_start_cv, self._random)
        return seconds

    def _deaths(self, seconds: float) -> int:
        rate = self._conditions.failures_per_hour
        if not rate:
            return 0
        chance = -math.expm1(-rate * seconds / 3600)
        return sum(self._random.random() < chance for _ in range(self._pool.serving))


def _lognormal(mean: float, cv: float, random: Random) -> float:
    variance = math.log1p(cv * cv)
    return random.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance)) if mean > 0 else 0.0


def ticks(seconds: float, tick_s: float) -> Iterator[float]:
    """The end of each tick."""
    for index in range(1, math.ceil(seconds / tick_s - 1e-9) + 1):
        yield index * tick_s
