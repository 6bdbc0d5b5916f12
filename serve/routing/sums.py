"""What decisions come to together: replay and evaluation add them up alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Sums:
    """One side's sums over decisions. Quality is summed over those whose figure is known."""

    decisions: int = 0
    unanswered: int = 0
    cost_usd: float = 0.0
    quality_sum: float = 0.0
    quality_known: int = 0

    def add(self, model: str | None, cost_usd: float, quality: float | None) -> None:
        """One decision."""
        self.decisions += 1
        self.unanswered += model is None
        self.cost_usd += cost_usd
        if quality is not None:
            self.quality_sum += quality
            self.quality_known += 1

    @property
    def quality(self) -> float | None:
        """Mean index points against the reference, where known; None: nowhere."""
        return self.quality_sum / self.quality_known if self.quality_known else None

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "decisions": self.decisions,
            "unanswered": self.unanswered,
            "cost_usd": self.cost_usd,
            "quality": self.quality,
            "quality_known": self.quality_known,
        }
