"""What is not known is a value with a cause, and what is derived from it is not known either."""

from __future__ import annotations

import math

import pytest
from autoscaling_cases import reading, seen, without
from hypothesis import given
from hypothesis import strategies as st

from autoscaling.snapshot import READINGS, Cause, Reading, Replicas, Seen, Weights, combined

pytestmark = pytest.mark.unit

ANY = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize(
    ("value", "age_s", "cause"),
    [
        (math.nan, 1.0, Cause.INVALID),
        (math.inf, 1.0, Cause.INVALID),
        (-0.1, 1.0, Cause.INVALID),
        (2e9, 1.0, Cause.INVALID),
        (1.0, 60.1, Cause.STALE),
        (1.0, -60.1, Cause.STALE),  # a clock that is an hour ahead knows no more than one that is behind
        (1.0, math.nan, Cause.STALE),
    ],
)
def test_what_cannot_be_used_says_why(value: float, age_s: float, cause: Cause) -> None:
    told = Reading.of(value, age_s, oldest_s=60.0)
    assert told.value is None
    assert told.cause is cause


@given(value=ANY, age_s=ANY, least=st.floats(-1e9, 0), most=st.floats(0, 1e9))
def test_a_reading_is_a_sane_number_or_a_cause(value: float, age_s: float, least: float, most: float) -> None:
    told = Reading.of(value, age_s, oldest_s=60.0, least=least, most=most)
    if told.value is None:
        assert told.cause is not None
    else:
        assert least <= told.value <= most
        assert told.age_s is not None
        assert 0 <= told.age_s <= 60.0


def test_a_reading_has_a_value_or_a_cause() -> None:
    with pytest.raises(ValueError, match="a value or a cause"):
        Reading(1.0, 1.0, Cause.STALE)
    with pytest.raises(ValueError, match="a value or a cause"):
        Reading(None, 1.0)


def test_a_derived_reading_is_as_old_as_its_oldest_part_and_as_unknown_as_its_first() -> None:
    both = combined((Reading(1.0, 2.0), Reading(3.0, 9.0)), lambda a, b: a + b)
    assert both == Reading(4.0, 9.0)
    stale = Reading.without(Cause.STALE, 70.0)
    assert combined((Reading(1.0, 2.0), stale, Reading.without(Cause.MISSING)), lambda a, b, c: a + b + c) is stale


def test_arrivals_are_ends_and_growth_and_refusals() -> None:
    at = Seen(finished=reading(2.0), growth=reading(1.5), refused=reading(0.5))
    assert at.arrivals.value == 4.0
    drained = Seen(finished=reading(2.0), growth=reading(-5.0), refused=reading(0.5))
    assert drained.arrivals.value == 0.5  # more ended than ever came within the window: nothing arrives
    assert without(at, "growth", cause=Cause.INVALID).arrivals.cause is Cause.INVALID


def test_the_work_of_a_request_leaves_cached_tokens_out() -> None:
    at = Seen(
        prompt_tokens=reading(300.0), cached_tokens=reading(100.0), output_tokens=reading(80.0), answered=reading(2.0)
    )
    assert at.work_per_request(Weights(0.5, 1.0)).value == (0.5 * 200 + 80) / 2
    nothing = Seen(
        prompt_tokens=reading(0.0), cached_tokens=reading(0.0), output_tokens=reading(0.0), answered=reading(0.0)
    )
    assert nothing.work_per_request(Weights(0.5, 1.0)).cause is Cause.MISSING


def test_all_readings_are_listed() -> None:
    fields = {name for name in Seen.__dataclass_fields__ if name not in ("replicas", "replicas_cause")}
    assert set(READINGS) == fields == set(seen().readings())


def test_replicas_that_start_and_drain_hold_gpus() -> None:
    assert Replicas(target=3, running=2, starting=1, draining=4).held == 7
