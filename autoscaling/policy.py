"""What a policy is."""

from __future__ import annotations

from typing import Protocol

from autoscaling.history import History
from autoscaling.plan import Plan
from autoscaling.snapshot import Snapshot
from serve.fleet import Fleet


class Policy(Protocol):
    """Decides from records alone: no clock, no network, no memory of its own.

    `needed` of its plans may be any number; `autoscaling.bounds.Bounded` turns it into `wanted` by bounds, pace and
    scale-down window, and holds what a policy is blind for. A policy may look at all models together.
    """

    @property
    def name(self) -> str:
        """As `autoscaling.policy` of the fleet names it."""

    @property
    def own_pace(self) -> bool:
        """Whether the policy stabilises by itself, as the autoscalers it stands for do: then scale-down window and pace
        of the description do not apply to it; bounds, spares, budget and holding when blind always do. Where its
        pace keeps it from what it needs, its plans say so in `wanted`."""

    def plan(self, now: float, snapshot: Snapshot, history: History, fleet: Fleet) -> Plan:
        """The plan for this moment. `history` ends before it."""
