"""How models share room and GPUs: `autoscaling.joint` and `autoscaling.budget` of the fleet."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from serve.fleet.base import Frozen
from serve.fleet.gpus import gpus


class Joint(Frozen):
    """Planning across models: load that moves to another model above the floor where that is cheaper than a replica."""

    enabled: bool = Field(
        default=True,
        description="With two or more engines. Off: each model is planned by itself; a budget still holds.",
    )
    together: float = Field(
        default=1,
        ge=0,
        le=1,
        description="Of the headroom of several models that lean on the same replicas the largest counts whole, and "
        "this share of the others'. 1: each has its own; 0.4143: as for peaks that are independent. Less than 1 "
        "paid in no fleet that was simulated (docs/autoscaling.md).",
    )
    price_basis: Literal["marginal", "list"] = Field(
        default="marginal",
        description="By what a token is dearer on the other model: `marginal`: nothing but the replicas that it takes, "
        "which are counted; `list`: the difference of the models' prices as well, which is what the caller pays.",
    )
    shift_cost: float = Field(
        default=0.05,
        ge=0,
        le=10,
        description="Moving is no end in itself: it costs this share of the replicas that the moved work takes.",
    )
    change_cost: float = Field(
        default=0.02, ge=0, le=10, description="Beginning or ending to move, in the same shares: against flapping."
    )
    missed_request_usd: float = Field(
        default=0.05,
        gt=0,
        le=10_000,
        description="What a request costs for which there is no room, where `work.late_request_usd` does not say; it "
        "decides who gets the GPUs of a budget that is too small.",
    )
    time_limit_s: float = Field(
        default=0.8, gt=0, le=60, description="For the solver; then the best answer that it has found counts."
    )


class Budget(Frozen):
    """GPUs that all models together may hold, starting and draining replicas included. `replicas.min` stands above."""

    gpus: dict[str, Annotated[int, Field(ge=0, le=1_000_000)]] = Field(
        default_factory=dict,
        description="By their names in catalogue/gpus.yaml, e.g. `{H100-SXM-80GB: 16}`; others have no limit.",
    )

    @field_validator("gpus")
    @classmethod
    def _known(cls, budget: dict[str, int]) -> dict[str, int]:
        for name in budget:
            if name not in gpus():
                raise ValueError(f"{name!r} is none of the known GPUs: {', '.join(gpus())}")
        return budget
