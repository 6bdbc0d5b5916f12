"""Bringing tenants' values together: nobody moves the result by 5%, and nothing leaves its bounds."""

from __future__ import annotations

from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.routing.tenants import together

pytestmark = pytest.mark.unit

LIMITS = st.sampled_from([log(2), log(8)])
SAID = st.lists(st.tuples(st.floats(-9, 9), st.floats(0, 1)), max_size=80)


def test_one_tenant_alone_counts_in_full_when_it_has_said_enough() -> None:
    assert together([(0.4, 1.0)], log(2), alone=True) == pytest.approx(0.4)
    assert together([(0.4, 0.5)], log(2), alone=True) == pytest.approx(0.2)
    assert together([(5.0, 1.0)], log(2), alone=True) == pytest.approx(log(2))


def test_many_that_agree_are_believed() -> None:
    assert together([(0.3, 1.0)] * 40, log(2), alone=False) == pytest.approx(0.3)
    assert together([(0.3, 1.0)] * 5, log(2), alone=False) == pytest.approx(0.3 * 5 / (log(2) / 0.046))


@given(st.lists(st.tuples(st.floats(-0.2, 0.2), st.just(1.0)), max_size=60), LIMITS, st.floats(-9, 9))
def test_one_more_tenant_moves_it_by_less_than_five_percent(
    honest: list[tuple[float, float]], limit: float, lie: float
) -> None:
    before, after = together(honest, limit, False), together([*honest, (lie, 1.0)], limit, False)
    assert abs(exp(after - before) - 1) < 0.05


@given(SAID, LIMITS, st.booleans())
def test_it_stays_within_its_limit(said: list[tuple[float, float]], limit: float, alone: bool) -> None:
    assert abs(together(said, limit, alone)) <= limit + 1e-9


@given(SAID, LIMITS, st.booleans(), st.randoms(use_true_random=False))
def test_order_does_not_matter(said: list[tuple[float, float]], limit: float, alone: bool, rng: object) -> None:
    other = list(said)
    rng.shuffle(other)  # type: ignore[attr-defined]
    assert together(said, limit, alone) == pytest.approx(together(other, limit, alone), abs=1e-9)
