"""Which engine shapes a model can have: heads, layers, memory, context. Pure arithmetic over the description."""

from __future__ import annotations

from serve.errors import Problem
from serve.fleet.card import ModelCard
from serve.fleet.engine import Engine


def shape_problems(card: ModelCard, engine: Engine, path: str) -> list[Problem]:
    """Every reason why this engine cannot run this model, none when it can."""
    return []
