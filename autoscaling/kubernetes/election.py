"""Who leads, by a Lease: client-go's leader election as pure logic, with the time as an argument.

Two never lead at once, whatever their wall clocks say: a follower waits for the Lease's whole duration from when *it*
saw the last change, on its own monotonic clock; a leader leads for `renew_deadline_s` from *before* it sent the last
renewal that succeeded, on its own. The holder sent before the server wrote, and the follower saw after that: so
between the end of one and the beginning of the other there is at least duration - deadline, whatever the network does.
What two monotonic clocks run apart within one duration comes off that margin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

NEVER = float("-inf")
# What a holder that lets go writes, as client-go does: whoever reads only the duration need not wait either.
RELEASED_S = 1


@dataclass(frozen=True, slots=True)
class Record:
    """A Lease's `spec`. `acquired` and `renewed` are MicroTime texts: for people, never compared with a clock."""

    holder: str
    duration_s: int
    acquired: str
    renewed: str
    transitions: int


@dataclass(frozen=True, slots=True)
class Election:
    """What one candidate knows. `seen` and `seen_at`: the record, and when it was first observed in this state.

    `until`: how long this candidate leads, unless it renews. Times are seconds of its own monotonic clock.
    """

    identity: str
    duration_s: int
    renew_deadline_s: float
    seen: Record | None = None
    seen_at: float = NEVER
    until: float = NEVER

    def leads(self, now: float) -> bool:
        """Whether this candidate leads at `now`."""
        return now < self.until

    def saw(self, now: float, found: Record | None) -> Election:
        """After reading the Lease, with the answer in hand at `now`; None: there is none.

        A Lease that was deleted is still that of its last holder for as long as it would have been: a hand with
        `kubectl delete` does not stop a leader.
        """
        until = self.until if found is not None and found.holder == self.identity else NEVER
        if found is None or found == self.seen:
            return replace(self, until=until)
        return replace(self, seen=found, seen_at=now, until=until)

    def claim(self, now: float, stamp: str) -> Record | None:
        """What to write now in order to lead or go on leading; None while another holds the Lease.

        `stamp` is the wall clock's time as a MicroTime text.
        """
        last = self.seen
        if last is None:
            return Record(self.identity, self.duration_s, stamp, stamp, 0)
        if last.holder == self.identity:
            return replace(last, duration_s=self.duration_s, renewed=stamp)
        if last.holder and now <= self.seen_at + last.duration_s:
            return None
        return Record(self.identity, self.duration_s, stamp, stamp, last.transitions + 1)

    def wrote(self, sent: float, now: float, record: Record) -> Election:
        """After the server took a claim that was sent at `sent`, with its answer in hand at `now`."""
        return replace(self, seen=record, seen_at=now, until=sent + self.renew_deadline_s)

    def resigned(self) -> Election:
        """Leads no more, from now on: said before it is written."""
        return replace(self, until=NEVER)

    def release(self, stamp: str) -> Record | None:
        """What to write in order to let go; None where the Lease was last seen in another's hands."""
        if self.seen is None or self.seen.holder != self.identity:
            return None
        return replace(self.seen, holder="", duration_s=RELEASED_S, acquired=stamp, renewed=stamp)
