"""The tables of the ledger: rows, what each tenant spent a day, and the leases that workers hold on budgets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from serve.gateway.ledger.database import Database, Transaction
from serve.gateway.ledger.leases import Claim, Lease, Others, cut
from serve.gateway.ledger.period import day_of
from serve.gateway.ledger.rows import Row

NAME = "ledger.sqlite"
PRUNE = 1000  # rows deleted in one transaction: no other worker waits long for it

_TABLES = (
    """CREATE TABLE IF NOT EXISTS ledger (
        decision_id TEXT NOT NULL, part SMALLINT NOT NULL, at DOUBLE PRECISION NOT NULL, request_id TEXT NOT NULL,
        tenant TEXT NOT NULL, key_name TEXT NOT NULL, model TEXT NOT NULL, language TEXT NOT NULL,
        input_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL,
        estimated SMALLINT NOT NULL, nano_usd BIGINT NOT NULL, status INTEGER NOT NULL, requests BIGINT NOT NULL,
        PRIMARY KEY (decision_id, part))""",
    "CREATE INDEX IF NOT EXISTS ledger_at ON ledger (at)",
    # One row a tenant and day: what a period has cost is the sum of at most 31 of them, and outlives the rows.
    """CREATE TABLE IF NOT EXISTS spend (
        tenant TEXT NOT NULL, day INTEGER NOT NULL, requests BIGINT NOT NULL, input_tokens BIGINT NOT NULL,
        cached_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, nano_usd BIGINT NOT NULL,
        PRIMARY KEY (tenant, day))""",
    # `boot` and `ends`: the clock that cannot jump begins anew with the machine.
    """CREATE TABLE IF NOT EXISTS leases (
        tenant TEXT NOT NULL, worker TEXT NOT NULL, first_day INTEGER NOT NULL, nano_usd BIGINT NOT NULL,
        unmet BIGINT NOT NULL, boot TEXT NOT NULL, ends DOUBLE PRECISION NOT NULL, PRIMARY KEY (tenant, worker))""",
)
_INSERT = f"INSERT INTO ledger VALUES ({', '.join('?' * 15)}) ON CONFLICT (decision_id, part) DO NOTHING"  # noqa: S608
_SPEND = """INSERT INTO spend VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, day) DO UPDATE SET
    requests = spend.requests + excluded.requests, input_tokens = spend.input_tokens + excluded.input_tokens,
    cached_tokens = spend.cached_tokens + excluded.cached_tokens,
    output_tokens = spend.output_tokens + excluded.output_tokens, nano_usd = spend.nano_usd + excluded.nano_usd"""
_SPENT = "SELECT COALESCE(SUM(nano_usd), 0) FROM spend WHERE tenant = ? AND day >= ? AND day < ?"
_OTHERS = """SELECT COALESCE(SUM(nano_usd), 0), COUNT(*), COALESCE(SUM(unmet), 0) FROM leases
    WHERE tenant = ? AND worker <> ? AND first_day = ?"""
_OWN = "SELECT nano_usd FROM leases WHERE tenant = ? AND worker = ? AND first_day = ?"
_LEASE = """INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, worker) DO UPDATE SET
    first_day = excluded.first_day, nano_usd = excluded.nano_usd, unmet = excluded.unmet, boot = excluded.boot,
    ends = excluded.ends"""
_PRUNE = """DELETE FROM ledger WHERE (decision_id, part) IN
    (SELECT decision_id, part FROM ledger WHERE at < ? ORDER BY at LIMIT ?)"""


class Clock(msgspec.Struct, frozen=True):
    """Seconds since the machine started, sleep included, and which start that was: no setting of the time moves it."""

    boot: str
    seconds: float


class Spend(msgspec.Struct, frozen=True):
    """What a tenant spent on a UTC day (days since 1970-01-01)."""

    tenant: str
    day: int
    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    nano_usd: int


class Store:
    """The ledger of one state directory, shared by its workers. Every method raises Unreachable, and has then done
    nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self) -> None:
        """Makes the tables that are not there yet."""
        with self._database.transaction() as tx:
            for table in _TABLES:
                tx.execute(table)

    def commit(
        self, worker: str, rows: Sequence[Row], claims: Iterable[Claim], clock: Clock, lease_s: float
    ) -> list[Lease]:
        """Records rows, each once however often it comes, and renews leases: one transaction, so that what was spent
        leaves the lease at the moment at which it is counted."""
        with self._database.transaction() as tx:
            self._record(tx, rows)
            tx.execute("DELETE FROM leases WHERE boot <> ? OR ends <= ?", (clock.boot, clock.seconds))
            return [self._renew(tx, worker, claim, clock, lease_s) for claim in claims]

    def give_back(self, worker: str) -> None:
        """Ends all leases of a worker."""
        with self._database.transaction() as tx:
            tx.execute("DELETE FROM leases WHERE worker = ?", (worker,))

    def prune(self, before: float) -> int:
        """Deletes some rows older than a time; how many. Sums by day stay."""
        if not self._database.rows("SELECT 1 FROM ledger WHERE at < ? LIMIT 1", (before,)):
            return 0
        with self._database.transaction() as tx:
            return tx.execute(_PRUNE, (before, PRUNE))

    def spend(self, first_day: int, last_day: int) -> list[Spend]:
        """What each tenant spent on each day from `first_day` up to but without `last_day`."""
        found = self._database.rows(
            "SELECT tenant, day, requests, input_tokens, cached_tokens, output_tokens, nano_usd FROM spend "
            "WHERE day >= ? AND day < ? ORDER BY tenant, day",
            (first_day, last_day),
        )
        return [Spend(*row) for row in found]

    def close(self) -> None:
        """Closes the back end."""
        self._database.close()

    def _record(self, tx: Transaction, rows: Iterable[Row]) -> None:
        sums: dict[tuple[str, int], list[int]] = {}
        for row in rows:
            if tx.execute(_INSERT, msgspec.structs.astuple(row)) != 1:
                continue  # it is there already
            total = sums.setdefault((row.tenant, day_of(row.at)), [0] * 5)
            added = row.requests, row.input_tokens, row.cached_tokens, row.output_tokens, row.nano_usd
            for index, amount in enumerate(added):
                total[index] += amount
        for (tenant, day), total in sums.items():
            tx.execute(_SPEND, (tenant, day, *total))

    def _renew(self, tx: Transaction, worker: str, claim: Claim, clock: Clock, lease_s: float) -> Lease:
        tenant, first_day = claim.tenant, claim.first_day
        spent = _one(tx.rows(_SPENT, (tenant, first_day, claim.last_day)))
        own = tx.rows(_OWN, (tenant, worker, first_day))
        others = Others(*tx.rows(_OTHERS, (tenant, worker, first_day))[0])
        lease = cut(claim, own[0][0] if own else 0, spent, others)
        ends = clock.seconds + lease_s
        tx.execute(_LEASE, (tenant, worker, first_day, lease.granted, lease.unmet, clock.boot, ends))
        return lease


def _one(found: list[tuple[Any, ...]]) -> int:
    return int(found[0][0])
