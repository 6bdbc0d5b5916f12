"""One gateway worker's ledger: reserves and settles in memory, and has rows and leases written a few times a second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import CLOCK_BOOTTIME, clock_gettime, time

from serve.errors import LocalError
from serve.fleet.ledger import Ledger
from serve.gateway.body import Parsed
from serve.gateway.ledger.account import Account, Hold
from serve.gateway.ledger.estimate import Rates, estimate
from serve.gateway.ledger.instruments import LedgerInstruments
from serve.gateway.ledger.leases import Claim
from serve.gateway.ledger.period import DAY_S, day_of
from serve.gateway.ledger.refusals import refusal
from serve.gateway.ledger.rows import Row, rows_of, summed
from serve.gateway.ledger.store import Clock
from serve.gateway.ledger.writer import CHUNK, Writer, Written, machine_clock
from serve.gateway.record import Finished
from serve.gateway.upstream import Upstream
from serve.routing.records import Decision

log = logging.getLogger("parlance.gateway")

FLUSH_S = 0.25
GAP_S = 0.01  # between two transactions, however many requests ask for one
RETRY_S = 1.0  # after one that failed
TIGHT_S = 1.0  # between two renewals where all of a budget is leased: another worker may need what is free here
FRESH_S = 0.25  # where nothing is left, a renewal this long ago is asked again only by the next one that is due
RENEW_S = 5.0  # between two renewals of a lease that is not used: what others spent is seen, and what they need
LOOK_S = 60.0  # between two looks for rows that are too old, and for those of workers that died
MAX_ROWS = 50_000  # in memory, where no disk takes them: about 20 MB


class Keeper:
    """The accounts of a worker's tenants, and the rows of its requests on their way to the store. Used by the loop."""

    def __init__(
        self,
        settings: Ledger,
        accounts: Mapping[str, Account],
        writer: Writer,
        instruments: LedgerInstruments,
        keep_s: float | None = None,
    ) -> None:
        """`accounts`: of tenants that have a budget, by name. `keep_s`: age at which rows go; None: the settings'."""
        self._settings = settings
        self._accounts = accounts
        self._writer = writer
        self._show = instruments
        self._keep_s = settings.keep_days * DAY_S if keep_s is None else keep_s
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._clock = machine_clock()
        self._rates: dict[str, Rates] = {}
        self._finished: list[Finished] = []
        self._rows: list[Row] = []
        self._writing: Sequence[Row] = ()
        self._spilled = 0
        self._spilled_since = 0.0  # `at` of the oldest spilled row
        self._active: set[Account] = set()
        self._woken = asyncio.Event()
        self._next: asyncio.Future[None] = self._loop.create_future()
        self._failing = False
        self._sums = 0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def of(self, tenant: str) -> Account | None:
        """The account of a tenant; None: it has no budget."""
        return self._accounts.get(tenant)

    async def reserve(
        self, hold: Hold, upstream: Upstream, parsed: Parsed, decision: Decision, beside: bool = False
    ) -> None:
        """Holds what this model may cost, instead of what is held for another, or `beside` it where that one's answer
        has been paid for. Raises BudgetExceeded."""
        model = upstream.model
        if hold.model == model.id:
            return
        rates = self._rates.get(model.id)
        if rates is None:
            rates = self._rates[model.id] = Rates.of(upstream.price)
        candidate = None
        for one in decision.candidates:
            if one.model == model.id:
                candidate = one
                break
        expected, ceiling = estimate(self._settings, parsed, hold.body_bytes, candidate, rates, model.context_tokens)
        if hold.nano_usd and not beside:
            expected, ceiling = max(expected - hold.nano_usd, 0), max(ceiling - hold.nano_usd, 0)
        account, now = hold.account, time()
        self._active.add(account)
        clock = clock_gettime(CLOCK_BOOTTIME)
        deadline = clock + self._settings.wait_s
        while not account.reserve(hold, expected, ceiling, now, clock):
            if clock >= deadline or (account.tight and clock - account.clock_renewed < FRESH_S):
                account.denied = max(account.denied, ceiling)
                self._show.refused(account.tenant)
                raise refusal(account, expected, now, late=clock >= deadline)
            await self._renewal(account, ceiling, deadline - clock)
            now, clock = time(), clock_gettime(CLOCK_BOOTTIME)
        hold.model = model.id
        if account.free < account.low and account.share:
            self._woken.set()

    def settle(self, done: Finished, hold: Hold | None) -> None:
        """A request is over: its hold ends, and its cost counts."""
        account = (
            hold.account if hold is not None else self._accounts.get(done.caller.tenant) if done.nano_usd else None
        )
        if account is not None:
            account.settle(hold, done.nano_usd, done.at)
            self._active.add(account)
        self._finished.append(done)

    async def _renewal(self, account: Account, ceiling: int, limit_s: float) -> None:
        """Returns after the next renewal that knows of this request, or when it takes too long."""
        account.waiting += ceiling
        self._woken.set()
        try:
            await asyncio.wait((self._next,), timeout=limit_s)
        finally:
            account.waiting -= ceiling

    def start(self) -> None:
        """Restores what was spent and leases what comes first. Raises LocalError where budgets cannot be kept."""
        clock = machine_clock()
        self._writer.adopt(clock)
        claims = [account.claim(0) for account in self._accounts.values()]
        written = self._writer.write((), claims, clock)
        if written.leases is None and self._accounts:
            raise LocalError(
                f"gateway.state_dir: the ledger cannot be written, and tenants have budgets: {written.error}"
            )
        self._apply((), claims, {}, written, clock)
        self._task = self._loop.create_task(self._run(), name="ledger")
        self._task.add_done_callback(_ended)

    async def stop(self) -> None:
        """Writes what is pending and gives the leases back."""
        self._stopping = True
        self._woken.set()
        if self._task is not None:
            await self._task
        while True:
            before = len(self._rows) + len(self._finished)
            await self._commit()
            if self._failing or not before or not self._rows:
                break
        if self._rows:
            log.error("%d rows of the ledger could be written nowhere, and are lost", len(self._rows))
        await self._loop.run_in_executor(self._thread, self._writer.close)
        self._thread.shutdown()

    def show(self) -> None:
        """Brings the gauges up to date, before they are scraped."""
        oldest = now = time()
        if self._finished:
            oldest = min(oldest, self._finished[0].at)
        for rows in (self._rows, self._writing):
            if rows:
                oldest = min(oldest, rows[0].at)
        if self._spilled:
            oldest = min(oldest, self._spilled_since)
        pending = len(self._finished) + len(self._rows) + len(self._writing) + self._spilled
        self._show.show(self._accounts.values(), pending, now - oldest)

    async def _run(self) -> None:
        looked, old = 0.0, False
        while not self._stopping:
            try:
                await asyncio.wait_for(self._woken.wait(), FLUSH_S)
            except TimeoutError:
                if not self._finished and not self._rows and not old and not self._due():
                    continue
            await self._commit()
            if old or self._clock.seconds - looked > LOOK_S:
                old = await self._loop.run_in_executor(self._thread, self._writer.prune, time() - self._keep_s)
            if self._clock.seconds - looked > LOOK_S:
                looked = self._clock.seconds
                self._show.written(await self._loop.run_in_executor(self._thread, self._writer.adopt, self._clock))
            await asyncio.sleep(RETRY_S if self._failing and not self._stopping else GAP_S)

    def _due(self) -> list[Account]:
        """The accounts whose leases are to be renewed."""
        clock = clock_gettime(CLOCK_BOOTTIME)
        every = min(self._settings.lease_s / 3, RENEW_S)
        return [
            account
            for account in self._accounts.values()
            if account in self._active or clock - account.clock_renewed > (TIGHT_S if account.tight else every)
        ]

    async def _commit(self) -> None:
        """One transaction with all that is pending."""
        self._woken.clear()
        done, self._next = self._next, self._loop.create_future()
        due = self._due()
        self._active = set()
        finished, self._finished = self._finished, []
        for one in finished:
            self._rows.extend(rows_of(one))
        rows, self._rows = self._rows[:CHUNK], self._rows[CHUNK:]
        self._writing = rows
        now, clock = time(), Clock(self._clock.boot, clock_gettime(CLOCK_BOOTTIME))
        for account in due:
            if not account.period.start <= now < account.period.end:
                account.turn(now)
        recorded = self._sums_of(rows)
        claims = [account.claim(recorded.get(account.tenant, 0)) for account in due]
        written = await self._loop.run_in_executor(self._thread, self._writer.write, rows, claims, clock)
        self._apply(rows, claims, recorded, written, clock)
        self._clock, self._writing = clock, ()
        if not done.done():
            done.set_result(None)

    def _sums_of(self, rows: Sequence[Row]) -> dict[str, int]:
        """What rows cost in the running periods of budgets, by tenant."""
        sums: dict[str, int] = {}
        for row in rows:
            account = self._accounts.get(row.tenant)
            if account is not None and account.period.first_day <= day_of(row.at) < account.period.last_day:
                sums[row.tenant] = sums.get(row.tenant, 0) + row.nano_usd
        return sums

    def _apply(
        self, rows: Sequence[Row], claims: Sequence[Claim], recorded: Mapping[str, int], written: Written, clock: Clock
    ) -> None:
        """What the thread did becomes what the loop knows."""
        if written.leases is None:
            self._failed(rows, claims, written, clock)
            return
        if self._failing:
            log.info("the ledger is written again")
            self._failing = False
        # A tenth less than the store's: no request is taken in the moment in which a lease ends.
        until = clock.seconds + 0.9 * self._settings.lease_s
        for claim, lease in zip(claims, written.leases, strict=True):
            account = self._accounts[claim.tenant]
            account.renewed(claim, lease, recorded.get(claim.tenant, 0), clock.seconds, until)
        self._show.written(len(rows) + written.home_rows)
        if written.home_rows:
            self._spilled = 0
            for (tenant, day), amount in written.home.items():
                if tenant in self._accounts:
                    self._accounts[tenant].recorded(day, amount)

    def _failed(self, rows: Sequence[Row], claims: Sequence[Claim], written: Written, clock: Clock) -> None:
        self._show.failed()
        if not self._failing:
            log.error("the ledger cannot be written: %s; requests go on, and it is tried again", written.error)
            self._failing = True
        if self._settings.when_unwritable == "serve":
            for claim in claims:
                self._accounts[claim.tenant].unreachable(clock.seconds + self._settings.lease_s)
        spilled = len(rows) - len(written.kept)
        if spilled:
            if not self._spilled:
                self._spilled_since = rows[0].at
            self._spilled += spilled
        self._rows = [*written.kept, *self._rows]
        if len(self._rows) > MAX_ROWS:
            self._sums += 1
            name = f"sum-{self._clock.boot[:8]}-{id(self):x}-{int(time() * 1e6):x}-{self._sums}"
            log.error("%d rows that no disk takes are added up by day, tenant, key and model", len(self._rows))
            self._rows = summed(self._rows, name)


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("the ledger has stopped, and nothing is recorded any more", exc_info=error)
