"""Leader election by a Lease: whatever clocks, delays, lost messages and deaths there are, two never lead at once."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaling.kubernetes.election import RELEASED_S, Election, Record

pytestmark = pytest.mark.unit

DURATION_S, DEADLINE_S, RETRY_S = 30, 20.0, 4.0
# Clocks may run apart by so much: deadline ÷ (1 - drift) stays below duration ÷ (1 + drift).
DRIFT = 0.15


def candidate(name: str = "a") -> Election:
    return Election(name, DURATION_S, DEADLINE_S)


def held(by: str, at: str = "t0", transitions: int = 3) -> Record:
    return Record(by, DURATION_S, "t0", at, transitions)


def test_a_lease_that_nobody_has_is_taken_with_the_time_before_the_call() -> None:
    one = candidate().saw(100.0, None)
    claim = one.claim(100.0, "now")
    assert claim == Record("a", DURATION_S, "now", "now", 0)
    one = one.wrote(101.0, 105.0, claim)
    assert one.leads(101.0 + DEADLINE_S - 0.001)
    assert not one.leads(101.0 + DEADLINE_S)


def test_another_s_lease_is_left_until_it_was_seen_unchanged_for_its_duration() -> None:
    one = candidate().saw(100.0, held("b"))
    assert one.claim(130.0, "x") is None
    assert one.saw(120.0, held("b", "t1")).claim(131.0, "x") is None  # renewed: counted anew
    same = one.saw(120.0, held("b"))
    claim = same.claim(130.001, "x")
    assert claim == Record("a", DURATION_S, "x", "x", 4)


def test_the_holder_s_own_duration_counts() -> None:
    one = candidate().saw(100.0, replace(held("b"), duration_s=120))
    assert one.claim(219.0, "x") is None
    assert one.claim(220.5, "x") is not None


def test_a_renewal_keeps_when_it_was_acquired_and_the_transitions() -> None:
    mine = Record("a", DURATION_S, "t0", "t0", 7)
    one = candidate().saw(0.0, mine)
    assert one.claim(1.0, "t9") == Record("a", DURATION_S, "t0", "t9", 7)


def test_a_leader_that_sees_another_s_name_stops_at_once() -> None:
    mine = held("a")
    one = candidate().wrote(0.0, 0.1, mine)
    assert one.leads(1.0)
    assert not one.saw(1.0, held("b")).leads(1.0)
    assert one.saw(1.0, mine).leads(1.0)


def test_a_deleted_lease_ends_its_leader_and_starts_no_other_before_its_time() -> None:
    leader, follower = candidate("a").wrote(0.0, 0.1, held("a")), candidate("b").saw(0.2, held("a"))
    assert not leader.saw(1.0, None).leads(1.0)
    gone = follower.saw(1.0, None)
    assert gone.claim(1.0, "x") is None
    assert gone.claim(31.0, "x") is not None


def test_who_resigns_leads_no_more_and_leaves_nothing_to_wait_for() -> None:
    one = candidate().wrote(0.0, 0.1, held("a")).resigned()
    assert not one.leads(0.2)
    release = one.release("t5")
    assert release == Record("", RELEASED_S, "t5", "t5", 3)
    claim = candidate("b").saw(0.3, release).claim(0.3, "t6")
    assert claim is not None
    assert (claim.holder, claim.transitions) == ("b", 4)


def test_what_another_holds_is_not_released() -> None:
    assert candidate().saw(0.0, held("b")).release("x") is None
    assert candidate().release("x") is None


@dataclass(frozen=True)
class Attempt:
    """One try of a candidate: when after the last, the delays of its four messages, and which of them are lost."""

    after_s: float
    delays_s: tuple[float, float, float, float]
    lost: int | None
    ends: str = ""  # "resign": lets go afterwards; "die": another process with another name follows


quick = st.just((0.01, 0.01, 0.01, 0.01))
slow = st.tuples(*[st.sampled_from([0.0, 0.1, 3.0, 15.0, 25.0, 60.0])] * 4)
regular = st.builds(Attempt, st.just(RETRY_S), quick, st.none())
# Most attempts are ordinary ones: two leaders take a leader that is slow, and a follower that is not.
attempts = st.lists(
    st.one_of(
        *[regular] * 4,
        st.builds(Attempt, st.just(RETRY_S), slow, st.one_of(st.none(), st.integers(0, 3))),
        st.builds(Attempt, st.floats(0.01, 80), quick, st.none(), st.sampled_from(["", "resign", "die"])),
    ),
    min_size=10,
    max_size=30,
)
clocks = st.tuples(st.floats(-1e6, 1e6), st.sampled_from([1 - DRIFT, 1.0, 1 + DRIFT]), attempts)


class Server:
    """The API server: one object, and a version by which a write that did not see the last one is refused."""

    def __init__(self) -> None:
        self.record: Record | None = None
        self.version = 0

    def write(self, record: Record, version: int) -> bool:
        if version != self.version:
            return False
        self.record, self.version = record, self.version + 1
        return True


class World:
    """Candidates and a server that exchange messages in real time; each has its own clock."""

    def __init__(self, plans: list[tuple[float, float, list[Attempt]]]) -> None:
        self.server = Server()
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._names = itertools.count()
        self.nodes = [Node(self, offset, rate, plan) for offset, rate, plan in plans]
        self.terms: list[str] = []  # who led, one after the other

    def at(self, delay_s: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay_s, next(self._order), do))

    def name(self) -> str:
        return f"candidate-{next(self._names)}"

    def run(self) -> None:
        for node in self.nodes:
            node.next()
        while self._queue:
            self.now, _, do = heapq.heappop(self._queue)
            do()
            leaders = [node.election.identity for node in self.nodes if node.election.leads(node.clock())]
            # Terms begin at events only, so whoever overlaps does so here.
            assert len(leaders) <= 1, f"{leaders} lead at {self.now}"
            if leaders and self.terms[-1:] != leaders:
                self.terms += leaders


class Node:
    """One candidate's process, and those that follow it under other names."""

    def __init__(self, world: World, offset: float, rate: float, plan: list[Attempt]) -> None:
        self._world, self._offset, self._rate = world, offset, rate
        self._plan = iter(plan)
        self.election = candidate(world.name())

    def clock(self) -> float:
        return self._offset + self._rate * self._world.now

    def next(self) -> None:
        attempt = next(self._plan, None)
        if attempt is not None:
            self._world.at(attempt.after_s, lambda: self._ask(attempt))

    def _ask(self, attempt: Attempt) -> None:
        def asked() -> None:
            found = self._world.server.record, self._world.server.version
            self._pass(attempt, 1, lambda: self._told(attempt, *found))

        self._pass(attempt, 0, asked)

    def _told(self, attempt: Attempt, found: Record | None, version: int) -> None:
        self.election = self.election.saw(self.clock(), found)
        # What a wall clock says is for people: here it says nonsense.
        stamp = f"{self._offset:.0f}/{next(self._world._order)}"
        claim = self.election.release(stamp) if attempt.ends == "resign" else self.election.claim(self.clock(), stamp)
        if attempt.ends == "resign":
            self.election = self.election.resigned()
        if claim is None:
            self._end(attempt)
            return
        sent = self.clock()

        def written() -> None:
            taken = self._world.server.write(claim, version)
            self._pass(attempt, 3, lambda: self._answered(attempt, sent, claim, taken))

        self._pass(attempt, 2, written)

    def _answered(self, attempt: Attempt, sent: float, claim: Record, taken: bool) -> None:
        if taken and attempt.ends != "resign":
            self.election = self.election.wrote(sent, self.clock(), claim)
        self._end(attempt)

    def _pass(self, attempt: Attempt, message: int, arrive: Callable[[], None]) -> None:
        if attempt.lost == message:
            self._world.at(attempt.delays_s[message], lambda: self._end(attempt))
        else:
            self._world.at(attempt.delays_s[message], arrive)

    def _end(self, attempt: Attempt) -> None:
        if attempt.ends == "die":
            self.election = candidate(self._world.name())
        self.next()


@given(st.lists(clocks, min_size=2, max_size=3))
@settings(max_examples=40)
def test_two_never_lead_at_once(plans: list[tuple[float, float, list[Attempt]]]) -> None:
    World(plans).run()


def test_a_dead_leader_is_followed_within_duration_and_a_retry() -> None:
    """The same world, where nothing is slow: it must also get somewhere."""
    quick = (0.01, 0.01, 0.01, 0.01)
    first = [Attempt(1.0, quick, None), *[Attempt(RETRY_S, quick, None)] * 5]
    second = [Attempt(2.0, quick, None), *[Attempt(RETRY_S, quick, None)] * 15]
    world = World([(5.0, 1.0, first), (-900.0, 1.0, second)])
    world.run()
    assert world.terms == ["candidate-0", "candidate-1"]
    last_renewal = 1.0 + 5 * (RETRY_S + 0.04)
    assert world.now > last_renewal + DURATION_S
    assert world.server.record is not None
    assert (world.server.record.holder, world.server.record.transitions) == ("candidate-1", 1)
