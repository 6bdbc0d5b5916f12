"""Expected cost, and exact cost in nano-USD."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.fleet.card import Kind, Price
from serve.routing.cost import REASONING_FACTOR, exact_cost_nano_usd, expected_cost_usd, expected_output

pytestmark = pytest.mark.unit

PRICE = Price(input_usd_per_mtok=0.59, output_usd_per_mtok=0.75, cached_input_usd_per_mtok=0.1)


def test_exact_cost_by_hand() -> None:
    # 1,000 prompt tokens of which 400 cached, 200 completion: 600 x 590 + 400 x 100 + 200 x 750 nano-USD.
    assert exact_cost_nano_usd(PRICE, 1000, 400, 200) == 354_000 + 40_000 + 150_000


def test_without_a_cached_price_cached_tokens_cost_the_input_price() -> None:
    plain = Price(input_usd_per_mtok=0.59, output_usd_per_mtok=0.75)
    assert exact_cost_nano_usd(plain, 1000, 400, 0) == 590_000


def test_usage_that_cannot_be_is_bounded() -> None:
    assert exact_cost_nano_usd(PRICE, -5, -1, -7) == 0
    assert exact_cost_nano_usd(PRICE, 10, 99, 0) == 10 * 100


def test_a_used_token_is_never_free() -> None:
    assert exact_cost_nano_usd(Price(input_usd_per_mtok=1e-6, output_usd_per_mtok=0), 1, 0, 0) == 1
    assert exact_cost_nano_usd(Price(input_usd_per_mtok=0, output_usd_per_mtok=0), 10**9, 0, 10**9) == 0


@given(
    st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**7), st.integers(0, 10**7)
)
def test_exact_cost_equals_the_fraction_rounded_up(
    prompt: int, cached: int, completion: int, micro_in: int, micro_out: int
) -> None:
    price = Price(input_usd_per_mtok=micro_in / 1e6, output_usd_per_mtok=micro_out / 1e6)
    exact = Fraction(prompt * micro_in + completion * micro_out, 10**6 * 10**6) * 10**9
    assert exact_cost_nano_usd(price, prompt, cached, completion) == ceil(exact)


def test_expected_cost() -> None:
    assert expected_cost_usd(PRICE, 1_000_000, 2_000_000) == pytest.approx(0.59 + 1.5)


def test_expected_output() -> None:
    assert expected_output(256, 1.5, Kind.CHAT, None, None) == 384
    assert expected_output(256, 1.5, Kind.CHAT, None, 100) == 100
    assert expected_output(256, 1.5, Kind.CHAT, 90.4, None) == 90, "a running mean has the languages in it"
    assert expected_output(256, 1.0, Kind.REASONING, None, None) == 256 * REASONING_FACTOR
    assert expected_output(256, 1.0, Kind.REASONING, 50.0, None) == 50
    assert expected_output(256, 1.0, Kind.CHAT, None, 10, choices=3) == 30
    assert expected_output(256, 1.0, Kind.CHAT, None, -4) == 1
