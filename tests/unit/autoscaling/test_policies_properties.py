"""What holds for every policy of the description, through its bounds, whatever comes and whatever is known of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import ceil
from typing import Any

import pytest
from autoscaling_cases import INTERVAL_S, fleet, plan, reading, rounds, seen, without
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaling.history import History
from autoscaling.plan import Code
from autoscaling.policies import POLICIES
from autoscaling.policy import Policy
from autoscaling.snapshot import READINGS, Cause, Seen

pytestmark = [pytest.mark.unit, pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)]

PACE = {"scale_down_window_s": 120, "period_s": 60, "up": 2, "down": 1, "up_share": 0, "down_share": 0}
# Figures at which a load of 1 is about one replica for every one of them.
RULES = {
    "hpa_queue": {"waiting_per_replica": 2},
    "hpa_concurrency": {"running_per_replica": 1},
    "keda": {"requests_per_s": 1},
    "ray_default": {"target_ongoing_requests": 3},
}
LOADS = st.floats(0, 30)
# The longest that a policy looks back by default is 600 s: 40 rounds.
LONGEST = 40


def described(least: int = 1, most: int = 10, initial: int | None = None, **settings: Any) -> Any:
    return fleet(least, most, initial=initial, rules=RULES, **settings)


def loaded(load: float, target: int) -> Seen:
    """So many requests a second; every reading that a policy could look at grows with them."""
    model = seen(load, target, waiting=2 * load, kv_use=min(load / 30, 1))
    return replace(model, in_flight=reading(3 * load), running=reading(load))


@settings(max_examples=20)
@given(
    loads=st.lists(st.one_of(st.none(), LOADS), min_size=1, max_size=40),
    least=st.integers(0, 3),
    most=st.integers(3, 12),
    initial=st.integers(0, 12),
    spare=st.integers(0, 2),
)
def test_replicas_stay_within_bounds_and_the_description_s_pace_where_the_policy_has_none(
    policy: Policy, loads: list[float | None], least: int, most: int, initial: int, spare: int
) -> None:
    initial = min(max(initial, least), most)
    plain = described(least, most, initial, pace=PACE)
    model = plain.models[0]
    bounds = model.engine.replicas.model_copy(update={"spare": spare})
    engine = model.engine.model_copy(update={"replicas": bounds})
    spared = plain.model_copy(update={"models": (model.model_copy(update={"engine": engine}),)})

    def at(number: int, target: int) -> Seen:
        load = loads[number]
        return loaded(load, target) if load is not None else without(loaded(0.0, target), *READINGS)

    told = [initial]
    for made, _ in rounds(spared, at, len(loads), policy):
        assert made.wanted is not None
        assert made.reason.words
        told.append(made.wanted)
    assert all(least <= wanted <= most for wanted in told)
    if policy.own_pace:
        return
    span = int(PACE["period_s"] / INTERVAL_S)
    for end, now in enumerate(told):
        around = told[max(0, end - span) : end + 1]
        assert now - min(around) <= PACE["up"]
        assert max(around) - now <= PACE["down"]


@settings(max_examples=8)
@given(loads=st.lists(LOADS, min_size=1, max_size=20), cause=st.sampled_from(Cause))
def test_blind_means_hold(policy: Policy, loads: list[float], cause: Cause) -> None:
    fleet_ = described(0, 20, 4)
    *_, (made, history) = rounds(fleet_, lambda n, t: loaded(loads[n], t), len(loads), policy)
    target = made.wanted
    assert target is not None
    for step in range(LONGEST + 2):
        now = (len(loads) + step) * INTERVAL_S
        model = without(loaded(0.0, target), *READINGS, cause=cause)
        blind = plan(now, model, history, fleet_, policy)
        assert blind.wanted == target
        if policy.name != "static":  # which needs no data
            assert (blind.needed, blind.blind, blind.reason.code) == (None, cause, Code.BLIND)


@settings(max_examples=40)
@given(
    pair=st.tuples(LOADS, LOADS),
    past=st.lists(LOADS, max_size=12),
    target=st.integers(1, 10),
    starting=st.integers(0, 9),
)
def test_more_load_never_needs_or_wants_less(
    policy: Policy, pair: tuple[float, float], past: list[float], target: int, starting: int
) -> None:
    fleet_ = described(0, 100, target)
    history = [History(), *(known for _, known in rounds(fleet_, lambda n, t: loaded(past[n], t), len(past), policy))]
    now = len(past) * INTERVAL_S
    state = seen(0.0, target, max(target - starting, 1), starting=min(starting, target - 1)).replicas
    lighter, heavier = (
        plan(now, replace(loaded(load, target), replicas=state), history[-1], fleet_, policy)
        for load in (min(pair), max(pair))
    )
    assert lighter.needed is not None
    assert heavier.needed is not None
    assert lighter.needed <= heavier.needed
    assert lighter.wanted is not None
    assert heavier.wanted is not None
    assert lighter.wanted <= heavier.wanted


@pytest.mark.parametrize("load", [0.0, 0.4, 1.0, 3.3, 9.9, 50.0])
def test_a_constant_load_ends_in_a_constant_plan(policy: Policy, load: float) -> None:
    fleet_ = described(1, 10, 5)
    told = [made.wanted for made, _ in rounds(fleet_, lambda _, t: loaded(load, t), 4 * LONGEST, policy)]
    last = told[-LONGEST:]
    assert all(later <= earlier for earlier, later in pairwise(last))  # no way back
    # One that learns how calm a load is lets the last of its headroom go later than the others.
    assert len(set(last)) <= (2 if policy.name == "slo" else 1)
    if policy.name != "static":
        # From the tolerance of the HPA below it to room for what may come.
        assert min(max(load * 0.9, 1), 10) - 1e-9 <= (told[-1] or 0) <= min(max(2 * load, 1) + 1, 10)


@settings(max_examples=8)
@given(half=st.integers(1, 60), low=st.floats(0, 3), high=st.floats(4, 10))
def test_a_square_wave_makes_at_most_two_reversals_a_period(policy: Policy, half: int, low: float, high: float) -> None:
    count = 3 * LONGEST

    def at(number: int, target: int) -> Seen:
        return loaded(high if number // half % 2 else low, target)

    told = [made.wanted or 0 for made, _ in rounds(described(), at, count, policy)]
    steps = [after - before for before, after in pairwise(told) if after != before]
    reversals = sum(one * next_ < 0 for one, next_ in pairwise(steps))
    assert reversals <= 2 * ceil(count / (2 * half))
