"""The exact world: every request answered once or lost with its replica, given to the one with the fewest open."""

from __future__ import annotations

import math
from dataclasses import astuple
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaling.capacity.roofline import Roofline
from autoscaling.simulate.exact import ExactPool
from autoscaling.simulate.pool import Batch, Tally
from autoscaling.simulate.traces import Arrival, Trace, Window
from serve.fleet import loader
from serve.fleet.gpus import gpu
from serve.fleet.memory import Layout
from serve.fleet.slo import Slo

pytestmark = pytest.mark.unit

ARCH = loader.laptop().model("suzume-llama-3-8b-multilingual").card.architecture
assert ARCH is not None
ROOF = Roofline(ARCH, Layout(batched_tokens=2048, sequences=256), gpu("H100-SXM-80GB"))
SLO = Slo(ttft_s=1.0, itl_s=0.02)
KV = 60_000
TICK_S = 5.0


def pool_of(replicas: int, kv: int = KV, seed: int = 1) -> ExactPool:
    pool = ExactPool(SLO, ROOF, kv, random=Random(seed))
    for _ in range(replicas):
        pool.add()
    return pool


def batch_of(*arrivals: Arrival) -> Batch:
    return Batch(len(arrivals), 1.0, 1.0, 1.0, tuple(arrivals))


def drawn(rate: float, seconds: float, cv: float = 1.0, prompt: float = 400, output: float = 60) -> list[Arrival]:
    trace = Trace("drawn", (Window(0, seconds, rate, cv, prompt, output),))
    return list(trace.drawn(Random(7)))


def run(pool: ExactPool, arrivals: list[Arrival], until_s: float, begin_s: float = 0.0) -> None:
    """In ticks, as the simulator does."""
    for index in range(round((until_s - begin_s) / TICK_S)):
        begin, end = begin_s + index * TICK_S, begin_s + (index + 1) * TICK_S
        pool.advance(end, batch_of(*(one for one in arrivals if begin <= one.at_s < end)))


def settle(pool: ExactPool, at_s: float = 10_000.0) -> Tally:
    pool.advance(at_s, batch_of())
    return pool.tally


def test_one_request_is_counted_when_it_is_answered_and_when_it_ends() -> None:
    pool = pool_of(1)
    pool.advance(0.001, batch_of(Arrival(0.0, 1000, 101)))
    assert (pool.tally.arrived, pool.tally.answered, pool.tally.open, pool.tally.running) == (1, 0, 1, 1)
    assert pool.tally.kv_use == pytest.approx(1000 / KV, rel=0.02)
    pool.advance(0.1, batch_of())
    assert (pool.tally.answered, pool.tally.ttft_within, pool.tally.finished) == (1, 1, 0)
    tally = settle(pool)
    assert (tally.finished, tally.met, tally.open, tally.running, tally.kv_use) == (1, 1, 0, 0, 0)
    assert (tally.prompt, tally.output, tally.worked_prompt, tally.worked_output) == (1000, 101, 1000, 101)
    assert (tally.token_gaps, tally.gaps_within) == (100, 100)
    assert pool.ttft_quantile(0.5) == pytest.approx(ROOF.step_s(0, 0, 1000, 1000))
    assert pool.itl_quantile(0.5) == pytest.approx(ROOF.step_s(1, 1050.5))


def test_an_objective_is_missed_by_the_request_whose_time_it_is() -> None:
    pool = ExactPool(Slo(ttft_s=0.1, itl_s=0.01), ROOF, KV)
    pool.add()
    # A prompt that takes ten steps, and one that waits for it.
    pool.advance(60, batch_of(Arrival(0.0, 20_000, 2), Arrival(0.01, 100, 200)))
    tally = pool.tally
    assert (tally.answered, tally.ttft_within, tally.finished, tally.itl_within, tally.met) == (2, 0, 2, 2, 0)


def test_a_batch_without_its_requests_is_refused() -> None:
    with pytest.raises(ValueError, match=r"12\.5 requests and no arrivals"):
        pool_of(1).advance(5.0, Batch(12.5, 100, 100))
    with pytest.raises(ValueError, match="comes at 6 s in a tick that ends at 5 s"):
        pool_of(1).advance(5.0, batch_of(Arrival(6.0, 10, 10)))


def test_what_comes_while_none_serves_waits_for_the_first_that_does() -> None:
    pool = pool_of(0)
    run(pool, [Arrival(1.0, 100, 10), Arrival(2.0, 100, 10)], 5.0)
    assert (pool.tally.waiting, pool.tally.open, pool.tally.kv_use) == (2, 2, 0)
    assert math.isnan(pool.ttft_quantile(0.5))
    pool.add()
    pool.advance(10.0, batch_of())
    assert (pool.tally.finished, pool.tally.waiting, pool.tally.ttft_within) == (2, 0, 0)
    assert 3.0 < pool.ttft_quantile(0.0) < 3.1
    assert 4.0 < pool.ttft_quantile(1.0) < 4.1


def test_requests_go_to_the_replica_with_the_fewest_open_ones() -> None:
    pool = pool_of(3)
    pool.advance(1.0, batch_of(*(Arrival(0.1 * index, 100, 3000) for index in range(9))))
    assert [engine.open for engine in pool._engines] == [3, 3, 3]


def test_a_fresh_replica_is_sent_everything_until_it_has_as_many() -> None:
    pool = pool_of(2)
    pool.advance(1.0, batch_of(*(Arrival(0.01 * index, 100, 5000) for index in range(20))))
    pool.add()
    pool.advance(2.0, batch_of(*(Arrival(1.0 + 0.01 * index, 100, 5000) for index in range(9))))
    assert [engine.open for engine in pool._engines] == [10, 10, 9]


def test_the_balancer_sees_what_is_open_at_that_very_moment() -> None:
    """A request that ends in a step which is still going on is open; a moment later it is not."""
    step = ROOF.step_s(0, 0, 100, 100)
    begun = (Arrival(0.0, 100, 5000), Arrival(0.1 * step, 100, 1))
    for moment, opens in ((1.05, [2, 0]), (1.15, [1, 1])):
        pool = pool_of(2)
        pool.advance(1.0, batch_of(*begun, Arrival(moment * step, 100, 5000)))
        assert [engine.open for engine in pool._engines] == opens


def test_the_newest_drains_and_goes_when_it_is_empty() -> None:
    pool = pool_of(2)
    pool.advance(1.0, batch_of(*(Arrival(0.1 * index, 100, 400) for index in range(4))))
    oldest = pool._engines[0]
    pool.remove()
    assert (pool.serving, pool.draining, pool._engines) == (1, 1, [oldest])
    pool.advance(1.5, batch_of(Arrival(1.2, 100, 400)))
    assert (pool.draining, oldest.open) == (1, 3)
    tally = settle(pool)
    assert (pool.serving, pool.draining, tally.finished, tally.lost) == (1, 0, 5, 0)
    pool.remove()
    assert (pool.serving, pool.draining) == (0, 0), "an empty one has gone at once"
    with pytest.raises(ValueError, match="no replica serves"):
        pool.remove()
    with pytest.raises(ValueError, match="no replica serves"):
        pool.lose()


def test_a_death_loses_the_streams_that_had_begun_and_no_others() -> None:
    pool = pool_of(2)
    # 40 on each, of which the cache holds about half; those in the queue have no token yet.
    pool.advance(2.0, batch_of(*(Arrival(0.001 * index, 3000, 2000) for index in range(80))))
    answered, waiting = pool.tally.answered, pool.tally.waiting
    assert waiting > 20
    pool.lose()
    assert pool.serving == 1
    assert pool.tally.lost == pytest.approx(answered / 2, abs=1)
    tally = settle(pool)
    assert tally.finished + tally.lost == 80
    assert tally.answered == tally.finished + tally.lost
    pool.lose()
    assert tally.lost == pytest.approx(answered / 2, abs=1), "it had nothing"


def test_retried_requests_keep_the_time_at_which_they_came() -> None:
    pool = pool_of(1)
    pool.advance(0.01, batch_of(Arrival(0.0, 20_000, 10)))
    pool.lose()
    assert (pool.tally.lost, pool.serving) == (0, 0)
    pool.advance(7.0, batch_of())
    pool.add()
    assert settle(pool).finished == 1
    assert pool.ttft_quantile(0.5) > 7.0


def test_what_no_replica_can_take_is_refused_at_once() -> None:
    pool = pool_of(1, kv=1600)
    pool.advance(5.0, batch_of(Arrival(0.0, 1600, 5), Arrival(1.0, 1500, 5000)))
    assert (pool.tally.lost, pool.tally.finished, pool.tally.output) == (1, 1, 100)


def test_the_same_seed_gives_the_same_run() -> None:
    def once(seed: int) -> tuple[float, ...]:
        pool = pool_of(3, seed=seed)
        run(pool, drawn(60, 30), 15.0)
        pool.lose()
        run(pool, [one for one in drawn(60, 30) if one.at_s >= 15], 30.0, 15.0)
        return (*astuple(pool.tally), pool.ttft_quantile(0.9))

    assert once(1) == once(1)


class Watched(ExactPool):
    """Sums up how long each request was there, from its own times."""

    inside_s = 0.0

    def _count(self) -> None:
        self.inside_s += sum(one.end_s - one.arrival.at_s for one in self._progress.ended)
        super()._count()


def test_little_s_law() -> None:
    """Mean number open = rate x mean time in the system, whatever happens inside (Little 1961)."""
    pool, arrivals, tick, opens, cursor = Watched(SLO, ROOF, KV), drawn(30, 20, cv=2.0), 0.05, 0.0, 0
    pool.add()
    pool.add()
    for index in range(int(30 / tick)):
        end, begin = (index + 1) * tick, cursor
        while cursor < len(arrivals) and arrivals[cursor].at_s < end:
            cursor += 1
        pool.advance(end, batch_of(*arrivals[begin:cursor]))
        opens += pool.tally.open * tick
    count = len(arrivals)
    assert pool.tally.finished == count
    print(f"{opens / 20:.2f} open on average; {count / 20:.1f} a second, {pool.inside_s / count:.3f} s each")
    assert opens == pytest.approx(pool.inside_s, rel=0.02)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1500), st.integers(0, 150)), max_size=12),
            st.sampled_from(["", "add", "remove", "lose"]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(3000, 20_000),
)
def test_no_request_is_forgotten_or_answered_twice(
    ticks: list[tuple[list[tuple[float, int, int]], str]], kv: int
) -> None:
    pool = pool_of(1, kv)
    arrived = 0
    last = Tally()
    for index, (found, change) in enumerate(ticks):
        if change == "add" or (change and not pool.serving):
            pool.add()
        elif change:
            pool.remove() if change == "remove" else pool.lose()
        arrived += len(found)
        pool.advance(
            index + 1, batch_of(*(Arrival(index + at, prompt, output) for at, prompt, output in sorted(found)))
        )
        tally = pool.tally
        assert tally.arrived == arrived
        assert tally.open == tally.running + tally.waiting
        assert tally.met <= min(tally.itl_within, tally.ttft_within)
        assert tally.ttft_within <= tally.answered
        assert tally.itl_within <= tally.finished <= tally.answered
        assert tally.gaps_within <= tally.token_gaps
        assert 0 <= tally.kv_use <= 1
        assert all(now >= before for now, before in zip(astuple(tally)[:13], astuple(last)[:13], strict=True))
        last = Tally(*astuple(tally))
    if not pool.serving:
        pool.add()
    tally = settle(pool)
    assert tally.finished + tally.lost == arrived
    assert (tally.open, tally.running, tally.waiting, tally.kv_use, pool.draining) == (0, 0, 0, 0, 0)
    if not tally.lost:
        assert tally.worked_output == tally.output
        assert tally.worked_prompt >= tally.prompt
        assert tally.token_gaps == tally.output - tally.finished
