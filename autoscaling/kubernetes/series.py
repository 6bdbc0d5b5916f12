"""Which events are written: one of a kind becomes a series, and a flood is cut off. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

# As client-go's correlator has it: what is told again within ten minutes is the same event; of one object 25 at once,
# then one in five minutes.
SAME_S = 600.0
BURST = 25
REFILL_S = 300.0
# Events of one object that are remembered for being told again.
KEPT = 256


@dataclass(frozen=True, slots=True)
class Told:
    """An event that was written: its name, how often it was told, and when last."""

    name: str
    count: int
    at: float


@dataclass(frozen=True, slots=True)
class Series:
    """What was told of one object, and what may still be: `tokens` at `at`."""

    told: dict[Hashable, Told] = field(default_factory=dict)
    tokens: float = BURST
    at: float = 0.0

    def again(self, now: float, key: Hashable) -> Told | None:
        """The event that this one repeats, counted once more; None where it is a new one."""
        known = self.told.get(key)
        if known is None or now - known.at > SAME_S:
            return None
        return replace(known, count=known.count + 1, at=now)

    def spent(self, now: float) -> Series | None:
        """After one more write; None where there are too many."""
        tokens = min(BURST, self.tokens + max(now - self.at, 0.0) / REFILL_S)
        return None if tokens < 1 else replace(self, tokens=tokens - 1, at=now)

    def after(self, key: Hashable, told: Told) -> Series:
        """With what was written; the oldest are forgotten."""
        kept = {**{k: t for k, t in self.told.items() if told.at - t.at <= SAME_S and k != key}, key: told}
        return replace(self, told=dict(list(kept.items())[-KEPT:]))
