"""How many second attempts a gateway may make, so that a failing engine is not hit harder for failing."""

from __future__ import annotations

from serve.fleet.gateway import Retry


class RetryBudget:
    """A token bucket: every request pays in `budget_ratio`, every retry takes out one.

    After Finagle's retry budgets: retries stay a fraction of requests over the recent past, with a floor for a quiet
    gateway. `cap` bounds what a long calm can save up.
    """

    __slots__ = ("_balance", "_cap", "_ratio")

    def __init__(self, settings: Retry) -> None:
        self._ratio = settings.budget_ratio
        self._cap = settings.budget_floor + 100.0 * settings.budget_ratio
        self._balance = float(settings.budget_floor)

    def request(self) -> None:
        """A first attempt is made."""
        if self._balance < self._cap:
            self._balance = min(self._balance + self._ratio, self._cap)

    def take(self) -> bool:
        """Whether a retry may be made; when it may, it is paid for."""
        if self._balance < 1:
            return False
        self._balance -= 1
        return True
