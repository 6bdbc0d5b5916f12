"""How long a request waits at a model beyond what an idle engine takes: queueing, as the gateway sees it."""

from __future__ import annotations

# A first byte's time also has the prompt's length in it: the mean of the last some ten, against the shortest such mean
# of the last minutes, leaves mostly the queue.
WEIGHT = 0.1
# The shortest mean is forgotten by so much each second, so that a model that became slower for good (longer prompts, a
# smaller GPU) counts as its own measure again: it doubles in ten minutes.
FORGET_PER_S = 0.00116
# What an estimate is worth falls by half in so many seconds without an answer.
HALF_LIFE_S = 10.0


class Waits:
    """One model's waiting time. Times are seconds of one clock."""

    __slots__ = ("_at", "_least", "_mean")

    def __init__(self) -> None:
        self._mean: float | None = None
        self._least = 0.0
        self._at = 0.0

    def first_byte(self, seconds: float, now: float) -> None:
        """An answer began `seconds` after its request was sent."""
        if self._mean is None:
            self._mean = self._least = seconds
        else:
            self._least *= 1 + FORGET_PER_S * max(now - self._at, 0.0)
            self._mean += WEIGHT * (seconds - self._mean)
            self._least = min(self._least, self._mean)
        self._at = now

    def expected(self, now: float, oldest_s: float = 0.0) -> float:
        """Seconds that a request would wait. `oldest_s` is how long the oldest one that waits has waited: a queue
        that does not move sends no first bytes to learn from."""
        if self._mean is None:
            return 0.0
        faded = (self._mean - self._least) * float(0.5 ** (max(now - self._at, 0.0) / HALF_LIFE_S))
        return max(faded, oldest_s - self._mean, 0.0)
