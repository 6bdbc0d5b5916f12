"""The price of a late request follows what is measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaling.risk import DAY_S, LEAST, MOST, Risk

pytestmark = pytest.mark.unit


def after(
    days: float,
    late: float,
    risk: Risk | None = None,
    rate: float = 10.0,
    attainment: float = 0.99,
    every_s: float = 60.0,
) -> Risk:
    known = risk or Risk.of(25.0)
    begin = known.at or 0.0
    for index in range(int(days * DAY_S / every_s) + 1):
        known = known.after(begin + index * every_s, rate, late * rate, attainment)
    return known


def test_it_rises_where_more_is_late_than_promised_and_sinks_where_less_is() -> None:
    assert after(1, 0.02).multiple > 2 * 25
    assert after(1, 0.0).multiple < 25 / 1.5
    assert after(2, 0.006).multiple == pytest.approx(25, rel=0.01)  # inside the promise of 1%, by a margin


def test_a_stricter_promise_moves_it_more() -> None:
    assert after(1, 0.02, attainment=0.999).multiple > after(1, 0.02, attainment=0.99).multiple


def test_busy_hours_count_for_more_than_quiet_ones() -> None:
    known = after(3, 0.006)
    quiet = known.after((known.at or 0) + 3600, 0.1, 0.1, 0.99)
    busy = known.after((known.at or 0) + 3600, 10.0, 10.0, 0.99)
    assert known.multiple < quiet.multiple < busy.multiple


def test_it_stays_between_its_ends() -> None:
    assert after(60, 1.0, every_s=3600).multiple_log == MOST
    assert after(60, 0.0, every_s=3600).multiple_log == LEAST


def test_nothing_is_learnt_of_nothing_or_of_a_clock_that_stands() -> None:
    idle = Risk.of(25.0)
    for index in range(10):
        idle = idle.after(index * 60.0, 0.0, 0.0, 0.99)
    assert idle.multiple == pytest.approx(25)
    known = after(0.1, 0.5)
    assert replace(known.after(known.at or 0.0, 10.0, 10.0, 0.99), rate=None) == replace(known, rate=None)


def test_one_second_of_lateness_after_a_start_moves_it_little() -> None:
    first = Risk.of(25.0).after(0.0, 1e-6, 0.0, 0.99).after(15.0, 200.0, 200.0, 0.99)
    assert first.multiple < 30
