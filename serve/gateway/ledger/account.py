"""One tenant's budget as one worker sees it: plain numbers, changed by the event loop alone.

Every open request holds its *ceiling*, the most that it can cost. A request is admitted when its *expected* cost (the
decision's, with a margin) is free beside the ceilings of all others. So whatever the answers turn out to cost, a lease
is overspent by at most what the last admitted request cost above its expectation.
"""

from __future__ import annotations

from serve.gateway.ledger.leases import Claim, Lease, spare_wanted
from serve.gateway.ledger.period import Every, Period, period_of


class Hold:
    """What one request may cost at most, in nano-USD, while it is open."""

    __slots__ = ("account", "body_bytes", "model", "nano_usd")

    def __init__(self, account: Account, body_bytes: int) -> None:
        """`body_bytes`: of the request, which bound its prompt."""
        self.account = account
        self.body_bytes = body_bytes
        self.model = ""  # for which the hold is
        self.nano_usd = 0


class Account:
    """The budget of one tenant. Money is nano-USD; `now` is seconds since the epoch, `clock` those since the machine
    started, which never jump."""

    __slots__ = (
        "_asked_for",
        "_before",
        "_largest",
        "_lately",
        "_left",
        "_workers",
        "budget",
        "clock_end",
        "clock_renewed",
        "denied",
        "every",
        "held",
        "leased",
        "low",
        "period",
        "seen",
        "share",
        "tenant",
        "unrecorded",
        "waiting",
    )

    def __init__(self, tenant: str, budget: int, every: Every, now: float) -> None:
        self.tenant = tenant
        self.budget = budget
        self.every = every
        self.period: Period = period_of(every, now)
        self.leased = 0  # may be spent beyond what the store has recorded
        self.low = 0  # the lease is to be renewed where less is free
        self.clock_end = 0.0  # when the lease ends unless it is renewed
        self.clock_renewed = -1e9
        self.held = 0  # ceilings of open requests
        self.unrecorded = 0  # spent in this period, and not in the store yet
        self.waiting = 0  # ceilings of requests that wait for a renewal
        self.denied = 0  # the largest ceiling that was refused since the last renewal
        self.seen = 0  # what the store had recorded of all workers at the last renewal
        self.share = 0  # what this worker may take of the rest if the store cannot be asked
        self._largest = 0  # ceiling of one request, of late
        self._lately = 0  # spent since the last renewal
        self._left = budget  # neither spent nor leased by others at the last renewal
        self._before = 0  # what was leased when the last claim was made
        self._workers = 1
        self._asked_for = False  # another worker needs what this one has to spare

    @property
    def tight(self) -> bool:
        """Whether nothing of the budget is left that no worker has leased: what is given back is wanted soon."""
        return self.share == 0

    @property
    def free(self) -> int:
        """What a further request may be expected to cost."""
        return self.leased - self.unrecorded - self.held

    @property
    def spent(self) -> int:
        """What is known to be spent in the running period."""
        return self.seen + self.unrecorded

    def reserve(self, hold: Hold, expected: int, ceiling: int, now: float, clock: float) -> bool:
        """Holds `ceiling` more for a request if `expected` is free; whether it did."""
        if not self.period.start <= now < self.period.end:
            self.turn(now)
        if ceiling > self._largest:
            self._largest = ceiling
        if clock >= self.clock_end or self.leased - self.unrecorded - self.held < expected:
            return False
        self.held += ceiling
        hold.nano_usd += ceiling
        return True

    def release(self, hold: Hold) -> None:
        """Gives back what a request holds."""
        self.held -= hold.nano_usd
        hold.nano_usd = 0

    def settle(self, hold: Hold | None, cost: int, now: float) -> None:
        """A request is over, and has cost so much."""
        if not self.period.start <= now < self.period.end:
            self.turn(now)
        if hold is not None:
            self.release(hold)
        self.unrecorded += cost
        self._lately += cost

    def turn(self, now: float) -> None:
        """Begins the period of `now` with nothing leased and nothing spent. Open requests keep their holds, for they
        are paid from the period in which they end."""
        self.period = period_of(self.every, now)
        self.leased = self.unrecorded = self.seen = self._lately = self._before = 0
        self._left = self.budget
        self.share = self.budget // self._workers

    def claim(self, recorded: int) -> Claim:
        """What to ask for in a transaction that records `recorded` of what is unrecorded.

        What is given back cannot be used from here on, for another worker may have it before the transaction's result
        is known here.
        """
        need = max(self.held + max(self.waiting, self.denied) + self.unrecorded - recorded, 0)
        spare = 0 if self._asked_for else spare_wanted(self._left, self.held, self._largest, self._lately)
        self.low = spare // 2
        self._before = self.leased
        keep = max(min(self.leased - recorded, need + spare), 0)
        self.leased = min(self.leased, recorded + keep)
        self._lately = self.denied = 0
        self._largest //= 2
        return Claim(self.tenant, self.period.first_day, self.period.last_day, self.budget, need, spare, keep)

    def renewed(self, claim: Claim, lease: Lease, recorded: int, clock: float, clock_end: float) -> None:
        """The transaction is done. A lease for a period that is over meanwhile is of no use."""
        if claim.first_day != self.period.first_day:
            return
        self.leased = lease.granted
        self.unrecorded -= recorded
        self.seen = lease.spent
        self.clock_renewed, self.clock_end = clock, clock_end
        self._left = max(self.budget - lease.spent - lease.others.leased, 0)
        self._workers = lease.others.count + 1
        self.share = max(self._left - lease.granted, 0) // self._workers
        self._asked_for = lease.others.unmet > 0

    def recorded(self, day: int, amount: int) -> None:
        """The store has counted some of what was unrecorded, without renewing the lease that it was spent from."""
        if self.period.first_day <= day < self.period.last_day:
            self.unrecorded -= amount
            self.leased -= amount
            self.seen += amount

    def unreachable(self, clock_end: float) -> None:
        """The store did nothing of the last claim: the lease goes on as it was, for nobody else can take it, and grows
        once by this worker's share of what no worker had leased. All of them doing so still spend no more than the
        budget."""
        self.leased = self._before + self.share
        self.share = 0
        self.clock_end = max(self.clock_end, clock_end)
