"""KEDA's rule on the rate of requests: an HPA from one replica on, KEDA itself from and to zero."""

from __future__ import annotations

import pytest
from autoscaling_cases import fleet, plan, rounds, seen, settled, without

from autoscaling.history import History
from autoscaling.plan import Code
from autoscaling.policies import Keda
from autoscaling.snapshot import Cause, Seen
from serve.fleet import Fleet

pytestmark = pytest.mark.unit


def described(least: int = 1, most: int = 100, initial: int | None = None, **keda: float) -> Fleet:
    return fleet(least, most, initial=initial, rules={"keda": {"requests_per_s": 0.5, **keda}})


def told(rates: list[float], initial: int, least: int = 1) -> list[int | None]:
    made = rounds(described(least, initial=initial), lambda n, t: seen(rates[n], t), len(rates), Keda())
    return [one.wanted for one, _ in made]


@pytest.mark.parametrize(
    ("rate", "replicas", "recommended"),
    [
        (4.0, 8, 8),
        (4.4, 8, 8),  # 0.55 of a replica: a tenth above the threshold is tolerated
        (4.41, 8, 9),
        (3.6, 8, 8),
        (3.59, 8, 8),  # outside, and still eight, rounded up
        (3.5, 8, 7),
        (5.0, 1, 10),  # the rule looks at the sum: what runs matters for the tolerance only
        (0.0, 3, 0),
    ],
)
def test_the_rate_over_the_threshold(rate: float, replicas: int, recommended: int) -> None:
    made = plan(0.0, seen(rate, replicas), History(), described(), Keda())
    assert made.needed == recommended


def test_its_hpa_paces_and_stabilises() -> None:
    assert told([10.0] * 4, 1) == [5, 10, 20, 20]
    falling = told([4.0] * 25 + [0.5] * 22, 8)
    assert falling[:44] == [8] * 44  # the last 8 was recommended in round 24: it counts for the 19 after it
    assert falling[44:] == [1] * 3


def test_replicas_that_start_do_not_matter_to_an_external_metric() -> None:
    made = plan(0.0, seen(4.0, 8, running=2, starting=6), History(), described(), Keda())
    assert made.needed == 8


def test_the_first_request_wakes_it_and_a_quiet_cooldown_ends_it() -> None:
    # 300 s are 20 rounds; the request of round 3 has to be as old as that.
    series = told([0.0, 0.0, 0.0, 0.1] + [0.0] * 24, 0, least=0)
    assert series[:3] == [0, 0, 0]
    assert series[3] == 1
    assert series[4:24] == [1] * 20
    assert series[24:] == [0] * 4


def test_what_nobody_saw_may_have_been_a_request() -> None:
    history, now = settled(1)
    idle = plan(now, seen(0.0, 1), history, described(0), Keda())
    assert idle.wanted == 1
    fresh = plan(0.0, seen(0.0, 1), History(), described(0), Keda())
    assert fresh.wanted == 1

    blind = [False] * 22 + [True] + [False] * 22

    def at(n: int, target: int) -> Seen:
        model = seen(0.0, target)
        return without(model, "finished") if blind[n] else model

    series = [one.wanted for one, _ in rounds(described(0, initial=1), at, 45, Keda())]
    assert series[20:22] == [0, 0]
    awake = [one.wanted for one, _ in rounds(described(0, initial=1), lambda n, t: at(n + 3, t), 42, Keda())]
    assert awake[:40] == [1] * 40  # the blind round 19 begins the cooldown anew
    assert awake[40:] == [0, 0]


def test_no_data_is_not_zero() -> None:
    history, now = settled(8)
    made = plan(now, without(seen(0.0, 8), "growth", cause=Cause.UNREACHABLE), history, described(), Keda())
    assert (made.needed, made.wanted, made.blind, made.reason.code) == (None, 8, Cause.UNREACHABLE, Code.BLIND)


def test_the_reason_tells_rate_and_threshold() -> None:
    made = plan(0.0, seen(4.5, 1), History(), described(), Keda())
    assert made.reason.words.endswith("4.50 requests/s arrive, the threshold is 0.5 of a replica")
    assert (made.needed, made.wanted, made.reason.code) == (9, 5, Code.PACE_UP)


def test_the_cooldown_is_for_descriptions_that_allow_zero() -> None:
    """Found by Kubernetes' own code beside ours: with `min` 1 or more, only the HPA takes replicas away."""
    slow = {"keda": {"requests_per_s": 0.5}, "hpa": {"scale_down_percent": 25, "scale_down_window_s": 300}}
    described_ = fleet(1, 10, initial=8, rules=slow)
    series = [one.wanted for one, _ in rounds(described_, lambda _, t: seen(0.0, t), 26, Keda())]
    assert series[19:] == [8, 6, 4, 3, 2, 1, 1]
