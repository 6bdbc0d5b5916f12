"""The forecast of a load's peak, against loads whose distribution is known."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaling.forecast import LEAST_LOAD, Forecast

pytestmark = pytest.mark.unit

HORIZON_S = 240.0


def walked(loads: list[float], every_s: float = 60.0) -> Forecast:
    known = Forecast()
    for index, load in enumerate(loads):
        known = known.after(index * every_s, load, HORIZON_S)
    return known


def steps(count: int, sigma: float, random: Random) -> list[float]:
    """Loads that jump every ten minutes around 10, by a log-normal factor."""
    loads: list[float] = []
    while len(loads) < count:
        loads += [10 * math.exp(random.gauss(0, sigma))] * 10
    return loads[:count]


def test_a_quantile_is_exceeded_as_often_as_it_says() -> None:
    loads = steps(3000, 0.3, Random(1))
    known, above = Forecast(), {0.5: 0, 0.9: 0, 0.98: 0}
    counted = 0
    for index, load in enumerate(loads[:-5]):
        known = known.after(index * 60.0, load, HORIZON_S)
        if index > 600:
            counted += 1
            peak = max(loads[index : index + 5])
            for probability in above:
                above[probability] += peak > known.quantile(probability)
    print({probability: round(count / counted, 3) for probability, count in above.items()})
    for probability, count in above.items():
        assert count / counted == pytest.approx(1 - probability, abs=0.06)


def test_restless_loads_are_given_more_room_than_calm_ones() -> None:
    calm, restless = (walked(steps(1500, sigma, Random(2))) for sigma in (0.05, 0.5))
    assert calm.quantile(0.95) / calm.level < 1.25
    assert restless.quantile(0.95) / restless.level > 1.6


def test_a_constant_load_ends_in_little_room() -> None:
    known = walked([8.0] * 2000)
    assert known.level == pytest.approx(8.0)
    assert known.quantile(0.99) < 8.0 * 1.1


def test_before_anything_is_learnt_there_is_much_room() -> None:
    known = Forecast().after(0.0, 4.0, HORIZON_S)
    assert known.level == pytest.approx(4.0)
    assert known.quantile(0.95) > 4.0 * 1.5


def test_a_load_falls_back_to_its_mean() -> None:
    known = walked([4.0] * 300 + [16.0] * 3)
    assert 4.0 < known.level < 16.0


def test_nothing_is_nearly_nothing() -> None:
    assert walked([0.0] * 10).level == pytest.approx(LEAST_LOAD)


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60))
def test_probabilities_fall_as_loads_rise(loads: list[float]) -> None:
    told = list(walked(loads).exceeded())
    assert all(later > earlier and below <= above for (earlier, above), (later, below) in pairwise(told))
    assert 0 <= told[-1][1] <= told[0][1] <= 1


@given(st.lists(st.floats(0, 100), min_size=2, max_size=30), st.floats(-1e6, 1e6))
def test_a_clock_that_begins_anew_changes_nothing_else(loads: list[float], by_s: float) -> None:
    known = walked(loads)
    moved = known.shifted(by_s).shifted(-by_s)
    assert moved.level == known.level
    assert [one.at for one in moved.pending] == pytest.approx([one.at for one in known.pending], abs=1e-6)


def test_pending_forecasts_are_few() -> None:
    known = Forecast()
    for index in range(400):
        known = known.after(index * 5.0, 3.0, 600.0)
        assert len(known.pending) <= 11
