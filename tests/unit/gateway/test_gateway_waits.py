"""Expected waiting time at a model: nothing when idle, the queue's excess when busy, forgotten afterwards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.gateway.waits import HALF_LIFE_S, Waits

pytestmark = pytest.mark.unit


def after(*times: float, every: float = 0.1) -> tuple[Waits, float]:
    waits, now = Waits(), 0.0
    for seconds in times:
        now += every
        waits.first_byte(seconds, now)
    return waits, now


def test_nothing_is_expected_of_a_model_that_was_never_asked() -> None:
    assert Waits().expected(5.0, oldest_s=3.0) == 0.0


def test_an_even_load_has_no_queue() -> None:
    waits, now = after(*[0.2] * 50)
    assert waits.expected(now) == pytest.approx(0.0, abs=0.01)


def test_a_queue_is_what_first_bytes_take_longer() -> None:
    waits, now = after(*[0.2] * 50, *[3.2] * 50)
    assert waits.expected(now) == pytest.approx(3.0, rel=0.05)


def test_a_queue_that_does_not_move_is_seen_too() -> None:
    waits, now = after(*[0.2] * 50)
    assert waits.expected(now, oldest_s=8.2) == pytest.approx(8.0, rel=0.05)


def test_without_answers_the_estimate_fades() -> None:
    waits, now = after(*[0.2] * 50, *[3.2] * 50)
    assert waits.expected(now + HALF_LIFE_S) == pytest.approx(waits.expected(now) / 2)


def test_a_model_that_is_slower_for_good_is_not_waited_for_forever() -> None:
    waits, now = after(*[0.2] * 50, *[0.6] * 60_000)
    assert now > 3600
    assert waits.expected(now) < 0.05


@given(st.lists(st.floats(0, 1000), max_size=60), st.floats(0, 1000), st.floats(0, 100))
def test_it_is_never_negative(times: list[float], oldest: float, later: float) -> None:
    waits, now = after(*times)
    assert waits.expected(now + later, oldest) >= 0.0
