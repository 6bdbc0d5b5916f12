"""What the ledger and the budgets say to Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from observability import metrics
from serve.gateway.instruments.bounds import Tenants
from serve.gateway.instruments.families import NONE, Counts, Labels, Levels, Registry
from serve.gateway.ledger.account import Account


class LedgerInstruments:
    """One worker's. What it spent and reserved itself is up to the moment, what other workers spent as old as the last
    renewal of its lease (seconds)."""

    def __init__(self, registry: Registry, tenants: Tenants, accounts: Iterable[Account]) -> None:
        """`accounts`: of the tenants that have a budget, all others have no series."""
        self._tenants = tenants
        self._budget = Levels(metrics.BUDGET, registry)
        self._spent = Levels(metrics.BUDGET_SPENT, registry)
        self._reserved = Levels(metrics.BUDGET_RESERVED, registry)
        self._refusals = Counts(metrics.BUDGET_REFUSALS, registry)
        self._rows = Counts(metrics.LEDGER_ROWS, registry)
        self._pending = Levels(metrics.LEDGER_PENDING, registry)
        self._lag = Levels(metrics.LEDGER_LAG, registry)
        self._failures = Counts(metrics.LEDGER_FAILURES, registry)
        for family in (self._rows, self._failures):  # a panel must not be empty until the first event
            family.add(NONE, 0)
        for account in accounts:
            self._refusals.add((tenants.of(account.tenant),), 0)

    def refused(self, tenant: str) -> None:
        """A budget did not cover a request."""
        self._refusals.add((self._tenants.of(tenant),))

    def written(self, rows: int) -> None:
        """So many more rows are in the store."""
        self._rows.add(NONE, rows)

    def failed(self) -> None:
        """The store took nothing."""
        self._failures.add(NONE)

    def show(self, accounts: Iterable[Account], pending: int, lag_s: float) -> None:
        """What is looked at when it is scraped."""
        self._pending.set(NONE, pending)
        self._lag.set(NONE, lag_s)
        budget: dict[Labels, float] = {}
        spent: dict[Labels, float] = {}
        reserved: dict[Labels, float] = {}
        for account in accounts:
            labels = (self._tenants.of(account.tenant),)
            budget[labels] = budget.get(labels, 0.0) + account.budget / 1e9
            spent[labels] = spent.get(labels, 0.0) + account.spent / 1e9
            reserved[labels] = reserved.get(labels, 0.0) + account.held / 1e9
        self._budget.keep(budget)
        self._spent.keep(spent)
        self._reserved.keep(reserved)
