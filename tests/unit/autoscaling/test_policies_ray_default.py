"""Ray Serve's default policy, in sequences worked out by hand. Its own code runs beside it in the integration tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from autoscaling_cases import MODEL, fleet, plan, reading, rounds, seen, settled, snapshot, without

from autoscaling.history import History, ModelHistory, Round
from autoscaling.learnt import Capacity
from autoscaling.plan import Code
from autoscaling.policies import RayDefault
from autoscaling.policies.ray_default import desired_replicas
from autoscaling.snapshot import Cause, Seen
from serve.fleet import Fleet
from serve.fleet.autoscaling_rules import RayDefault as Rules

pytestmark = pytest.mark.unit


def described(least: int = 1, most: int = 100, initial: int | None = None, **rules: Any) -> Fleet:
    """A look-back of one round's moment, so that what is in flight is what counts."""
    ray = {"look_back_period_s": 1, **rules}
    return fleet(least, most, initial=initial, rules={"ray_default": ray})


def ongoing(requests: float, target: int, running: int | None = None) -> Seen:
    return replace(seen(1.0, target, running), in_flight=reading(requests))


def told(requests: list[float], initial: int, least: int = 1, **rules: Any) -> list[int | None]:
    fleet_ = described(least, initial=initial, **rules)
    made = rounds(fleet_, lambda n, t: ongoing(requests[n], t), len(requests), RayDefault())
    return [one.wanted for one, _ in made]


@pytest.mark.parametrize(
    ("running", "requests", "rules", "desired"),
    [
        (1, 10, {}, 5),  # two a replica are the target
        (4, 8, {}, 4),
        (4, 8.5, {}, 5),  # rounded up
        (4, 7.9, {}, 4),
        (4, 6, {}, 3),
        (4, 0, {}, 0),
        (10, 100, {"upscaling_factor": 0.5}, 30),  # half of the 40 that are missing
        (10, 10, {"downscaling_factor": 0.5}, 8),  # 10 - 0.5 x 5, rounded up
        (10, 18, {"downscaling_factor": 0.1}, 9),  # 9.9 rounds up to ten: one less, or it never sank
        (3, 12, {"target_ongoing_requests": 1e9}, 1),  # Ray Serve LLM's default, whatever comes
    ],
)
def test_what_is_desired(running: int, requests: float, rules: dict[str, Any], desired: int) -> None:
    assert desired_replicas(running, requests, Rules.model_validate(rules)) == desired


def test_more_after_half_a_minute_in_which_every_round_wanted_more() -> None:
    # Rounds at 0, 15, 30 s: the delay of 30 s has passed in the third.
    assert told([10, 10, 10, 10, 10], 1) == [1, 1, 5, 5, 5]
    assert told([10, 2, 10, 10, 10], 1) == [1, 1, 1, 1, 5]  # the second round found enough: anew
    assert told([10, 12, 16, 16], 1) == [1, 1, 8, 8]  # the last desire counts, not the first


def test_after_a_change_the_delay_begins_anew() -> None:
    assert told([10, 10, 10, 20, 20, 20], 1) == [1, 1, 5, 5, 5, 10]


def test_fewer_after_ten_minutes() -> None:
    series = told([2.0] * 45, 4)
    assert series[:40] == [4] * 40
    assert series[40:] == [1] * 5  # 600 s are 40 rounds
    broken = told([2.0] * 30 + [8.0] + [2.0] * 42, 4)
    assert broken[:71] == [4] * 71
    assert broken[71:] == [1] * 2


def test_zero_comes_after_one_only_and_has_a_delay_of_its_own() -> None:
    series = told([0.0] * 50, 3, least=0, downscale_delay_s=60, downscale_to_zero_delay_s=300)
    assert series[:4] == [3] * 4
    assert series[4:25] == [1] * 21  # its 300 s begin with the round after
    assert series[25:] == [0] * 25


def test_without_a_replica_the_first_request_counts_at_once() -> None:
    assert told([0, 0, 0.5, 0.5], 0, least=0) == [0, 0, 1, 1]
    assert told([0, 1], 0, least=0, upscaling_factor=2.5) == [0, 3]
    refused = replace(ongoing(0.0, 0), refused=reading(0.1))
    assert plan(0.0, refused, History(), described(0), RayDefault()).wanted == 1
    starting = plan(0.0, ongoing(50.0, 3, running=0), History(), described(), RayDefault())
    assert (starting.needed, starting.wanted) == (3, 3)
    idle = plan(0.0, ongoing(0.0, 3, running=0), History(), described(), RayDefault())
    assert (idle.needed, idle.wanted) == (3, 3)


def test_what_is_in_flight_is_averaged_over_the_look_back_period() -> None:
    fleet_ = fleet(1, 100, rules={"ray_default": {"look_back_period_s": 30}})
    past = tuple(Round(at, 0.0, 1, 1, 1, in_flight=value) for at, value in ((0.0, 90.0), (15.0, 0.0), (30.0, 8.0)))
    history = History({MODEL: ModelHistory(Capacity.of(100.0), past)})
    made = RayDefault().plan(45.0, snapshot(45.0, ongoing(4.0, 1)), history, fleet_).models[MODEL]
    # From 15 s on: 0 to 8, 8 to 4; a mean of (4 + 6) / 2 requests, two a replica.
    assert made.needed == 3
    assert "5.0 requests are in flight" in made.reason.words


def test_a_wish_that_waits_says_so() -> None:
    made = plan(0.0, ongoing(10.0, 1), History(), described(), RayDefault())
    assert (made.needed, made.wanted, made.reason.code) == (5, 1, Code.PACE_UP)
    assert "5 are desired, not yet for 30 s" in made.reason.words
    history, now = settled(4)
    made = plan(now, ongoing(2.0, 4), history, described(), RayDefault())
    assert (made.needed, made.wanted, made.reason.code) == (1, 4, Code.WINDOW)


def test_blind_without_what_is_in_flight_and_then_anew() -> None:
    history, now = settled(4)
    made = plan(now, without(ongoing(0.0, 4), "in_flight", cause=Cause.INVALID), history, described(), RayDefault())
    assert (made.wanted, made.blind) == (4, Cause.INVALID)
    blind = [False, True, False, False, False]

    def at(n: int, target: int) -> Seen:
        model = ongoing(10.0, target)
        return without(model, "in_flight") if blind[n] else model

    assert [one.wanted for one, _ in rounds(described(), at, 5, RayDefault())] == [1, 1, 1, 1, 5]
