"""Measured prices: hand-computed, idle time in the average only, and sane whatever is fed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.routing.metered import WINDOW_S, Meter, Slot

pytestmark = pytest.mark.unit


def run(meter: Meter, seconds: int, replicas: float, busy: float, start: float = 0.0) -> None:
    for at in range(0, seconds + 1, 10):
        meter.sample(replicas, busy, start + at)


def test_idle_time_is_in_the_average_and_not_in_the_marginal_price() -> None:
    meter = Meter(usd_per_replica_hour=4.0, output_weight=2.0, cached_weight=0.5)
    run(meter, 3600, replicas=2, busy=0.5)
    meter.served(prompt_tokens=500_000, cached_tokens=200_000, completion_tokens=300_000, now=3600)
    price = meter.price(3600)
    assert price is not None
    weighed = 300_000 + 200_000 * 0.5 + 300_000 * 2
    assert price.average_input_usd == pytest.approx(8.0 / weighed)
    assert price.average_output_usd == pytest.approx(16.0 / weighed)
    assert price.marginal_input_usd == pytest.approx(2.0 / weighed)
    spent = price.average_input_usd * (300_000 + 0.5 * 200_000) + price.average_output_usd * 300_000
    assert spent == pytest.approx(8.0), "all tokens at the average price are what the GPUs cost"


def test_too_few_tokens_are_no_measurement() -> None:
    meter = Meter(4.0, 1.0, 1.0)
    run(meter, 3600, 1, 0)
    meter.served(9_000, 0, 500, 3600)
    assert meter.price(3600) is None
    assert Meter(4.0, 1.0, 1.0).price(0) is None


def test_the_window_slides() -> None:
    meter = Meter(4.0, 1.0, 1.0)
    run(meter, 3600, 1, 1)
    meter.served(1_000_000, 0, 0, 3600)
    assert meter.price(3600 + WINDOW_S / 2) is not None
    assert meter.price(3600 + WINDOW_S + 1) is None
    assert meter.state() == []


def test_a_pause_of_the_watcher_is_not_uptime() -> None:
    meter = Meter(3600.0, 1.0, 1.0)
    meter.sample(1, 1, 0)
    meter.sample(1, 1, 7200)
    meter.served(100_000, 0, 0, 7200)
    price = meter.price(7200)
    assert price is not None
    assert price.average_input_usd == pytest.approx(60 / 100_000)


def test_it_goes_on_after_a_restart() -> None:
    meter, again = Meter(4.0, 2.0, 0.5), Meter(4.0, 2.0, 0.5)
    run(meter, 600, 1, 1)
    meter.served(50_000, 0, 50_000, 600)
    again.restore(meter.state(), 600)
    assert again.price(600) == meter.price(600)
    again.restore([Slot(-1.0), Slot(500, 1.0, 1.0, 2.0), Slot(1e12, 1.0), Slot(500, float("nan"))], 600)
    assert again.price(600) == meter.price(600)


@given(
    st.lists(
        st.tuples(
            st.integers(-10, 10**6), st.integers(-10, 10**6), st.integers(-10, 10**6), st.floats(-1, 64),
            st.floats(-1, 64), st.floats(0, 1e5),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_prices_are_never_negative_and_the_marginal_never_above_the_average(
    fed: list[tuple[int, int, int, float, float, float]],
) -> None:
    meter = Meter(4.0, 2.0, 0.5)
    now = 0.0
    for prompt, cached, completion, replicas, busy, later in fed:
        now += later
        meter.sample(replicas, busy, now)
        meter.served(prompt, cached, completion, now)
        price = meter.price(now)
        if price is not None:
            assert 0 <= price.marginal_input_usd <= price.average_input_usd
            assert 0 <= price.marginal_output_usd <= price.average_output_usd
