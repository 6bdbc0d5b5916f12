"""Opens the ledger of a worker: where it is kept, whose budgets it holds, and what is said when it cannot be."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from time import time

from serve.errors import LocalError
from serve.fleet.gateway import Gateway
from serve.gateway.auth import KeysFile
from serve.gateway.instruments import Instruments
from serve.gateway.ledger.account import Account
from serve.gateway.ledger.database import Sqlite, Unreachable
from serve.gateway.ledger.instruments import LedgerInstruments
from serve.gateway.ledger.keeper import Keeper
from serve.gateway.ledger.store import NAME, Store
from serve.gateway.ledger.writer import Writer

log = logging.getLogger("parlance.gateway")

# Without a directory rows serve nothing but idempotence within moments; the sums by day are what budgets need.
MEMORY_KEEP_S = 60.0


def accounts_of(keys: KeysFile | None, now: float) -> dict[str, Account]:
    """The accounts of the tenants that have a budget, by name."""
    return {
        name: Account(name, round(tenant.budget_usd * 1e9), tenant.period, now)
        for name, tenant in (keys.tenants if keys is not None else {}).items()
        if tenant.budget_usd is not None
    }


def open_ledger(gateway: Gateway, keys: KeysFile | None, directory: Path | None, instruments: Instruments) -> Keeper:
    """The ledger in a state directory, or in memory where there is none.

    Raises LocalError when it cannot be opened, or when several workers were to hold budgets with nothing in common.
    """
    settings = gateway.ledger
    accounts = accounts_of(keys, time())
    if directory is None and accounts and gateway.workers > 1:
        raise LocalError(
            f"gateway.state_dir: none, and {gateway.workers} workers were to hold the budgets of {len(accounts)} "
            "tenants: name one (--state-dir), for each worker alone would let a whole budget be spent"
        )
    try:
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
        store = Store(Sqlite(directory / NAME if directory is not None else None))
        store.create()
    except (OSError, Unreachable) as error:
        raise LocalError(f"gateway.state_dir: the ledger in {directory} cannot be opened: {error}") from error
    if directory is None and accounts:
        log.warning(
            "budgets of %d tenants are kept in memory: what was spent is forgotten when the gateway stops; name a "
            "gateway.state_dir",
            len(accounts),
        )
    worker = secrets.token_hex(8)
    writer = Writer(store, directory, worker, settings.lease_s)
    show = LedgerInstruments(instruments.registry, instruments.tenants, accounts.values())
    return Keeper(settings, accounts, writer, show, None if directory is not None else MEMORY_KEEP_S)
