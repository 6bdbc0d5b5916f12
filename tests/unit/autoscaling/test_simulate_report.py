"""What is told of outcomes: figures by hand, models added up, and nothing that JSON cannot say."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from autoscaling.simulate import report
from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.outcome import Minute, ModelOutcome, Outcome
from autoscaling.simulate.report import Setting
from autoscaling.simulate.traces import Trace, Window
from serve.fleet.slo import Slo

pytestmark = pytest.mark.unit

DAY = 86_400.0
MINUTES = (
    Minute(0, 100, 500, 1.0, 0, 2, 2, 2),
    Minute(60, 200, 900, 0.75, 12, 4, 2, 4),  # 50 missed
    Minute(120, 1000, 900, 0.96, 0, 4, 4, 4),  # 40 missed
)
LARGE = ModelOutcome(
    "large", 1300, 0.93, 0.95, 0.98, 0.084, 12.5, 0.022, 0.131, 1234.5, 4567.8, 3, 7, 1, MINUTES
)  # fmt: skip
SMALL = ModelOutcome(
    "small", 700, 1.0, 1.0, 1.0, 0.04, 0.05, 0.01, 0.02, 10.25, 9.5, 1, 2, 0, (Minute(60, 300, 100, 0.9, 1, 1, 1, 1),)
)  # fmt: skip
TRACE = Trace("t.csv", (Window(0, 2 * DAY, 0.5, 1, 300, 200),))
SETTING = Setting("f", {"large": TRACE}, Conditions(), "fluid", Slo())


def outcome(*models: ModelOutcome, policy: str = "slo", seconds: float = 2 * DAY) -> Outcome:
    return Outcome(policy, seconds, 1.5, {one.model: one for one in models})


def test_one_model_is_a_row_a_policy() -> None:
    table, right = report.rows([outcome(LARGE), outcome(replace(LARGE, met=0.5), policy="keda")])
    assert table[0][0] == "policy"
    assert all(len(row) == len(table[0]) for row in table)
    assert table[1] == (
        "slo", "93.00%", "95.00%", "98.00%", "84 ms", "12.50 s", "22 ms", "131 ms", "1,234", "4,568", "3", "7", "1",
        "day 1 00:01: 50 of 200 missed",
    )  # fmt: skip
    assert table[2][:2] == ("keda", "50.00%")
    assert 0 not in right
    assert len(table[0]) - 1 not in right


def test_several_models_are_added_up_and_have_a_row_each() -> None:
    table, _ = report.rows([outcome(LARGE, SMALL)])
    assert [row[:2] for row in table] == [("policy", "model"), ("slo", "all"), ("", "large"), ("", "small")]
    # 1,300 requests at 93% and 700 at 100%: 1,909 of 2,000. Quantiles do not add up.
    assert table[1][2:9] == ("95.45%", "96.75%", "98.70%", "", "", "", "")
    assert table[1][9:14] == ("1,245", "4,577", "4", "9", "1")
    # 50 of 200 and 30 of 300 missed in the second minute, more than the 40 of the third.
    assert table[1][14] == "day 1 00:01: 80 of 500 missed"


def test_minutes_of_several_models_are_sums() -> None:
    first, second, third = report.minutes(outcome(LARGE, SMALL))
    assert (first, third) == (MINUTES[0], MINUTES[2])
    assert second.requests == 500
    assert second.met == pytest.approx(1 - 80 / 500)
    assert (second.work, second.waiting, second.wanted, second.serving, second.held) == (1000, 13, 5, 3, 5)


def test_a_policy_that_answers_nobody_has_no_times() -> None:
    nothing = replace(LARGE, met=0.0, ttft_p50_s=math.nan, ttft_p99_s=math.inf, itl_p50_s=math.nan, itl_p99_s=math.nan)
    table, _ = report.rows([outcome(nothing)])
    assert table[1][4:8] == ("-", "-", "-", "-")
    told = report.as_dict(SETTING, [outcome(nothing)], 1.0)
    assert told["policies"][0]["models"]["large"]["ttft_p99_s"] is None
    json.dumps(told, allow_nan=False)


def test_where_nobody_missed_there_is_no_worst_minute() -> None:
    fine = replace(LARGE, minutes=(replace(MINUTES[0], met=1.0),))
    assert report.rows([outcome(fine)])[0][1][-1] == "none missed"
    assert report.as_dict(SETTING, [outcome(fine)], 1.0)["policies"][0]["worst_minute"] is None
    # Half of a fluid request is nobody.
    hardly = replace(LARGE, minutes=(replace(MINUTES[0], met=0.999),))
    assert report.rows([outcome(hardly)])[0][1][-1] == "none missed"


def test_programs_get_everything() -> None:
    told = report.as_dict(SETTING, [outcome(LARGE, SMALL)], 12.0)
    assert told["slo"] == {"ttft_s": 2.5, "itl_s": 0.1, "attainment": 0.99}
    assert told["conditions"]["cold_start_s"] == 180
    assert told["traffic"] == {"large": {"trace": "t.csv", "requests": DAY, "seconds": 2 * DAY}}
    [policy] = told["policies"]
    assert policy["met"] == pytest.approx(1909 / 2000)
    assert policy["ttft_within"] == pytest.approx((1300 * 0.95 + 700) / 2000)
    assert (policy["gpu_hours"], policy["reversals"], policy["cold_starts"], policy["failures"]) == (1244.75, 4, 9, 1)
    assert policy["worst_minute"] == {"at_s": 60, "missed": pytest.approx(80), "requests": 500}
    assert policy["models"]["large"]["ttft_p50_s"] == 0.084
    assert "minutes" not in policy["models"]["large"]
    with_minutes = report.as_dict(SETTING, [outcome(LARGE)], 12.0, with_minutes=True)
    second = with_minutes["policies"][0]["models"]["large"]["minutes"][1]
    assert second == {
        "at_s": 60, "requests": 200, "work": 900, "met": 0.75, "waiting": 12, "wanted": 4, "serving": 2, "held": 4
    }  # fmt: skip


def test_what_was_simulated_is_one_line() -> None:
    assert report.description(SETTING, 1, 0.4, 1) == (
        "86,400 requests in 2 days (fluid): cold starts of 180 s ± 15%, seed 1; 1 policy in 0 s on 1 process"
    )
    hard = replace(SETTING, conditions=Conditions(60, node_s=120, failures_per_hour=0.5, seed=7), world="exact")
    assert report.description(hard, 7, 300, 2) == (
        "86,400 requests in 2 days (exact): cold starts of 60 s ± 15%, nodes after 120 s, 0.5 failures an hour of a "
        "replica, seed 7; 7 policies in 300 s on 2 processes"
    )


@pytest.mark.parametrize(
    ("at_s", "of_s", "words"),
    [(0, 3600, "00:00"), (3599, 3600, "00:59"), (DAY, 2 * DAY, "day 2 00:00"), (13.99 * DAY, 14 * DAY, "day 14 23:45")],
)
def test_moments_are_told_from_the_trace_s_begin(at_s: float, of_s: float, words: str) -> None:
    assert report.moment(at_s, of_s) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(600, "10 minutes"), (5399, "89.98 minutes"), (3 * 3600, "3 hours"), (86_400, "24 hours"), (14 * DAY, "14 days")],
)
def test_spans_are_readable(seconds: float, words: str) -> None:
    assert report.span(seconds) == words
