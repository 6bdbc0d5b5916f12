"""How long replicas take to start, from targets and running replicas as they are seen each round."""

from __future__ import annotations

from dataclasses import dataclass

KEPT = 8


@dataclass(frozen=True, slots=True)
class Starts:
    """`asked`: when each replica was called for that does not run yet, oldest first; None: before anybody looked.

    `took`: how long the last starts took, in seconds. `running`: replicas that ran when it was last looked at.
    """

    asked: tuple[float | None, ...] = ()
    took: tuple[float, ...] = ()
    running: int | None = None

    def after(self, now: float, target: int, running: int) -> tuple[Starts, tuple[float, ...]]:
        """With what is seen now, and the seconds of each start that has ended since.

        A replica that died and comes back counts from when it was missed. Where the target sank, the youngest calls
        are taken back.
        """
        missing = max(target - running, 0)
        if self.running is None:
            return Starts((None,) * missing, self.took, running), ()
        ended = min(max(running - self.running, 0), len(self.asked))
        took = tuple(now - at for at in self.asked[:ended] if at is not None)
        left = self.asked[ended:][:missing]
        left += (now,) * (missing - len(left))
        return Starts(left, (self.took + took)[-KEPT:], running), took

    @property
    def longest_s(self) -> float | None:
        """The longest of the last starts; None where none was seen."""
        return max(self.took, default=None)
