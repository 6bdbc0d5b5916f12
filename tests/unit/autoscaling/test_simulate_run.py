"""A policy over traffic: replicas' lives, what arrives, what is seen, and what is counted."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from autoscaling.policies import POLICIES
from autoscaling.simulate import traces
from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.flow import Flow
from autoscaling.simulate.lifecycle import Lifecycle, ticks
from autoscaling.simulate.observe import Observer
from autoscaling.simulate.pool import Batch, Tally
from autoscaling.simulate.run import simulate
from autoscaling.simulate.traces import Trace, Window
from autoscaling.snapshot import Cause, Replicas
from serve.fleet import Fleet, loader
from serve.fleet.autoscaling import Autoscaling

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
MODEL = "llama-3.3-70b-instruct"
FLEET = loader.load(ROOT / "bench" / "fleets" / "one-70b.yaml")


class Pool:
    """Counts what is done to it."""

    def __init__(self) -> None:
        self.serving = self.draining = 0
        self.lost = 0
        self.tally = Tally()

    def add(self) -> None:
        self.serving += 1

    def remove(self) -> None:
        self.serving -= 1
        self.draining += 1

    def lose(self) -> None:
        self.serving -= 1
        self.lost += 1

    def advance(self, until_s: float, batch: Batch) -> None: ...

    def ttft_quantile(self, quantile: float) -> float:
        return math.nan

    def itl_quantile(self, quantile: float) -> float:
        return math.nan


def constant(requests_per_s: float, seconds: float, cv: float = 1.0) -> Trace:
    windows = (Window(at, 60.0, requests_per_s, cv, 360, 290) for at in range(0, int(seconds), 60))
    return Trace("constant", tuple(windows))


def described(replicas: int, policy_bounds: tuple[int, int] = (1, 200)) -> Fleet:
    model = FLEET.model(MODEL)
    assert model.engine is not None
    bounds = model.engine.replicas.model_copy(
        update={"initial": replicas, "min": policy_bounds[0], "max": policy_bounds[1]}
    )
    engine = model.engine.model_copy(update={"replicas": bounds})
    return FLEET.model_copy(update={"models": (model.model_copy(update={"engine": engine}),)})


def test_a_called_replica_serves_after_its_start_and_costs_from_the_call_on() -> None:
    pool = Pool()
    life = Lifecycle(pool, Conditions(cold_start_s=100, cold_start_cv=0.01), Random(1), 1)
    life.aim(0.0, 3)
    assert life.replicas() == Replicas(3, 1, 2, 0)
    for now in ticks(90, 5):
        life.advance(now, 5)
    assert pool.serving == 1
    for now in ticks(30, 5):
        life.advance(90 + now, 5)
    assert pool.serving == 3
    assert life.cold_starts == 2
    assert life.replica_s == 3 * 120


def test_starts_scatter_around_their_mean_and_wait_for_a_node() -> None:
    told = Conditions(cold_start_s=100, cold_start_cv=0.3, node_s=50, warm_nodes=20)
    pool = Pool()
    life = Lifecycle(pool, told, Random(2), 0)
    life.aim(0.0, 1020)
    warm: list[float] = []
    cold: list[float] = []
    served = 0
    for now in ticks(400, 1):
        life.advance(now, 1)
        (warm if now < 60 else cold).extend([now] * (pool.serving - served))
        served = pool.serving
    assert served == 1020
    assert statistics.mean(warm + cold) == pytest.approx(150, rel=0.03)
    assert statistics.stdev(cold) == pytest.approx(math.hypot(30, 15), rel=0.2)


def test_what_is_too_much_is_taken_from_the_youngest_start_first() -> None:
    pool = Pool()
    life = Lifecycle(pool, Conditions(cold_start_s=100), Random(1), 4)
    life.aim(0.0, 6)
    life.aim(15.0, 5)
    assert (pool.serving, life.replicas().starting, pool.draining) == (4, 1, 0)
    life.aim(30.0, 2)
    assert (pool.serving, life.replicas().starting, pool.draining) == (2, 0, 2)
    assert life.held == 4
    assert life.reversals == 1
    life.aim(45.0, 3)
    assert life.reversals == 2


def test_a_dead_replica_starts_anew() -> None:
    pool = Pool()
    life = Lifecycle(pool, Conditions(cold_start_s=60, failures_per_hour=6.0), Random(5), 10)
    for now in ticks(3600, 5):
        life.advance(now, 5)
    assert 30 < life.failures < 90
    assert pool.lost == life.failures
    assert life.cold_starts == life.failures
    assert pool.serving + life.replicas().starting == 10


@pytest.mark.parametrize("cv", [0.5, 1.0, 3.0])
def test_counts_have_the_trace_s_rate_and_burstiness(cv: float) -> None:
    flow = Flow(constant(40.0, 40_000, cv), Random(3), single=False)
    counts = [flow.until(now - 5, now).count for now in ticks(40_000, 5)]
    assert statistics.mean(counts) == pytest.approx(200, rel=0.02)
    assert statistics.stdev(counts) == pytest.approx(cv * math.sqrt(200), rel=0.05)


def test_single_requests_are_counted_as_they_came() -> None:
    trace = traces.read(ROOT / "tests" / "data" / "traces" / "azure-conv-2023-10min.csv")
    flows = [Flow(trace, Random(1), single=single) for single in (True, False)]
    ends = list(ticks(trace.seconds, 5))
    own, counted = ([flow.until(now - 5, now) for now in ends] for flow in flows)
    assert sum(batch.count for batch in own) == sum(batch.count for batch in counted) == len(trace.arrivals)
    assert [one for batch in own for one in batch.arrivals] == list(trace.arrivals)
    assert not any(batch.arrivals for batch in counted)


def test_arrivals_are_seen_before_answers_end() -> None:
    """Ends lag behind; what is open grows by exactly the difference."""
    observer, tally = Observer(Autoscaling(), Conditions()), Tally()
    for tick in range(1, 30):
        tally.arrived += 50
        tally.answered += 50
        tally.ttft_within += 40
        tally.finished += 10 if tick > 20 else 0
        tally.prompt += 1000 if tick > 20 else 0
        observer.saw(tally)
    seen = observer.seen(Replicas(1, 1))
    assert seen.arrivals.value == pytest.approx(10.0)
    assert seen.finished.value == pytest.approx(9 * 10 / 60)
    assert seen.ttft_within.value == pytest.approx(0.8)
    assert seen.recent_prompt_tokens.value == pytest.approx(9000 / 60)
    assert seen.itl_within.cause is Cause.MISSING  # no token yet


def test_engines_are_seen_late_and_not_at_all_without_one() -> None:
    observer, tally = Observer(Autoscaling(), Conditions(engine_lag_s=10, tick_s=5)), Tally()
    for tick in range(1, 20):
        tally.waiting = tick
        observer.saw(tally)
    assert observer.seen(Replicas(1, 1)).waiting.value == 17
    assert observer.seen(Replicas(1, 0, 1)).waiting.value == 0


def test_too_few_replicas_miss_and_enough_do_not() -> None:
    traffic = {MODEL: constant(40.0, 1200)}
    few, enough = (simulate(described(n), traffic, POLICIES["static"], Conditions()) for n in (2, 5))
    assert few.met < 0.2
    assert few.models[MODEL].requests == pytest.approx(48_000, rel=0.03)  # who waits at the end has not been answered
    assert enough.met > 0.999
    assert enough.gpu_hours == pytest.approx(5 * 2 * 1200 / 3600, rel=0.01)
    worst = few.models[MODEL].worst_minute
    assert worst is not None
    assert worst.waiting > 100


def test_figures_are_of_a_seed() -> None:
    traffic = {MODEL: constant(40.0, 900, 2.0)}
    first, again, other = (
        simulate(described(4), traffic, POLICIES["slo"], Conditions(seed=seed, failures_per_hour=1.0))
        for seed in (1, 1, 2)
    )
    assert replace(first, took_s=0.0) == replace(again, took_s=0.0)
    assert first.models != other.models


def test_minutes_add_up_and_what_comes_before_is_left_out() -> None:
    traffic = {MODEL: constant(20.0, 1800)}
    whole, later = (
        simulate(described(3), traffic, POLICIES["static"], Conditions(warm_up_s=warm_up)).models[MODEL]
        for warm_up in (0.0, 900.0)
    )
    assert sum(minute.requests for minute in whole.minutes) == pytest.approx(36_000, rel=0.02)
    assert whole.requests == pytest.approx(36_000, rel=0.03)  # but those that are being answered at the end
    assert later.requests == pytest.approx(whole.requests / 2, rel=0.03)
    assert later.gpu_hours == pytest.approx(whole.gpu_hours / 2, rel=0.01)
    assert later.minutes[0].at_s == 900.0
    assert [minute.at_s for minute in whole.minutes] == [60.0 * index for index in range(len(whole.minutes))]


def test_what_cannot_be_simulated_is_named() -> None:
    with pytest.raises(ValueError, match="nobody"):
        simulate(FLEET, {"nobody": constant(1, 60)}, POLICIES["slo"], Conditions())
    laptop = loader.laptop()
    model = laptop.models[0].id
    with pytest.raises(ValueError, match=f"{model}: no roofline"):
        simulate(laptop, {model: constant(1, 60)}, POLICIES["slo"], Conditions())
