"""Budgets: periods, how leases are cut, and that no order of events lets workers spend what is not there."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from serve.gateway.ledger.account import Account, Hold
from serve.gateway.ledger.database import Sqlite
from serve.gateway.ledger.leases import Claim, Others, cut
from serve.gateway.ledger.period import Every, day_of, period_of
from serve.gateway.ledger.refusals import refusal
from serve.gateway.ledger.rows import SENT, Row
from serve.gateway.ledger.store import Clock, Store

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
MONEY = st.integers(0, 10_000)


def at(*when):
    return datetime(*when, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("every", "now", "name", "start", "end"),
    [
        (Every.DAY, at(2026, 11, 22, 23, 59, 59), "2026-11-22", at(2026, 11, 22), at(2026, 11, 23)),
        (Every.DAY, at(2026, 11, 23), "2026-11-23", at(2026, 11, 23), at(2026, 11, 24)),
        (Every.MONTH, NOON, "2026-11", at(2026, 11, 1), at(2026, 12, 1)),
        (Every.MONTH, at(2026, 12, 31, 23, 59), "2026-12", at(2026, 12, 1), at(2027, 1, 1)),
        (Every.MONTH, at(2028, 2, 29), "2028-02", at(2028, 2, 1), at(2028, 3, 1)),
    ],
)
def test_periods_are_days_and_months_of_utc(every, now, name, start, end):
    period = period_of(every, now)
    assert (period.name, period.start, period.end) == (name, start, end)


@given(st.sampled_from(Every), st.floats(0, 4e9))
def test_every_time_is_in_its_period_and_the_end_in_the_next(every, now):
    period = period_of(every, now)
    assert period.start <= now < period.end
    assert period_of(every, period.end).start == period.end


@given(MONEY, MONEY, MONEY, MONEY, MONEY, MONEY, MONEY, st.integers(0, 5))
def test_what_is_cut_fits_the_budget_and_the_need_comes_first(budget, need, spare, keep, own, spent, leased, count):
    claim = Claim("t", 0, 1, budget, need, spare, keep)
    lease = cut(claim, own, spent, Others(leased, count))
    left = max(budget - spent - leased, 0)
    assert 0 <= lease.granted <= left
    assert lease.granted >= min(need, left), "the need is met as far as there is money"
    assert lease.granted >= min(keep, own, left), "what is in use is not taken away"
    assert lease.granted <= max(need + spare, min(keep, own)), "no more than what was asked for"
    assert lease.unmet == max(need - left, 0)


def account(budget=1000, now=NOON, every=Every.DAY):
    made = Account("t", budget, every, now)
    renew(made)
    return made


ALONE = Others()


def renew(one, spent=0, others=ALONE, now=NOON, clock=0.0, recorded=0):
    claim = one.claim(recorded)
    one.renewed(claim, cut(claim, claim.keep, spent, others), recorded, clock, clock + 30)


def test_a_request_is_taken_by_what_it_is_expected_to_cost_and_holds_what_it_can_cost():
    one = account()
    one.denied = 1000
    renew(one)
    first, second = Hold(one, 0), Hold(one, 0)
    assert one.reserve(first, 100, 700, NOON, 1)
    assert one.free == 300
    assert not one.reserve(second, 301, 301, NOON, 1)
    assert one.reserve(second, 300, 900, NOON, 1), "the last one may cost more than is left: by that much, no more"
    assert one.free == -600
    one.settle(first, 650, NOON)
    one.settle(second, 350, NOON)
    assert (one.held, one.spent, one.free) == (0, 1000, 0)


def test_what_is_being_given_back_cannot_be_used_any_more():
    store = Store(Sqlite(None))
    store.create()
    one, other = Account("t", 1000, Every.DAY, NOON), Account("t", 1000, Every.DAY, NOON)
    clock = Clock("b", 0.0)

    def commit(worker, account):
        claim = account.claim(0)
        return claim, store.commit(worker, (), [claim], clock, 30)[0]

    one.denied = 1000
    one.renewed(*commit("one", one), 0, 0.0, 27.0)
    assert one.free == 1000
    asked = commit("one", one)  # wants less by now, and has not heard the answer
    other.denied = 1000
    other.renewed(*commit("other", other), 0, 0.0, 27.0)
    assert other.reserve(Hold(other, 0), other.free, other.free, NOON, 1)
    while one.reserve(Hold(one, 0), 50, 50, NOON, 1):
        pass
    assert one.held > 0
    assert one.held + other.held <= 1000
    one.renewed(*asked, 0, 0.0, 27.0)
    assert one.free >= 0


def test_a_lease_that_was_not_renewed_is_worth_nothing():
    one = account()
    assert one.free > 0
    assert not one.reserve(Hold(one, 0), 1, 1, NOON, 30)
    assert one.reserve(Hold(one, 0), 1, 1, NOON, 29.9)


def test_a_new_period_begins_with_nothing_spent_and_open_requests_in_it():
    one = account()
    one.denied = 1000
    renew(one)
    hold = Hold(one, 0)
    assert one.reserve(hold, 200, 400, NOON, 1)
    one.settle(None, 500, NOON)
    midnight = at(2026, 11, 23)
    assert not one.reserve(Hold(one, 0), 1, 1, midnight, 1), "nothing of the new day is leased yet"
    assert (one.period.name, one.spent, one.held) == ("2026-11-23", 0, 400)
    renew(one, now=midnight)
    assert one.reserve(Hold(one, 0), 1, 1, midnight, 1)
    one.settle(hold, 300, midnight)
    assert one.spent == 300, "paid from the day on which it ended"


def test_a_renewal_of_the_period_before_is_of_no_use():
    one = account()
    claim = one.claim(0)
    one.turn(at(2026, 11, 23))
    one.renewed(claim, cut(claim, claim.keep, 0, Others()), 0, 0.0, 30.0)
    assert one.leased == 0


def test_without_a_store_the_lease_grows_once_by_this_workers_share():
    one = account(1000)
    renew(one, spent=100, others=Others(leased=200, count=1))
    free = one.free
    share = (1000 - 100 - 200 - one.leased) // 2
    for _ in range(3):
        one.claim(0)
        one.unreachable(60.0)
    assert one.free == free + share
    assert one.reserve(Hold(one, 0), share, share, NOON, 59)
    one.turn(at(2026, 11, 23))
    one.claim(0)
    one.unreachable(60.0)
    assert (one.spent, one.leased) == (0, 500), "half of a new day's budget: there was another worker"


@pytest.mark.parametrize(
    ("spent", "code", "words", "retry"),
    [
        (1_000_000_000, "insufficient_quota", "is spent: 0.000000 of 1 USD are left", 43_200),
        (0, "budget_reserved", "state max_tokens", 5),
    ],
)
def test_a_refusal_says_why_and_until_when(spent, code, words, retry):
    one = account(1_000_000_000)
    one.settle(None, spent, NOON)
    error = refusal(one, 5000, NOON)
    assert (error.status, error.code, error.retry_after_s) == (429, code, retry)
    assert words in error.message
    assert code != "insufficient_quota" or "2026-11-23T00:00Z" in error.message


class Workers(RuleBasedStateMachine):
    """Two workers, one store, and everything that can come between: answers that cost more than was expected, slow
    transactions, workers that die, leases that end."""

    requests = Bundle("requests")
    BUDGET, LEASE_S, WORKERS = 1000, 30.0, 2

    def __init__(self):
        super().__init__()
        self.store = Store(Sqlite(None))
        self.store.create()
        self.clock = 0.0
        self.made = 0
        self.lost = 0  # what dead workers had spent and never recorded
        self.error = {}  # by worker, dead ones included: the largest difference of an answer to its expectation
        self.workers = [self.fresh() for _ in range(self.WORKERS)]

    def fresh(self):
        self.made += 1
        name = f"w{self.made}"
        self.error[name] = 0
        return {"name": name, "account": Account("t", self.BUDGET, Every.DAY, NOON), "rows": [], "asked": None}

    @rule(
        target=requests, which=st.integers(0, 1), expected=st.integers(100, 600), over=st.sampled_from((0, 0, 0, 200))
    )
    def reserve(self, which, expected, over):
        worker = self.workers[which]
        hold = Hold(worker["account"], 0)
        if not worker["account"].reserve(hold, expected, expected + over, NOON, self.clock):
            worker["account"].denied = max(worker["account"].denied, expected + over)
            self.renew(which)
            if not worker["account"].reserve(hold, expected, expected + over, NOON, self.clock):
                return None
        self.error[worker["name"]] = max(self.error[worker["name"]], over)
        return worker, hold, expected

    @rule(request=consumes(requests), share=st.sampled_from((0.0, 0.5, 1.0)))
    def settle(self, request, share):
        if request is None:
            return
        worker, hold, _ = request
        if worker not in self.workers:
            return
        cost = round(hold.nano_usd * share)
        worker["account"].settle(hold, cost, NOON)
        self.made += 1
        worker["rows"].append(Row(f"d{self.made}", SENT, NOON, "r", "t", "k", "m", "nn", 1, 0, 1, False, cost, 200))

    def renew(self, which):
        for step in (self.hear, self.ask, self.hear):
            step(which)

    @rule(which=st.integers(0, 1))
    def ask(self, which):
        worker = self.workers[which]
        if worker["asked"] is not None:
            return
        rows, worker["rows"] = worker["rows"], []
        recorded = sum(row.nano_usd for row in rows)
        claim = worker["account"].claim(recorded)
        clock = Clock("b", self.clock)
        (lease,) = self.store.commit(worker["name"], rows, [claim], clock, self.LEASE_S)
        self.store.commit(worker["name"], rows, (), clock, self.LEASE_S)  # again: it changes nothing
        worker["asked"] = claim, lease, recorded, self.clock

    @rule(which=st.integers(0, 1))
    def hear(self, which):
        worker = self.workers[which]
        if worker["asked"] is not None:
            claim, lease, recorded, clock = worker["asked"]
            worker["account"].renewed(claim, lease, recorded, clock, clock + 0.9 * self.LEASE_S)
            worker["asked"] = None

    @rule(seconds=st.floats(0.1, 15))
    def wait(self, seconds):
        """Who lives renews in time, as `Keeper` does; only the dead let leases end."""
        for which, worker in enumerate(self.workers):
            if self.clock + seconds - worker["account"].clock_renewed > self.LEASE_S / 2:
                self.renew(which)
        self.clock += seconds

    @rule(which=st.integers(0, 1))
    def die(self, which):
        worker = self.workers[which]
        account, asked = worker["account"], worker["asked"]
        self.lost += account.unrecorded + account.held - (asked[2] if asked else 0)
        self.workers[which] = self.fresh()

    @rule(which=st.integers(0, 1))
    def stop(self, which):
        worker = self.workers[which]
        if worker["asked"] is None and not worker["rows"] and not worker["account"].held:
            self.store.give_back(worker["name"])
            self.workers[which] = self.fresh()

    @invariant()
    def nobody_spends_what_is_not_there(self):
        recorded = sum(spend.nano_usd for spend in self.store.spend(day_of(NOON), day_of(NOON) + 1))
        live = 0
        for worker in self.workers:
            one, asked = worker["account"], worker["asked"]
            open_or_unrecorded = one.unrecorded + one.held - (asked[2] if asked else 0)
            live += open_or_unrecorded
        assert recorded + live <= self.BUDGET + sum(self.error.values())


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(max_examples=25, stateful_step_count=40)
TestWorkers.pytestmark = [pytest.mark.unit]
