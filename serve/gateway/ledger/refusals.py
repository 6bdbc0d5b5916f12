"""What a caller is told when a budget does not cover its request."""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil

from serve.errors import BudgetExceeded
from serve.gateway.ledger.account import Account

# Answers end within seconds to minutes: sooner than this nothing has come free.
HELD_RETRY_S = 5
LATE_RETRY_S = 1


def refusal(account: Account, expected: int, now: float, late: bool = False) -> BudgetExceeded:
    """The error, with the reason that applies; `expected` nano-USD were not free. `late`: the request waited for a
    renewal of the worker's lease in vain."""
    left = max(account.budget - account.spent, 0)
    of = f"{left / 1e9:.6f} of {account.budget / 1e9:g} USD"
    ends = account.period.end
    if left < expected:
        until = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%MZ")
        return BudgetExceeded(
            f"the budget of tenant {account.tenant} for {account.period.name} is spent: {of} are left, and this "
            f"request needs {expected / 1e9:.6f} USD to be free; the next period begins at {until}",
            retry_after_s=max(ceil(ends - now), 1),
        )
    if late and not account.tight:
        return BudgetExceeded(
            f"this worker's part of the budget of tenant {account.tenant} ({of} are left) could not be renewed in time",
            code="budget_reserved",
            retry_after_s=LATE_RETRY_S,
        )
    return BudgetExceeded(
        f"what is left of the budget of tenant {account.tenant} ({of}) is held back for its open requests: try again "
        "when they have ended, and state max_tokens, for without it all that a model could write is held back",
        code="budget_reserved",
        retry_after_s=HELD_RETRY_S,
    )
