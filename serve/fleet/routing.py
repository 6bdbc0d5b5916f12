"""The policy of choice: how good is good enough, what stands in for what."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from serve.fleet.base import Frozen, ModelId, Tag
from serve.fleet.tasks import Task


class Preset(StrEnum):
    """Named quality floors."""

    ECONOMY = "economy"
    BALANCED = "balanced"
    BEST = "best"


class PriceBasis(StrEnum):
    """Which price of a token `auto` compares."""

    LIST = "list"
    MARGINAL = "marginal"
    AVERAGE = "average"


# Index points below the reference model. -15 admits the 9B models in the languages where their point estimate is
# near the 70B's, and keeps them out where they were measured far below; the 95% intervals are wider than this
# (docs/routing.md): no floor can be both strict and supported by today's evidence.
PRESET_FLOORS = {Preset.ECONOMY: -30.0, Preset.BALANCED: -15.0, Preset.BEST: -3.0}

# Strict: `true` is no number of points.
Floor = Preset | Annotated[float, Field(ge=-100, le=100, strict=True)]


def floor_points(floor: Floor) -> float:
    """The floor in index points relative to the reference model; 0 means as good as it."""
    return PRESET_FLOORS[floor] if isinstance(floor, Preset) else float(floor)


class Routing(Frozen):
    """How `model: auto` chooses."""

    reference: ModelId | None = Field(
        default=None,
        description="The model that quality is measured against, and that answers when no other may. "
        "Default: the fleet's first chat model with the most parameters.",
    )
    quality_floor: Floor = Field(
        default=Preset.BALANCED,
        description="A preset (economy -30, balanced -15, best -3), or index points relative to the reference: "
        "-15 tolerates 15 points below it.",
    )
    floors: dict[Task, Floor] = Field(
        default_factory=dict,
        description="Floors of single tasks, e.g. `{summary: economy, code: best}`; the other tasks have "
        "`quality_floor`. A caller's own floor stands above both.",
    )
    expected_output_tokens: int = Field(
        default=256, gt=0, description="Assumed answer length until a running mean is known, before `max_tokens` caps."
    )
    price_basis: PriceBasis = Field(
        default=PriceBasis.LIST,
        description="Which price models are compared by: `list` (of the description or its card), or what their GPU "
        "hours come to per token served: `average` with idle time in it, `marginal` without. The measured ones need "
        "an engine with a GPU price, and stay `list` until tokens were served.",
    )
    waiting_usd_per_s: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="What a second of waiting at a busy model is worth: added to its cost when models are compared. "
        "0: cost alone decides while a model has capacity.",
    )
    min_confidence: float = Field(
        default=0.5, gt=0, lt=1, description="Below this posterior the language is `other`: never a guess."
    )
    prior: dict[Tag, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=dict, description="The mix of languages expected where a text says too little; may be empty."
    )

    retry_wrong_language: bool = Field(
        default=False,
        description="Ask the next model once where an answer that is not streamed came in a wrong language. Both are "
        "paid for. Never with tools or a response format, and never where a model was named.",
    )

    def floor(self, task: Task | None = None) -> float:
        """The floor of a task in index points; None: of a request whose task is not known."""
        return floor_points(self.floors.get(task, self.quality_floor) if task is not None else self.quality_floor)
