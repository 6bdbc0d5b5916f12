"""The ledger on disk: rows once and whole, sums by day, what is spilled and brought home, retention."""

import sqlite3
import threading
from datetime import UTC, datetime

import msgspec
import pytest

from serve.commands.tenants import summed as lines_of
from serve.errors import DescriptionError
from serve.fleet.card import Price
from serve.fleet.gateway import Limits
from serve.fleet.ledger import Ledger
from serve.gateway.auth import MAX_CLASSES, KeysFile, load_keys
from serve.gateway.body import parse
from serve.gateway.ledger.database import Sqlite, Unreachable
from serve.gateway.ledger.estimate import TEMPLATE_TOKENS, Rates, estimate
from serve.gateway.ledger.leases import Claim
from serve.gateway.ledger.period import day_of
from serve.gateway.ledger.rows import DISCARDED, SENT, SUMMED, Row, summed
from serve.gateway.ledger.spill import Spill, orphans
from serve.gateway.ledger.store import NAME, PRUNE, Clock, Spend, Store
from serve.gateway.ledger.writer import Writer
from serve.routing.records import Candidate, Endpoint

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
DAY = day_of(NOON)
CLOCK = Clock("boot", 100.0)


def row(number, cost=10, tenant="t", at=NOON, part=SENT, key="k", model="m"):
    return Row(f"d{number}", part, at, f"r{number}", tenant, key, model, "nn", 100, 20, 5, False, cost, 200)


@pytest.fixture
def store(tmp_path):
    made = opened(tmp_path)
    yield made
    made.close()


def opened(directory, busy_s=0.05):
    store = Store(Sqlite(directory / NAME, busy_s=busy_s))
    store.create()
    return store


def spent(store, tenant="t"):
    return sum(one.nano_usd for one in store.spend(0, 10**6) if one.tenant == tenant)


def claim(need=0, spare=0, keep=0, budget=1000):
    return Claim("t", DAY, DAY + 1, budget, need, spare, keep)


def test_rows_are_counted_once_however_often_they_come(store, tmp_path):
    rows = [row(1), row(2, cost=5), row(1, cost=7, part=DISCARDED), row(3, tenant="u")]
    for _ in range(3):
        store.commit("w", rows, (), CLOCK, 30)
    store.commit("w", [row(1, cost=999)], (), CLOCK, 30)
    (one,) = [s for s in store.spend(DAY, DAY + 1) if s.tenant == "t"]
    assert (one.requests, one.input_tokens, one.cached_tokens, one.output_tokens, one.nano_usd) == (3, 300, 60, 15, 22)
    assert spent(store, "u") == 10
    with sqlite3.connect(tmp_path / NAME) as raw:
        assert raw.execute("SELECT COUNT(*), SUM(nano_usd) FROM ledger").fetchone() == (4, 32)
        assert raw.execute("SELECT tenant, model, nano_usd FROM ledger WHERE part = 1").fetchone() == ("t", "m", 7)


def test_a_row_counts_on_the_day_on_which_its_request_ended(store):
    store.commit("w", [row(1), row(2, at=NOON + 86_400), row(3, at=NOON + 12 * 3600 - 0.001)], (), CLOCK, 30)
    assert [(one.day - DAY, one.nano_usd) for one in store.spend(0, 10**6)] == [(0, 20), (1, 10)]
    (lease,) = store.commit("w", (), [claim(need=5000)], CLOCK, 30)
    assert (lease.spent, lease.granted, lease.unmet) == (20, 980, 4020)


def test_leases_end_with_their_term_and_with_the_machines_start(store):
    (first,) = store.commit("a", (), [claim(need=600)], CLOCK, 30)
    (second,) = store.commit("b", (), [claim(need=600)], CLOCK, 30)
    assert (first.granted, second.granted, second.unmet, second.others.leased) == (600, 400, 200, 600)
    (third,) = store.commit("c", (), [claim(need=600)], Clock("boot", 129.9), 30)
    assert (third.granted, third.others.count, third.others.unmet) == (0, 2, 200)
    (fourth,) = store.commit("d", (), [claim(need=600)], Clock("boot", 130.0), 30)
    assert (fourth.granted, fourth.others.count) == (600, 1), "only the one of c is left, and it has nothing"
    (fifth,) = store.commit("e", (), [claim(need=900)], Clock("another boot", 1.0), 30)
    assert (fifth.granted, fifth.others.count) == (900, 0)
    store.give_back("e")
    (sixth,) = store.commit("f", (), [claim(need=1000)], Clock("another boot", 2.0), 30)
    assert sixth.granted == 1000


def test_what_is_committed_is_there_after_a_crash_and_what_is_not_is_not(tmp_path):
    store = opened(tmp_path)
    store.commit("w", [row(1)], (), CLOCK, 30)
    with pytest.raises(TypeError):
        store.commit("w", [row(2), row(3), None], (), CLOCK, 30)
    other = opened(tmp_path)  # as another process would: the first was never closed
    assert spent(other) == 10
    store.commit("w", [row(2)], (), CLOCK, 30)
    assert spent(other) == 20


def test_old_rows_go_in_small_batches_and_their_sums_stay(store, tmp_path):
    store.commit("w", [row(n) for n in range(PRUNE + 7)], (), CLOCK, 30)
    store.commit("w", [row(10**6, at=NOON + 50)], (), CLOCK, 30)
    assert [store.prune(NOON + 1) for _ in range(3)] == [PRUNE, 7, 0]
    with sqlite3.connect(tmp_path / NAME) as raw:
        assert raw.execute("SELECT COUNT(*) FROM ledger").fetchone() == (1,)
    assert spent(store) == 10 * (PRUNE + 8)


def test_a_locked_store_spills_rows_and_has_them_once_later(tmp_path):
    writer = Writer(opened(tmp_path), tmp_path, "w", 30)
    holder = sqlite3.connect(tmp_path / NAME, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    lost = writer.write([row(1), row(2)], [claim()], CLOCK)
    assert lost.leases is None
    assert list(lost.kept) == []
    assert "locked" in lost.error
    assert writer.write([row(3)], (), CLOCK).leases is None
    assert (tmp_path / "ledger-spill-w.jsonl").read_text().count("\n") == 3
    holder.execute("ROLLBACK")
    written = writer.write([row(4)], [claim()], CLOCK)
    assert written.home == {("t", DAY): 30}
    assert written.home_rows == 3
    assert not list(tmp_path.glob("ledger-spill-*"))
    assert spent(opened(tmp_path)) == 40
    assert writer.write((), (), CLOCK).home_rows == 0
    writer.close()


def test_what_a_dead_worker_spilled_is_brought_home_by_another(tmp_path):
    store = opened(tmp_path)
    store.commit("dead", [row(1)], (), CLOCK, 30)
    dead = Spill(tmp_path, "dead")
    dead.append([row(1), row(2)])
    living = Writer(store, tmp_path, "living", 30)
    assert living.adopt(CLOCK) == 0, "it is locked: its worker lives"
    dead.close()
    with dead.path.open("ab") as file:
        file.write(b'["d3",0,17')  # the crash came here
    assert living.adopt(CLOCK) == 2
    assert spent(store) == 20
    assert not dead.path.exists()


def test_a_spilled_line_that_was_cut_is_no_row(tmp_path):
    spill = Spill(tmp_path, "w")
    spill.append([row(n) for n in range(5)])
    whole = spill.path.read_bytes()
    spill.close()
    for cut in range(0, len(whole), 9):
        spill.path.write_bytes(whole[:cut])
        (found,) = orphans(tmp_path)
        rows = [one for chunk in found.chunks(2) for one in chunk]
        assert rows == [row(n) for n in range(len(rows))]
        assert len(rows) in (whole[:cut].count(b"\n"), whole[:cut].count(b"\n") + 1)


def test_rows_for_which_there_is_no_room_become_sums_that_forget_no_money():
    rows = [row(n, cost=n, tenant="tu"[n % 2], at=NOON + 86_400 * (n % 3 == 0)) for n in range(100)]
    sums = summed(rows, "s")
    assert len(sums) == 4
    assert sum(one.nano_usd for one in sums) == sum(range(100))
    assert sum(one.requests for one in sums) == 100
    assert {one.part for one in sums} == {SUMMED}
    assert len({one.decision_id for one in sums}) == 4
    again = summed([*sums, row(1, cost=1)], "s2")
    assert (sum(one.nano_usd for one in again), sum(one.requests for one in again)) == (sum(range(100)) + 1, 101)


def test_a_directory_that_is_none_is_unreachable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unreachable):
        Sqlite(tmp_path / "file" / NAME)
    with pytest.raises(Unreachable):
        Sqlite(tmp_path / "absent.sqlite", read_only=True)


RATES = Rates.of(Price(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0))  # 1,000 and 2,000 nano-USD a token
CANDIDATE = Candidate("m", 0.0, 50, 200, None, "none")


def parsed(endpoint=Endpoint.CHAT, **fields):
    base = {
        Endpoint.CHAT: {"messages": [{"role": "user", "content": "Hei"}]},
        Endpoint.COMPLETIONS: {"prompt": "Hei"},
        Endpoint.EMBEDDINGS: {"input": "Hei"},
    }[endpoint]
    return parse(msgspec.json.encode({"model": "m", **base, **fields}), endpoint, {}, Limits())


@pytest.mark.parametrize(
    ("endpoint", "fields", "answers"),
    [
        (Endpoint.CHAT, {}, 8192),
        (Endpoint.CHAT, {"max_tokens": 100}, 100),
        (Endpoint.CHAT, {"max_tokens": 100, "n": 3}, 300),
        (Endpoint.CHAT, {"max_tokens": 100_000}, 8192),
        (Endpoint.CHAT, {"max_tokens": 1, "max_completion_tokens": 900}, 900),
        (Endpoint.COMPLETIONS, {"max_tokens": 10, "prompt": ["a", "b", "c"], "n": 2}, 60),
        (Endpoint.COMPLETIONS, {"max_tokens": 10, "prompt": [1, 2, 3]}, 10),
        (Endpoint.COMPLETIONS, {"max_tokens": 10, "prompt": [[1, 2], [3]]}, 20),
        (Endpoint.EMBEDDINGS, {}, 0),
    ],
)
def test_the_ceiling_is_all_that_may_be_read_and_written(endpoint, fields, answers):
    found = estimate(Ledger(), parsed(endpoint, **fields), 400, CANDIDATE, RATES, 8192)
    assert found.ceiling == 1000 * (400 + TEMPLATE_TOKENS) + 2000 * answers
    assert found.expected == min(2 * (50 * 1000 + 200 * 2000), found.ceiling)


def test_a_prompt_cannot_be_longer_than_the_context_nor_an_open_end_than_the_setting():
    unbounded = Ledger(unbounded_tokens=1000, reserve_margin=3)
    found = estimate(unbounded, parsed(), 10**6, CANDIDATE, RATES, 8192)
    assert found == (3 * 450_000, 1000 * 8192 + 2000 * 1000)


def test_tenants_stand_in_the_keys_file(tmp_path):
    path = tmp_path / "keys.yaml"
    path.write_text("tenants: {acme: {class: gold, budget_usd: 12.5, period: day}, later: {}}\nkeys: []\n")
    file = load_keys(path)
    assert file.names() == ("acme", "later")
    assert file.tenants["acme"].model_dump(mode="json") == {"class": "gold", "budget_usd": 12.5, "period": "day"}
    for wrong, words in [
        ("{a: {budget_usd: -1}}", "tenants.a.budget_usd"),
        ("{a: {period: week}}", "tenants.a.period"),
        ("{a: {budget: 1}}", "no such field"),
        ("{" + ",".join(f"t{n}: {{class: c{n}}}" for n in range(MAX_CLASSES)) + "}", "at most 16 are allowed"),
    ]:
        path.write_text(f"tenants: {wrong}\n")
        with pytest.raises(DescriptionError, match=words):
            load_keys(path)


def test_spend_is_shown_by_the_period_of_each_budget():
    keys = KeysFile.model_validate(
        {"tenants": {"a": {"budget_usd": 1, "period": "day"}, "b": {"budget_usd": 2}, "idle": {"budget_usd": 3}}}
    )
    days = [Spend(t, DAY - back, 1, 10, 0, 2, 500_000_000) for t in ("a", "b", "x") for back in (1, 0)]
    lines = lines_of(days, keys, NOON)
    assert [line.cells() for line in lines] == [
        ("a", "default", "2026-11-21", "1", "10", "0", "2", "0.500000", "1", "50.0%"),
        ("a", "default", "2026-11-22", "1", "10", "0", "2", "0.500000", "1", "50.0%"),
        ("b", "default", "2026-11", "2", "20", "0", "4", "1.000000", "2", "50.0%"),
        ("idle", "default", "2026-11", "0", "0", "0", "0", "0.000000", "3", "0.0%"),
        ("x", "default", "2026-11", "2", "20", "0", "4", "1.000000", "none", ""),
    ]


def test_workers_that_open_a_new_ledger_at_once_all_open_it(tmp_path):
    """SQLite fails the switch to WAL at once where another connection is about it, whatever its time-out says."""
    failed = []

    def open_at_once(path, barrier):
        barrier.wait()
        try:
            store = Store(Sqlite(path))
            store.create()
            store.close()
        except Unreachable as error:
            failed.append(str(error))

    for number in range(30):
        barrier = threading.Barrier(6)
        given = (tmp_path / f"{number}.sqlite", barrier)
        workers = [threading.Thread(target=open_at_once, args=given) for _ in range(6)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert failed == []
