"""What replicas really sustain, found in rounds that say how much they did and whether they were late."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaling.correction import Correction

pytestmark = pytest.mark.unit


def taught(limit: float, uses: list[float], late_below: float = 0.0, late_above: float = 1.0) -> Correction:
    known = Correction()
    for use in uses:
        known = known.after(use, late_above if use > limit else late_below, 15.0)
    return known


def spread(low: float, high: float, count: int = 1500) -> list[float]:
    random = Random(3)
    return [random.uniform(low, high) for _ in range(count)]


@pytest.mark.parametrize("limit", [0.3, 0.6, 0.85, 1.0, 1.4, 3.0])
def test_the_limit_is_found_wherever_it_lies(limit: float) -> None:
    assert taught(limit, spread(0.3 * limit, 1.4 * limit)).factor == pytest.approx(limit, rel=0.06)


def test_single_late_rounds_at_low_use_do_not_move_it() -> None:
    random = Random(4)
    known = Correction()
    for use in spread(0.2, 0.9):
        known = known.after(use, 1.0 if random.random() < 0.05 else 0.03, 15.0)
    assert known.factor >= 0.9


def test_what_is_never_near_its_limit_stays_as_reckoned() -> None:
    assert taught(5.0, spread(0.1, 0.7)).factor == 1.0
    assert Correction().factor == 1.0


def test_a_limit_that_moves_is_followed() -> None:
    known = taught(1.0, spread(0.4, 1.2))
    for use in spread(0.2, 0.9, 12_000):  # two days with another version of the engine
        known = known.after(use, float(use > 0.5), 15.0)
    assert known.factor == pytest.approx(0.5, rel=0.06)


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1)), max_size=60))
def test_whatever_comes_the_factor_is_one_that_could_be(rounds: list[tuple[float, float]]) -> None:
    known = Correction()
    for use, late in rounds:
        known = known.after(use, late, 15.0)
    assert 1 / 60 < known.factor < 60
    assert len(known.bins) <= 156
