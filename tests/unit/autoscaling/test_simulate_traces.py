"""Both formats are read, what is wrong is named, and what is drawn from windows has their rate, lengths and bursts."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from statistics import mean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaling.simulate.traces import Trace, Window, parse
from serve.errors import DescriptionError

pytestmark = pytest.mark.unit

REQUESTS = [
    ["TIMESTAMP", "ContextTokens", "GeneratedTokens"],
    ["2023-11-16 18:15:46.6805900", "374", "44"],
    ["2023-11-16 18:15:50.9951690", "396", "109"],
    ["2023-11-16 18:17:51.0000000", "10", "1"],
]
WINDOWS = [
    ["start_s", "requests_per_s", "arrival_cv", "prompt_tokens_mean", "output_tokens_mean"],
    ["0", "20", "2", "300", "100"],
    ["600", "5", "1", "900", "10"],
]


def test_single_requests_become_windows_too() -> None:
    trace = parse("azure", REQUESTS, "f.csv")
    assert [round(one.at_s, 4) for one in trace.arrivals] == [0, 4.3146, 124.3194]
    assert [one.requests_per_s for one in trace.windows] == [2 / 60, 0, 1 / 60]
    assert trace.windows[1].prompt == trace.windows[0].prompt == 385
    assert trace.requests == 3
    assert trace.seconds == 180


def test_windows_last_until_the_next_one() -> None:
    trace = parse("servegen", WINDOWS, "f.csv")
    assert [(w.start_s, w.seconds) for w in trace.windows] == [(0, 600), (600, 600)]
    assert trace.requests == 600 * 25
    assert trace.scaled(2).requests == 2 * trace.requests


def test_the_beginning_of_a_trace_is_cut_out() -> None:
    windows = parse("servegen", WINDOWS, "f.csv").first(700)
    assert [(w.start_s, w.seconds) for w in windows.windows] == [(0, 600), (600, 100)]
    assert windows.seconds == 700
    single = parse("azure", REQUESTS, "f.csv").first(100)
    assert [one.prompt for one in single.arrivals] == [374, 396]
    assert single.seconds == 100
    with pytest.raises(ValueError, match="nothing of it is within the first 0 s"):
        single.first(0)


def test_every_wrong_line_is_named() -> None:
    rows = [*WINDOWS, ["500", "1", "1", "1", "1"], ["1200", "x", "1", "1", "1"], ["1800", "-1", "1", "1", "1"]]
    with pytest.raises(DescriptionError) as refused:
        parse("t", rows, "f.csv")
    assert [problem.path for problem in refused.value.problems] == ["line 4", "line 5", "line 6"]


@pytest.mark.parametrize("rows", [[], [["a", "b"]], WINDOWS[:1], REQUESTS[:1]])
def test_what_is_no_trace_says_what_one_is(rows: list[list[str]]) -> None:
    with pytest.raises(DescriptionError, match="a header"):
        parse("t", rows, "f.csv")


def test_single_requests_cannot_be_multiplied() -> None:
    with pytest.raises(ValueError, match="single requests"):
        parse("azure", REQUESTS, "f.csv").scaled(2)


@pytest.mark.parametrize("cv", [0.5, 1.0, 2.0])
def test_drawn_requests_have_the_windows_rate_lengths_and_burstiness(cv: float) -> None:
    window = Window(100, 400, 20, cv, 400, 100)
    found = list(Trace("t", (window,)).drawn(Random(7)))
    assert all(100 <= one.at_s < 500 for one in found)
    assert len(found) == pytest.approx(8000, rel=0.06)
    assert mean(one.prompt for one in found) == pytest.approx(400, rel=0.03)
    assert mean(one.output for one in found) == pytest.approx(100, rel=0.03)
    gaps = [later.at_s - earlier.at_s for earlier, later in pairwise(found)]
    assert pstdev(gaps) / mean(gaps) == pytest.approx(cv, rel=0.05)


@given(st.lists(st.lists(st.text(max_size=8), max_size=6), max_size=6))
def test_anything_is_a_trace_or_a_description_error(rows: list[list[str]]) -> None:
    for header in (WINDOWS[0], REQUESTS[0]):
        try:
            trace = parse("t", [header, *rows], "f.csv")
        except DescriptionError:
            continue
        assert trace.windows
