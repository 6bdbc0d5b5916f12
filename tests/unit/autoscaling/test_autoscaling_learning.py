"""What a replica can do and how long it takes to start are learnt from rounds that show it, and from no others."""

from __future__ import annotations

import pytest
from autoscaling_cases import INTERVAL_S, MODEL, fleet, rounds, seen
from hypothesis import given
from hypothesis import strategies as st

from autoscaling.demand import tokens_per_s as seed
from autoscaling.history import History, horizon_s
from autoscaling.learnt import WIDEST, Capacity
from autoscaling.starts import KEPT, Starts
from serve.fleet.loader import resolve

pytestmark = pytest.mark.unit


def capacity(history: History) -> float:
    return history.models[MODEL].capacity.tokens_per_s


def test_a_queue_that_stands_shows_what_a_replica_does() -> None:
    described = fleet(1, 1)
    told = [capacity(h) for _, h in rounds(described, lambda _, t: seen(9.0, t, waiting=5, worked=60.0), 40)]
    # A minute's rate says nothing of the saturated engine before the queue stood for longer than a minute.
    assert told[:6] == [100.0] * 6
    assert told[-1] == pytest.approx(60.0, rel=0.01)
    more = [capacity(h) for _, h in rounds(described, lambda _, t: seen(9.0, t, waiting=5, worked=400.0), 40)]
    assert more[-1] == pytest.approx(400.0, rel=0.01)


def test_a_queue_while_replicas_start_shows_nothing() -> None:
    described = fleet(1, 4)
    starting = [
        capacity(h)
        for _, h in rounds(described, lambda _, t: seen(9.0, t, running=1, starting=t - 1, waiting=5, worked=20.0), 40)
    ]
    assert set(starting) == {100.0}


def test_work_without_a_queue_proves_that_it_can_be_done() -> None:
    described = fleet(2, 2)
    told = [capacity(h) for _, h in rounds(described, lambda _, t: seen(3.0, t, worked=320.0), 3)]
    assert told[-1] == 160.0
    less = [capacity(h) for _, h in rounds(described, lambda _, t: seen(3.0, t, worked=20.0), 3)]
    assert less[-1] == 100.0


def test_a_missed_objective_lowers_it_only_under_load() -> None:
    described = fleet(1, 1)
    busy = [capacity(h) for _, h in rounds(described, lambda _, t: seen(3.0, t, worked=90.0, met=0.5), 3)]
    assert busy[-1] == pytest.approx(0.95 * 90)
    idle = [capacity(h) for _, h in rounds(described, lambda _, t: seen(0.1, t, worked=10.0, met=0.5), 3)]
    assert idle[-1] == 100.0


@given(
    seed_=st.floats(1, 1e5),
    told=st.lists(
        st.tuples(st.floats(0, 1e9), st.booleans(), st.one_of(st.none(), st.booleans())), min_size=1, max_size=40
    ),
)
def test_an_estimate_stays_near_its_seed_and_only_rises_on_proof(
    seed_: float, told: list[tuple[float, bool, bool | None]]
) -> None:
    estimate = Capacity.of(seed_)
    for each, saturated, met in told:
        before = estimate.tokens_per_s
        estimate = estimate.after(each, saturated, met)
        assert seed_ / WIDEST <= estimate.tokens_per_s <= seed_ * WIDEST
        if met is False or each <= before:
            assert estimate.tokens_per_s <= before


def test_seeds() -> None:
    gpu = {"device": "gpu", "gpu": "H100-SXM-80GB", "tensor_parallel": 2}
    models = [
        {"use": "llama-3.3-70b-instruct", "engine": {**gpu, "tensor_parallel": 8}},
        {"use": "eurollm-9b-instruct", "engine": {**gpu, "tensor_parallel": 1, "replicas": {"tokens_per_s": 77}}},
        {"use": MODEL, "engine": {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 50_331_648}},
    ]
    described = resolve({"models": models}, "test")
    assert [seed(model, described.autoscaling) for model in described.models] == [8000.0, 77.0, 100.0]


def test_the_time_from_the_call_to_the_running_replica() -> None:
    starts = Starts()
    told: list[float] = []
    seen_ = [(0, 1, 1), (10, 3, 1), (20, 3, 1), (40, 3, 2), (50, 4, 3), (95, 4, 4)]
    for now, target, running in seen_:
        starts, took = starts.after(float(now), target, running)
        told += took
    assert told == [30.0, 40.0, 45.0]
    assert starts.asked == ()
    assert starts.longest_s == 45.0


def test_what_started_before_anybody_looked_is_not_timed() -> None:
    starts, _ = Starts().after(0.0, 2, 1)
    starts, took = starts.after(1.0, 2, 2)
    assert took == ()
    assert starts.longest_s is None


def test_a_call_that_is_taken_back_is_not_timed_and_a_dead_replica_is() -> None:
    starts, _ = Starts().after(0.0, 1, 1)
    for now, target, running in [(10.0, 3, 1), (20.0, 2, 1)]:
        starts, _ = starts.after(now, target, running)
    assert starts.asked == (10.0,)
    starts, took = starts.after(30.0, 2, 2)
    assert took == (20.0,)
    starts, _ = starts.after(40.0, 2, 1)  # one died
    starts, took = starts.after(65.0, 2, 2)
    assert took == (25.0,)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=60))
def test_starts_are_bounded_and_never_negative(told: list[tuple[int, int]]) -> None:
    starts = Starts()
    for now, (target, running) in enumerate(told):
        starts, took = starts.after(float(now), target, running)
        assert all(seconds >= 0 for seconds in took)
        assert len(starts.asked) == max(target - running, 0)
        assert len(starts.took) <= KEPT


def test_the_horizon_is_the_longest_measured_start_and_a_round() -> None:
    described = fleet()
    model = described.models[0]
    history = History()
    assert horizon_s(history.model(model, described.autoscaling), described.autoscaling) == 60.0 + INTERVAL_S


def test_a_history_is_bounded_by_its_windows() -> None:
    rules = {"ray_default": {"downscale_delay_s": 90}, "hpa": {"scale_down_window_s": 60}, "keda": {"cooldown_s": 0}}
    described = fleet(pace={"scale_down_window_s": 60}, rules=rules)
    *_, (_, history) = rounds(described, lambda _, t: seen(1.0, t), 200)
    kept = history.models[MODEL].rounds
    assert len(kept) <= 90 / INTERVAL_S + 6
    assert kept[0].at <= kept[-1].at - 90
