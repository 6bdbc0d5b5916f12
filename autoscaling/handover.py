"""What a leader makes of the past that the leader before it left."""

from __future__ import annotations

from dataclasses import replace

from autoscaling.history import History, ModelHistory, Round


def after_gap(history: History, now: float, longest_s: float) -> History:
    """The past with one blind round at `now`, for each model that nobody looked at for more than `longest_s` seconds.

    What was needed in between is not known; were it taken for nothing, a new leader would take replicas away that the
    one before had asked for a moment ago. A round that saw nothing counts as its target, as every blind one does.
    """
    return replace(history, models={name: _bridged(past, now, longest_s) for name, past in history.models.items()})


def _bridged(past: ModelHistory, now: float, longest_s: float) -> ModelHistory:
    if not past.rounds or now - past.rounds[-1].at <= longest_s:
        return past
    blind = Round(now, target=past.target, before=past.target)
    return replace(past, rounds=(*past.rounds, blind))
