"""A trace cut into ticks: counts with the trace's burstiness for the fluid world, single requests for the exact one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

from autoscaling.simulate.pool import Batch
from autoscaling.simulate.traces import Arrival, Trace, Window

NOTHING = Batch(0.0, 1.0, 1.0)


class Flow:
    """One trace, read once from its begin."""

    def __init__(self, trace: Trace, random: Random, *, single: bool) -> None:
        """`single`: whether batches carry their requests."""
        self._windows = trace.windows
        self._index = 0
        self._random = random
        self._requests: Iterator[Arrival] | None = trace.drawn(random) if single or trace.arrivals else None
        self._single = single
        self._next: Arrival | None = next(self._requests, None) if self._requests is not None else None

    def until(self, begin: float, end: float) -> Batch:
        """What arrives from `begin` to `end`; calls follow one another in time."""
        if self._requests is not None:
            return self._counted(end)
        return self._drawn(begin, end)

    def _counted(self, end: float) -> Batch:
        assert self._requests is not None
        found: list[Arrival] = []
        while self._next is not None and self._next.at_s < end:
            found.append(self._next)
            self._next = next(self._requests, None)
        if not found:
            return NOTHING
        count = len(found)
        prompt = sum(one.prompt for one in found) / count
        output = sum(one.output for one in found) / count
        return Batch(count, max(prompt, 1.0), max(output, 1.0), 1.0, tuple(found) if self._single else ())

    def _drawn(self, begin: float, end: float) -> Batch:
        """Counts of a renewal process with the window's variation over a tick, which is long beside the gaps: mean m
        and variance cv² x m, drawn from a gamma distribution."""
        window = self._window(begin)
        mean = window.requests_per_s * (end - begin) if window is not None else 0.0
        if window is None or mean <= 0:
            return NOTHING
        spread = max(window.cv, 1e-3) ** 2
        count = self._random.gammavariate(mean / spread, spread)
        return Batch(count, window.prompt, window.output, window.cv)

    def _window(self, at: float) -> Window | None:
        windows = self._windows
        while self._index < len(windows) and windows[self._index].start_s + windows[self._index].seconds <= at:
            self._index += 1
        if self._index == len(windows) or math.isnan(at) or windows[self._index].start_s > at:
            return None
        return windows[self._index]
