"""What no policy can break: bounds, pace, the scale-down window, and that what is blind holds."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from autoscaling_cases import INTERVAL_S, fleet, plan, reading, rounds, seen, settled, without
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaling.history import History
from autoscaling.plan import Code
from autoscaling.policies import POLICIES
from autoscaling.policy import Policy
from autoscaling.snapshot import Cause, Seen
from serve.fleet import Fleet

pytestmark = pytest.mark.unit

PACE = {"scale_down_window_s": 120, "period_s": 60, "up": 2, "down": 1, "up_share": 0, "down_share": 0}


def targets(told: list[int], per_round: int, at: int) -> list[int]:
    """The targets of the period that ends with round `at`."""
    return told[max(0, at - per_round) : at + 1]


@settings(max_examples=25)
@given(
    loads=st.lists(st.one_of(st.none(), st.floats(0, 30)), min_size=1, max_size=40),
    least=st.integers(0, 3),
    most=st.integers(3, 12),
    initial=st.integers(0, 12),
)
def test_replicas_stay_within_bounds_and_pace_whatever_comes(
    loads: list[float | None], least: int, most: int, initial: int
) -> None:
    initial = min(max(initial, least), most)
    described = fleet(least, most, initial=initial, pace=PACE)
    told = [initial]
    for made, _ in rounds(described, lambda n, t: seen(loads[n], t), len(loads)):
        assert made.wanted is not None
        assert made.reason.words
        told.append(made.wanted)
    span = int(PACE["period_s"] / INTERVAL_S)
    for at, now in enumerate(told):
        assert least <= now <= most
        around = targets(told, span, at)
        assert now - min(around) <= PACE["up"]
        assert max(around) - now <= PACE["down"]


@settings(max_examples=25)
@given(
    loads=st.lists(st.floats(0, 30), min_size=1, max_size=20),
    names=st.lists(st.sampled_from(["finished", "growth", "refused", "waiting"]), min_size=1),
    cause=st.sampled_from(Cause),
)
def test_blind_means_hold(loads: list[float], names: list[str], cause: Cause) -> None:
    described = fleet(0, 20, initial=4, pace=PACE)
    *_, (made, history) = rounds(described, lambda n, t: seen(loads[n], t), len(loads))
    target = made.wanted
    assert target is not None
    began = len(loads) * INTERVAL_S
    for step in range(40):  # longer than every window
        model = without(seen(0.0, target), *names, cause=cause)
        made = plan(began + step * INTERVAL_S, model, history, described)
        assert made.wanted == target
        assert made.blind is cause
        assert made.reason.code is Code.BLIND


def test_after_blindness_the_scale_down_window_begins_anew() -> None:
    described = fleet(0, 20, initial=4, pace=PACE)
    blind = [True] * 20 + [False] * 20

    def at(n: int, target: int) -> Seen:
        model = seen(0.0, target)
        return without(model, "finished") if blind[n] else model

    told = [made.wanted for made, _ in rounds(described, at, 40)]
    window = int(PACE["scale_down_window_s"] / INTERVAL_S)
    assert told[: 20 + window] == [4] * (20 + window)
    assert told[-1] is not None
    assert told[-1] < 4


def test_replicas_that_nobody_tells_of_are_kept_as_they_were_last_known() -> None:
    history, now = settled(3)
    unknown = Seen(replicas=None, replicas_cause=Cause.UNREACHABLE)
    made = plan(now, unknown, history, fleet(1, 10))
    assert (made.wanted, made.target) == (3, 3)
    assert plan(0.0, unknown, History(), fleet(1, 10)).wanted is None


@pytest.mark.parametrize("load", [0.0, 0.5, 1.0, 3.3, 9.9, 50.0])
def test_a_constant_load_ends_in_a_constant_plan(load: float) -> None:
    described = fleet(1, 10, initial=5)
    told = [made.wanted for made, _ in rounds(described, lambda _, t: seen(load, t), 80)]
    assert len(set(told[-40:])) == 1
    assert told[-1] == min(max(round(load + 0.49), 1), 10)


def reversals(told: list[int]) -> int:
    """How often a series that rose falls or one that fell rises."""
    steps = [b - a for a, b in pairwise(told) if b != a]
    return sum(a * b < 0 for a, b in pairwise(steps))


@settings(max_examples=15)
@given(half=st.integers(1, 60), low=st.floats(0, 3), high=st.floats(4, 10))
def test_a_square_wave_makes_a_bounded_number_of_reversals(half: int, low: float, high: float) -> None:
    described = fleet(1, 10)
    count = 160
    told = [
        made.wanted or 0 for made, _ in rounds(described, lambda n, t: seen(high if n // half % 2 else low, t), count)
    ]
    window = described.autoscaling.pace.scale_down_window_s / INTERVAL_S
    if half < window:  # the wave is shorter than the window: up once, and there it stays
        assert reversals(told) == 0
    else:
        assert reversals(told) <= 2 * (count / (2 * half))


def test_fewer_replicas_only_after_a_whole_window_and_one_by_one() -> None:
    described = fleet(1, 10, initial=4, pace=PACE)
    told = [made for made, _ in rounds(described, lambda n, t: seen(4.0 if n < 10 else 1.0, t), 50)]
    window = int(PACE["scale_down_window_s"] / INTERVAL_S)
    first = next(at for at, made in enumerate(told) if made.wanted == 3)
    # Expected work is the peak of the start-up time, a cold start and a round; the window comes on top.
    assert first >= 10 + window
    assert told[first - 1].reason.code is Code.WINDOW
    assert "4 were needed within the last 120 s" in told[first - 1].reason.words
    assert told[first].reason.code is Code.PACE_DOWN
    assert [made.wanted for made in told[-5:]] == [1] * 5


def test_a_call_is_not_taken_back_before_it_could_be_answered() -> None:
    slow = fleet(1, 10, work={"cold_start_s": 600}, pace={**PACE, "scale_down_window_s": 15})
    told = [made.wanted for made, _ in rounds(slow, lambda n, t: seen(1.0, t, waiting=50 if n == 3 else 0), 60)]
    assert told[3:43] == [3] * 40
    assert told[-1] == 1


def test_a_large_fleet_changes_by_shares() -> None:
    history, now = settled(20)
    shares = {**PACE, "up_share": 0.5, "down_share": 0.25}
    up = plan(now, seen(90.0, 20), history, fleet(1, 100, pace=shares))
    assert (up.wanted, up.reason.code) == (30, Code.PACE_UP)
    wide = {**shares, "scale_down_window_s": 15}
    told = rounds(fleet(1, 100, initial=20, work={"cold_start_s": 1}, pace=wide), lambda _, t: seen(0.0, t), 12)
    steps = [made.wanted or 0 for made, _ in told]
    assert min(later - earlier for earlier, later in pairwise(steps)) == -5


def test_reasons_of_bounds_and_pace() -> None:
    history, now = settled(2)
    up = plan(now, seen(9.0, 2), history, fleet(1, 20, pace=PACE))
    assert (up.wanted, up.needed, up.reason.code) == (4, 9, Code.PACE_UP)
    most = plan(now, seen(9.0, 2), history, fleet(1, 3))
    assert (most.wanted, most.reason.code) == (3, Code.AT_MOST)
    least = plan(now, seen(0.0, 3), history, fleet(3, 4))
    assert (least.wanted, least.reason.code) == (3, Code.AT_LEAST)


def test_bounds_hold_whatever_runs_and_whatever_is_known() -> None:
    history, now = settled(8)
    assert plan(now, seen(8.0, 8), history, fleet(1, 5)).wanted == 5
    assert plan(now, without(seen(8.0, 8), "finished"), history, fleet(1, 5)).wanted == 5
    assert plan(now, seen(0.0, 0), History(), fleet(2, 5)).wanted == 2


def test_zero_needs_a_description_that_allows_it_and_a_quiet_window_of_good_data() -> None:
    described = fleet(0, 5, initial=1)
    told = [made.wanted for made, _ in rounds(described, lambda _, t: seen(0.0, t), 40)]
    window = int(described.autoscaling.pace.scale_down_window_s / INTERVAL_S)
    assert told[:window] == [1] * window
    assert told[-1] == 0
    assert {made.wanted for made, _ in rounds(fleet(1, 5), lambda _, t: seen(0.0, t), 40)} == {1}
    woken = plan(0.0, seen(0.0, 0, refused=0.1), History(), described)
    assert woken.wanted == 1


def test_another_hand_is_seen_and_corrected() -> None:
    history, now = settled(3)
    made = plan(now, seen(3.0, 1), history, fleet(1, 10))
    assert (made.target, made.wanted) == (1, 3)


def spared(spare: int, least: int = 1, most: int = 10, initial: int = 4) -> Fleet:
    described = fleet(least, most, initial=initial, pace={**PACE, "up": 10, "down": 10})
    model = described.models[0]
    assert model.engine is not None
    bounds = model.engine.replicas.model_copy(update={"spare": spare})
    engine = model.engine.model_copy(update={"replicas": bounds})
    return described.model_copy(update={"models": (model.model_copy(update={"engine": engine}),)})


@pytest.mark.parametrize(
    ("load", "spare", "least", "most", "wanted", "code"),
    [
        (4.0, 2, 1, 10, 6, Code.SPARE),
        (4.0, 0, 1, 10, 4, Code.WORK),
        (9.0, 2, 1, 10, 10, Code.SPARE),  # one of the two finds room
        (10.0, 2, 1, 10, 10, Code.WORK),
        (12.0, 2, 1, 10, 10, Code.AT_MOST),
        (1.0, 2, 5, 10, 5, Code.AT_LEAST),  # the least that is allowed has them already
        (4.0, 2, 5, 10, 6, Code.SPARE),
        (0.0, 1, 0, 10, 1, Code.SPARE),  # one is warm, whatever comes
    ],
)
def test_warm_spares_stand_above_what_is_needed(
    load: float, spare: int, least: int, most: int, wanted: int, code: Code
) -> None:
    made = [m for m, _ in rounds(spared(spare, least, most, max(least, 4)), lambda _, t: seen(load, t), 60)][-1]
    assert (made.wanted, made.reason.code) == (wanted, code)
    if code is Code.SPARE:
        assert made.reason.words.endswith(f"; {spare} more are kept warm")


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_no_policy_takes_the_spares_for_its_own(policy: Policy) -> None:
    """A rule that returned what runs would add them once more each round."""

    def at(_: int, target: int) -> Seen:
        return replace(seen(3.0, target, waiting=12.0), in_flight=reading(6.0), running=reading(3 * 32.0))

    without_any, with_two = ([m.wanted for m, _ in rounds(spared(n, initial=4), at, 120, policy)][-1] for n in (0, 2))
    assert without_any is not None
    assert with_two == without_any + 2


def test_the_window_counts_spares_on_both_sides() -> None:
    told = [m.wanted for m, _ in rounds(spared(1), lambda n, t: seen(4.0 if n < 10 else 2.0, t), 40)]
    assert told[9] == 5
    assert told[-1] == 3
    assert [a for a, b in pairwise(told) if a != b] == [5]  # down once, nothing between
