"""The ring of recent requests: bounded, and each reader sees each record at most once, in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.gateway.console.recent import Recent

pytestmark = pytest.mark.unit


def record(number):
    return {"decision_id": f"req-{number}", "number": number}


@given(st.integers(1, 8), st.lists(st.one_of(st.just("read"), st.integers(1, 20)), max_size=30))
def test_a_reader_misses_only_what_has_left_the_ring(size, steps):
    recent, added, place = Recent(size), 0, 0
    for step in steps:
        if step == "read":
            before, (place, got) = place, recent.after(place)
            assert place == added
            assert [one["number"] for one in got] == list(range(max(before, added - size), added))
        else:
            for _ in range(step):
                recent.add(record(added))
                added += 1
            assert len(recent.after(0)[1]) == min(added, size)


@pytest.mark.parametrize("place", [4, 1_000_000, -1])
def test_a_place_of_another_gateway_starts_anew(place):
    recent = Recent(2)
    for number in range(3):
        recent.add(record(number))
    assert recent.after(place) == (3, [record(1), record(2)])


def test_a_record_is_found_until_it_leaves():
    recent = Recent(2)
    for number in range(3):
        recent.add(record(number))
    assert recent.find("req-2") == record(2)
    assert recent.find("req-0") is None
