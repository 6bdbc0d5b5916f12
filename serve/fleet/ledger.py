"""How the ledger is kept, and how budgets are held while requests are open."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from serve.fleet.base import Frozen, PositiveSeconds


class Ledger(Frozen):
    """What each answer cost, in `state_dir`; budgets stand in the keys file (`tenants:`)."""

    keep_days: int = Field(default=400, ge=1, le=36_500, description="Age at which rows go; sums by day stay.")
    reserve_margin: float = Field(
        default=2.0, ge=1, le=100, description="So many times its expected cost must be free for a request to be taken."
    )
    unbounded_tokens: int | None = Field(
        default=None,
        gt=0,
        description="Output tokens held back for an open request that states no `max_tokens`. None: all that the "
        "model's context has room for, so that no answer can overspend a budget while others are open.",
    )
    lease_s: float = Field(
        default=30, ge=3, le=3600, description="A worker that dies withholds its part of a budget for so long."
    )
    wait_s: PositiveSeconds = Field(
        default=0.5, description="How long a request waits for its worker's part of a budget to be renewed."
    )
    when_unwritable: Literal["serve", "refuse"] = Field(
        default="serve",
        description="While the ledger cannot be written: go on with what was last known to be left of a budget, or "
        "refuse requests of tenants that have one when `lease_s` is over.",
    )
