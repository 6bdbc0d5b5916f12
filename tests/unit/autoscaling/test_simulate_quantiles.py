"""The histogram's quantiles are those of the values themselves, within a bin of 5%."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaling.simulate.quantiles import BIN, LEAST, Quantiles

pytestmark = pytest.mark.unit

TIMES = st.floats(1e-5, 1e5)


def _of(values: list[float], weight: float = 1.0) -> Quantiles:
    quantiles = Quantiles()
    for value in values:
        quantiles.add(value, weight)
    return quantiles


def test_nothing_has_no_quantile() -> None:
    assert math.isnan(Quantiles().quantile(0.5))
    assert math.isnan(_of([1.0], weight=0.0).quantile(0.5))


@given(st.lists(TIMES, min_size=1, max_size=300), st.floats(0.0, 1.0))
def test_every_quantile_is_within_a_bin_of_the_exact_one(values: list[float], q: float) -> None:
    got = _of(values).quantile(q)
    ranked = sorted(values)
    # A value that at least this share is at most, give or take what rounding does to q x n.
    low = ranked[max(math.ceil(q * len(ranked) - 1e-9) - 1, 0)]
    high = ranked[min(math.floor(q * len(ranked) + 1e-9), len(ranked) - 1)]
    assert low / BIN * (1 - 1e-9) <= got <= high * BIN * (1 + 1e-9)


@given(st.lists(TIMES, min_size=1, max_size=50), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise(values: list[float], one: float, other: float) -> None:
    quantiles = _of(values)
    assert quantiles.quantile(min(one, other)) <= quantiles.quantile(max(one, other))


@given(st.lists(TIMES, min_size=1, max_size=50), st.floats(0, 1), st.sampled_from([0.25, 2.0, 1024.0]))
def test_only_shares_of_weight_count(values: list[float], q: float, weight: float) -> None:
    assert _of(values, weight).quantile(q) == pytest.approx(_of(values).quantile(q))


def test_a_bin_is_spread_evenly_over_the_logarithm() -> None:
    random = Random(1)
    values = [random.lognormvariate(0.0, 1.5) for _ in range(20_000)]
    quantiles = _of(values)
    ranked = sorted(values)
    for q in (0.01, 0.1, 0.5, 0.9, 0.99):
        exact = ranked[int(q * len(ranked))]
        print(f"{q:g}: {quantiles.quantile(q):.4f}, exactly {exact:.4f}")
        assert quantiles.quantile(q) == pytest.approx(exact, rel=0.01)


def test_the_ends_are_exact() -> None:
    quantiles = _of([0.123, 4.56, 7.89])
    assert (quantiles.quantile(0), quantiles.quantile(1)) == (0.123, 7.89)
    assert quantiles.total == 3


def test_zero_is_a_time_too() -> None:
    quantiles = _of([0.0, 0.0, 0.0, 1.0])
    assert quantiles.quantile(0.5) <= LEAST
    assert quantiles.quantile(1) == 1.0
    assert _of([0.0]).quantile(0.5) == 0.0


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_what_is_no_time_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Quantiles().add(value)
    with pytest.raises(ValueError, match="0 or more"):
        Quantiles().add(1.0, value)


@pytest.mark.parametrize("quantile", [-0.1, 1.1, math.nan])
def test_what_is_no_quantile_is_refused(quantile: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        _of([1.0]).quantile(quantile)
