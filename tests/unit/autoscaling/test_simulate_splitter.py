"""Shifts applied to simulated traffic: nothing is lost on the way, and what gateways would count is told."""

from __future__ import annotations

from random import Random

import pytest
from joint_cases import BIG, SMALL, two

from autoscaling.joint.substitutes import stand_ins
from autoscaling.plan import Plan, Shift
from autoscaling.policies import TokenWork
from autoscaling.policies.joint import Joint
from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.fleet_traffic import Part, mixed, turned
from autoscaling.simulate.pool import Batch
from autoscaling.simulate.run import simulate
from autoscaling.simulate.splitter import Splitter, Spoken
from autoscaling.simulate.traces import Arrival, Trace, Window

pytestmark = pytest.mark.unit

FLEET = two()
SPOKEN = {SMALL: Spoken({"sv": 0.5, "de": 0.5}, auto=0.8), BIG: Spoken({"sv": 1.0})}
BATCHES = {SMALL: Batch(100.0, 400.0, 200.0, 2.0), BIG: Batch(10.0, 300.0, 100.0)}
SHIFTS = (Shift("sv", SMALL, BIG, 0.25),)


def splitter() -> Splitter:
    return Splitter(FLEET, SPOKEN, Random(1))


def test_shares_of_a_language_go_to_the_other_model() -> None:
    """A quarter of the half that is Swedish, of the four fifths that ask for auto: ten of a hundred."""
    split = splitter().split(BATCHES, SHIFTS, 5.0)
    assert split[SMALL].count == pytest.approx(90)
    assert split[BIG].count == pytest.approx(20)
    assert (split[SMALL].prompt, split[SMALL].output) == (400.0, 200.0)
    (one,) = stand_ins(FLEET, "sv")[SMALL]
    assert split[BIG].prompt == pytest.approx((10 * 300 + 10 * 400 * one.prompt) / 20)
    assert split[BIG].output == pytest.approx((10 * 100 + 10 * 200 * one.output) / 20)
    # Thinned, a bursty stream is less so.
    assert split[SMALL].cv ** 2 == pytest.approx(1 + 0.9 * 3)


def test_without_shifts_nothing_changes() -> None:
    assert splitter().split(BATCHES, (), 5.0) == BATCHES


def test_gateways_count_what_stayed_and_what_moved() -> None:
    told = splitter()
    told.split(BATCHES, (), 30.0)
    told.split(BATCHES, SHIFTS, 30.0)
    stayed, shifted = told.flows()
    assert {tag: one.value for tag, one in stayed[SMALL].items()} == pytest.approx({"sv": 70 / 60, "de": 80 / 60})
    assert {tag: one.value for tag, one in shifted[BIG].items()} == pytest.approx({"sv": 10 / 60})
    assert shifted[SMALL] == {}
    told.split(BATCHES, SHIFTS, 60.0)  # a whole window later only that counts
    assert told.flows()[1][BIG]["sv"].value == pytest.approx(10 / 60)


def test_single_requests_are_dealt_out_and_none_is_lost() -> None:
    arrivals = tuple(Arrival(0.001 * n, 400, 200) for n in range(4000))
    batches = {SMALL: Batch(4000.0, 400.0, 200.0, 1.0, arrivals), BIG: Batch(0.0, 1.0, 1.0)}
    split = splitter().split(batches, SHIFTS, 5.0)
    assert len(split[SMALL].arrivals) + len(split[BIG].arrivals) == 4000
    assert len(split[BIG].arrivals) == pytest.approx(400, abs=80)  # four standard deviations
    assert split[BIG].count == len(split[BIG].arrivals)
    (one,) = stand_ins(FLEET, "sv")[SMALL]
    assert {a.prompt for a in split[BIG].arrivals} == {round(400 * one.prompt)}
    times = [a.at_s for a in split[BIG].arrivals]
    assert times == sorted(times)


def test_a_shift_that_no_router_would_make_is_refused() -> None:
    with pytest.raises(ValueError, match="may not stand in"):
        splitter().split(BATCHES, (Shift("sv", BIG, SMALL, 0.5),), 5.0)


@pytest.mark.parametrize("languages", [{"sv": 0.5}, {"sv": 1.5, "de": -0.5}])
def test_shares_add_up_to_one(languages: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        Spoken(languages)


TRACE = Trace("steps", tuple(Window(600.0 * n, 600.0, float(n + 1), 1.0, 400.0, 200.0) for n in range(4)))


def test_a_trace_is_turned_by_whole_windows() -> None:
    later = turned(TRACE, 1200.0)
    assert [window.requests_per_s for window in later.windows] == [3.0, 4.0, 1.0, 2.0]
    assert [window.start_s for window in later.windows] == [0.0, 600.0, 1200.0, 1800.0]
    assert later.requests == TRACE.requests
    assert turned(TRACE, 0.0) is TRACE
    assert turned(TRACE, 2400.0).windows == TRACE.windows


def test_each_model_has_the_size_that_was_asked_for() -> None:
    from autoscaling.capacity.sustained import Mix, sustained

    parts = {SMALL: Part(3.0, 0.0, SPOKEN[SMALL]), BIG: Part(1.5, 600.0, SPOKEN[BIG])}
    fleet = two(big={"tokens_per_s": None}, small={"tokens_per_s": None})
    for model, trace in mixed(fleet, TRACE, parts).items():
        limit = sustained(fleet.model(model), Mix(400.0, 200.0), fleet.slo)
        assert limit is not None
        mean = sum(window.requests_per_s for window in trace.windows) / 4
        assert mean / limit.requests_per_s == pytest.approx(parts[model].replicas)


def test_single_requests_are_no_traffic_for_several() -> None:
    with pytest.raises(ValueError, match="denser"):
        mixed(FLEET, Trace("one", TRACE.windows, (Arrival(0.0, 1, 1),)), {})


class _Shifting(Joint):
    """Moves a fixed share, whatever comes."""

    def plan(self, *args: object) -> Plan:
        plan = TokenWork().plan(*args)  # type: ignore[arg-type]
        return Plan(plan.at, plan.policy, plan.models, SHIFTS)


def test_the_simulation_moves_what_the_plan_says() -> None:
    """Requests are those that each model gets: a tenth of the small one's goes to the big one once a plan is there."""
    trace = Trace("even", (Window(0.0, 600.0, 10.0, 0.5, 400.0, 200.0),))
    fleet = two(big={"initial": 2}, small={"initial": 2})
    traffic, conditions = {SMALL: trace, BIG: trace}, Conditions(tick_s=10.0)
    moved = simulate(fleet, traffic, _Shifting(TokenWork()), conditions, spoken=SPOKEN)
    still = simulate(fleet, traffic, TokenWork(), conditions, spoken=SPOKEN)
    before = {name: one.requests for name, one in still.models.items()}
    after = {name: one.requests for name, one in moved.models.items()}
    assert after[SMALL] / before[SMALL] == pytest.approx(0.9, abs=0.02)
    assert sum(after.values()) == pytest.approx(sum(before.values()), rel=1e-3)
