"""What a worker believes of the autoscaler's plan, and for how long."""

from __future__ import annotations

import copy
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaling import plan as plans
from autoscaling.plan import Plan
from autoscaling.published import Published, as_json
from autoscaling.snapshot import Snapshot
from serve.fleet import loader
from serve.gateway.instruments import Instruments
from serve.gateway.plan_reader import LastPlan, PlanReader
from serve.gateway.shifts import Flaw, ShiftWatch, Unusable, told_by
from serve.routing.records import Shift

pytestmark = pytest.mark.unit

MODELS = ("big", "small", "other")
SHIFT = {"language": "sv", "from": "big", "to": "small", "share": 0.4}
PLAN = {"leader": True, "dry_run": False, "interval_s": 15.0, "at": 5.0, "age_s": 2.0, "models": {}, "shifts": [SHIFT]}
FLEET = loader.resolve(
    {
        "models": [
            {"use": "llama-3.3-70b-instruct", "id": name, "upstream": {"base_url": "http://127.0.0.1:9"}}
            for name in MODELS
        ],
        "routing": {"reference": "big"},
        "gateway": {"plan_url": "http://127.0.0.1:9/plan"},
    },
    "test",
)


def with_shifts(*shifts: Any, **fields: Any) -> dict[str, Any]:
    return {**PLAN, "shifts": list(shifts), **fields}


def test_shifts_by_language_and_the_plan_s_age() -> None:
    told = told_by(with_shifts(SHIFT, {**SHIFT, "to": "other", "share": 0.6}, {**SHIFT, "language": "nn-NO"}), MODELS)
    assert told is not None
    assert told.age_s == 2.0
    assert told.shifts == {
        "sv": (Shift("big", "small", 0.4), Shift("big", "other", 0.6)),
        "nn": (Shift("big", "small", 0.4),),
    }


def test_what_the_autoscaler_publishes_is_what_routing_reads() -> None:
    targets = [f"to-{number}" for number in range(6)]  # six sixths of six digits are 1.000002
    plan = Plan(3.0, "slo", {}, tuple(plans.Shift("sv", "big", to, 1 / 6) for to in targets))
    last = Published(100.0, plan, Snapshot(3.0), {}, 0.1)
    shown = json.loads(json.dumps(as_json(last, leads=True, dry_run=False, interval_s=15, wall=103.5)))
    told = told_by(shown, ["big", *targets])
    assert told is not None
    assert told.age_s == 3.5
    assert [(one.source, one.to) for one in told.shifts["sv"]] == [("big", to) for to in targets]
    assert [one.share for one in told.shifts["sv"]] == pytest.approx([1 / 6] * 6, rel=1e-5)
    assert told_by(as_json(None, leads=False, dry_run=False, interval_s=15, wall=0.0), MODELS) is None


def test_a_plan_without_shifts_has_none() -> None:
    plan = {key: value for key, value in PLAN.items() if key != "shifts"}  # of an autoscaler that knows none
    assert told_by(plan, MODELS).shifts == {}  # type: ignore[union-attr]


def test_before_the_first_round_and_of_another_leader_there_is_no_plan() -> None:
    assert told_by({**PLAN, "at": None, "age_s": None, "shifts": []}, MODELS) is None


def test_a_dry_run_moves_nothing() -> None:
    assert told_by({**PLAN, "dry_run": True}, MODELS).shifts == {}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("plan", "flaw", "said"),
    [
        (with_shifts({**SHIFT, "to": "gone"}), Flaw.UNKNOWN_MODEL, "shifts[0].to: 'gone' is no model of this fleet"),
        (with_shifts(SHIFT, {**SHIFT, "from": "x\n" * 99}), Flaw.UNKNOWN_MODEL, "shifts[1].from"),
        (
            with_shifts({**SHIFT, "share": 0}),
            Flaw.MALFORMED,
            "shifts[0].share: 0.0 is out of range: above 0, at most 1",
        ),
        (with_shifts({**SHIFT, "share": 1.01}), Flaw.MALFORMED, "1.01 is out of range"),
        (with_shifts({**SHIFT, "share": float("nan")}), Flaw.MALFORMED, "nan is out of range"),
        (
            with_shifts({**SHIFT, "share": "0.4"}),
            Flaw.MALFORMED,
            "Expected `float`, got `str` - at `$.shifts[0].share`",
        ),
        (with_shifts({**SHIFT, "share": True}), Flaw.MALFORMED, "Expected `float`, got `bool`"),
        (with_shifts({**SHIFT, "language": "?"}), Flaw.MALFORMED, "shifts[0].language: '?' is no BCP-47 tag"),
        (with_shifts({**SHIFT, "to": "big"}), Flaw.MALFORMED, "from big to itself"),
        (with_shifts(SHIFT, SHIFT), Flaw.MALFORMED, "two between the same models"),
        (with_shifts(SHIFT, {**SHIFT, "to": "other", "share": 0.7}), Flaw.MALFORMED, "1.1 together, at most 1"),
        (with_shifts(*[SHIFT] * 10_001), Flaw.MALFORMED, "10001 of them, at most 10000"),
        (with_shifts("x"), Flaw.MALFORMED, "Expected `object`"),
        ({**PLAN, "shifts": {}}, Flaw.MALFORMED, "Expected `array`"),
        ({**PLAN, "age_s": -1}, Flaw.MALFORMED, "age_s: -1.0 is no age"),
        ({**PLAN, "age_s": float("inf")}, Flaw.MALFORMED, "age_s"),
        ({"error": "paths: /plan"}, Flaw.MALFORMED, "missing required field `age_s`"),
    ],
)
def test_one_flaw_spoils_a_plan(plan: dict[str, Any], flaw: Flaw, said: str) -> None:
    with pytest.raises(Unusable) as error:
        told_by(plan, MODELS)
    assert error.value.flaw is flaw
    assert said in str(error.value)
    assert "\n" not in str(error.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["age_s", "dry_run", "shifts"]) | st.tuples(st.sampled_from(["language", "from", "to", "share"])),
    JSON,
)
def test_whatever_stands_there_it_is_a_plan_or_unusable(where: Any, value: Any) -> None:
    plan = copy.deepcopy(PLAN)
    target: Any = plan["shifts"][0] if isinstance(where, tuple) else plan  # type: ignore[index]
    target[where[0] if isinstance(where, tuple) else where] = value
    try:
        told = told_by(plan, MODELS)
    except Unusable:
        return
    if told is not None:
        for shifts in told.shifts.values():
            assert all(0 < one.share <= 1 and {one.source, one.to} <= set(MODELS) for one in shifts)


class Watch:
    """A watch that is told what was read, at times of the test's own."""

    def __init__(self) -> None:
        self.instruments = Instruments(FLEET)
        # A reader without a URL reads nothing: what is read is given.
        self.watch = ShiftWatch(FLEET, PlanReader(None), self.instruments)

    def take(
        self, now: float, plan: dict[str, Any] | None = None, problem: str | None = None, read: float = 0.0
    ) -> int:
        """The number of shifts in force."""
        self.watch.take(LastPlan(plan, 1000.0 + read, read, problem), now)
        shown = self.value("parlance_plan_shifts")
        assert shown == sum(map(len, self.watch.table.values()))
        return int(shown)

    def value(self, name: str, **labels: str) -> float:
        return self.instruments.registry.get_sample_value(name, labels) or 0.0

    def flaws(self) -> dict[str, float]:
        found = {flaw.value: self.value("parlance_plan_flaws_total", flaw=flaw.value) for flaw in Flaw}
        return {name: count for name, count in found.items() if count}


def test_a_plan_that_cannot_be_read_any_more_counts_until_it_is_stale(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watch = Watch()
    assert watch.take(0.0, PLAN) == 1
    assert watch.watch.planned_at == 998.0
    for second in (5.0, 10.0, 57.9):  # three rounds of 15 s and 15 s more, of which it was 2 s old
        assert watch.take(second, PLAN, "nobody answers there") == 1
    assert watch.take(58.1, PLAN, "nobody answers there") == 0
    assert watch.take(65.0, PLAN, "nobody answers there") == 0
    assert watch.flaws() == {"unreachable": 3, "stale": 2}
    assert watch.take(70.0, PLAN, read=70.0) == 1
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3, "once each"
    assert "unreachable: nobody answers there; its shifts stay in force until it is stale" in said[0]
    assert "stale: it is 60 s old, at most 60 s are allowed; nobody answers there; no load is shifted" in said[1]
    assert said[2] == "the autoscaler's plan is read again"


def test_a_plan_that_is_told_again_and_again_is_stale_by_its_own_age() -> None:
    watch = Watch()
    assert watch.take(0.0, {**PLAN, "age_s": 59.0}) == 1
    assert watch.take(5.0, {**PLAN, "age_s": 64.0}, read=5.0) == 0
    assert watch.flaws() == {"stale": 1}


@pytest.mark.parametrize("bad", [with_shifts({**SHIFT, "to": "gone"}), with_shifts({**SHIFT, "share": 2})])
def test_a_plan_that_is_wrong_moves_nothing_from_that_moment(bad: dict[str, Any]) -> None:
    watch = Watch()
    assert watch.take(0.0, PLAN) == 1
    assert watch.take(1.0, bad, read=1.0) == 0
    assert watch.watch.planned_at is None
    assert watch.take(2.0, bad, "no answer within 2 s", read=1.0) == 0
    assert watch.take(3.0, PLAN, read=3.0) == 1


def test_a_follower_s_answer_does_not_end_the_leader_s_plan() -> None:
    watch = Watch()
    none = {**PLAN, "leader": False, "at": None, "age_s": None, "shifts": []}
    assert watch.take(0.0, none) == 0
    assert watch.flaws() == {}, "a plan that is still to come is no flaw"
    assert watch.take(5.0, PLAN, read=5.0) == 1
    assert watch.take(10.0, none, read=10.0) == 1
    assert watch.take(80.0, none, read=80.0) == 0


def test_the_next_plan_replaces_the_last_one() -> None:
    watch = Watch()
    assert watch.take(0.0, PLAN) == 1
    assert watch.take(15.0, with_shifts(), read=15.0) == 0
    assert watch.flaws() == {}


def test_staleness_is_a_setting_and_longer_than_the_interval() -> None:
    settings = FLEET.gateway.shifts
    assert (settings.enabled, settings.interval_s, settings.stale_after_s) == (True, 5, None)
    with pytest.raises(ValueError, match="stale_after_s \\(5\\) must be longer than interval_s \\(5\\)"):
        type(settings)(stale_after_s=5)
