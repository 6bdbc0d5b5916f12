"""The thread that writes: rows and leases into the store, and rows into the spill file where the store takes none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime

import msgspec

from serve.gateway.ledger.database import Unreachable
from serve.gateway.ledger.leases import Claim, Lease
from serve.gateway.ledger.period import day_of
from serve.gateway.ledger.rows import Row
from serve.gateway.ledger.spill import Spill, orphans
from serve.gateway.ledger.store import PRUNE, Clock, Store

log = logging.getLogger("parlance.gateway")

CHUNK = 5_000  # rows of one transaction: about 50 ms
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def machine_clock() -> Clock:
    """The time since the machine started."""
    return Clock(_BOOT.read_text(encoding="ascii").strip(), clock_gettime(CLOCK_BOOTTIME))


class Written(msgspec.Struct):
    """What became of a batch.

    `leases` is None where the store took nothing; its rows are then spilled, or in `kept` where that failed too. `home`
    is what the store has now of the rows that this worker had spilled: nano-USD by tenant and UTC day.
    """

    leases: list[Lease] | None
    kept: Sequence[Row] = ()
    error: str = ""
    home: dict[tuple[str, int], int] = {}
    home_rows: int = 0


class Writer:
    """One worker's hand on the store. All of it runs in one thread, but for what the start does before there is one."""

    def __init__(self, store: Store, directory: Path | None, worker: str, lease_s: float) -> None:
        """`directory`: where rows may be spilled; None: nowhere, for the store is in memory."""
        self._store = store
        self._directory = directory
        self._worker = worker
        self._lease_s = lease_s
        self._spill = Spill(directory, worker) if directory is not None else None

    def write(self, rows: Sequence[Row], claims: Sequence[Claim], clock: Clock) -> Written:
        """Records rows and renews leases."""
        try:
            leases = self._store.commit(self._worker, rows, claims, clock, self._lease_s)
        except Unreachable as error:
            return self._put_aside(rows, str(error))
        written = Written(leases)
        if self._spill is not None and not self._spill.empty:
            self._bring_home(self._spill, clock, written)
        return written

    def adopt(self, clock: Clock) -> int:
        """Records what workers that died had spilled; how many rows that were."""
        adopted = 0
        if self._directory is None:
            return 0
        try:
            for spill in orphans(self._directory):
                written = Written([])
                self._bring_home(spill, clock, written)
                adopted += written.home_rows
        except OSError as error:
            log.error("rows that another worker left cannot be read: %s", error)
        return adopted

    def prune(self, before: float) -> bool:
        """Deletes some of the rows that are older; whether there may be more of them."""
        try:
            return self._store.prune(before) == PRUNE
        except Unreachable as error:
            log.warning("old rows of the ledger cannot be deleted: %s", error)
            return False

    def close(self) -> None:
        """Gives all leases back."""
        try:
            self._store.give_back(self._worker)
        except Unreachable as error:
            log.warning("leases on budgets cannot be given back, and end after %g s: %s", self._lease_s, error)
        self._store.close()
        if self._spill is not None:
            self._spill.close()

    def _put_aside(self, rows: Sequence[Row], error: str) -> Written:
        if rows and self._spill is not None:
            try:
                self._spill.append(rows)
            except OSError as full:
                return Written(None, rows, f"{error}; and no spill file: {full}")
            return Written(None, (), error)
        return Written(None, rows, error)

    def _bring_home(self, spill: Spill, clock: Clock, written: Written) -> None:
        """Records what was spilled. What a try that did not come to its end has recorded already changes nothing."""
        home: dict[tuple[str, int], int] = {}
        count = 0
        try:
            for rows in spill.chunks(CHUNK):
                self._store.commit(self._worker, rows, (), clock, self._lease_s)
                count += len(rows)
                for row in rows:
                    key = (row.tenant, day_of(row.at))
                    home[key] = home.get(key, 0) + row.nano_usd
            spill.clear()
        except (Unreachable, OSError) as error:
            log.warning("rows that were spilled cannot be recorded yet: %s", error)
            return
        written.home, written.home_rows = home, count
        log.info("%d spilled rows are in the ledger now", count)
