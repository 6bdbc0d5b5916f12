"""How a budget is cut into leases: pure arithmetic, the same in every worker's transaction. Money is nano-USD."""

from __future__ import annotations

import msgspec

# The part of what is left of a budget that a worker likes to have free, so that few requests meet an empty lease. What
# it does not use it gives back as soon as another worker needs it; if it dies, others do without until its lease ends.
PART = 4
# And requests like the largest of late for which there should be room.
ROOM = 8


class Claim(msgspec.Struct, frozen=True):
    """What a worker asks for.

    `need` is what its open and waiting requests may cost at most, and what it has spent and does not record yet.
    `spare` is what it would like beyond that, for requests to come. `keep` is what it has leased and goes on using
    while it asks: nobody may take that from it.
    """

    tenant: str
    first_day: int  # of the budget's period
    last_day: int
    budget: int
    need: int
    spare: int
    keep: int


class Others(msgspec.Struct, frozen=True):
    """The live leases of other workers on the same budget: their sum, their number, and what they need in vain."""

    leased: int = 0
    count: int = 0
    unmet: int = 0


class Lease(msgspec.Struct, frozen=True):
    """What a worker got: it may spend `granted` beyond what is recorded, and `spent` all have recorded."""

    granted: int
    unmet: int  # of its need
    spent: int
    others: Others


def cut(claim: Claim, own: int, spent: int, others: Others) -> Lease:
    """The lease for a claim; `own` is what the worker's lease so far still is.

    The need is met as far as there is money. Of what is left beyond it a worker takes at most its share among the live
    workers, so that none starves because another came first. Spent, granted and others' leases together never exceed
    the budget, unless `spent` does alone.
    """
    left = max(claim.budget - spent - others.leased, 0)
    kept = min(claim.keep, own, left)
    needed = min(max(claim.need, kept), left)
    spare = min(claim.need + claim.spare - needed, (left - needed) // (others.count + 1))
    return Lease(needed + max(spare, 0), claim.need - min(claim.need, left), spent, others)


def spare_wanted(left: int, held: int, largest: int, spent_lately: int) -> int:
    """What a worker likes to have free, so that a lease is renewed before it is used up: a part of what no other worker
    has leased, as much again as its open requests hold, room for some more of them, and four times what it spent since
    the last renewal."""
    return max(left // PART, held, ROOM * largest, 4 * spent_lately)
