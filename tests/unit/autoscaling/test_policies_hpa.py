"""The HorizontalPodAutoscaler's arithmetic and behaviour, in sequences worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from autoscaling_cases import INTERVAL_S, fleet, plan, reading, rounds, seen, settled, without

from autoscaling.history import History
from autoscaling.plan import Code
from autoscaling.policies import HpaConcurrency, HpaQueue
from autoscaling.snapshot import Cause, Replicas, Seen
from serve.fleet import Fleet

pytestmark = pytest.mark.unit

RULES = {"hpa_queue": {"waiting_per_replica": 10}, "hpa_concurrency": {"running_per_replica": 20}}


def described(least: int = 1, most: int = 100, initial: int | None = None, **hpa: Any) -> Fleet:
    return fleet(least, most, initial=initial, rules={**RULES, "hpa": hpa})


def queue(waiting: float, target: int, running: int | None = None) -> Seen:
    """So many requests wait, in all."""
    return seen(1.0, target, running, waiting=waiting, starting=target - (target if running is None else running))


def told(waiting: list[float], initial: int, **hpa: Any) -> list[int | None]:
    """What an HPA on queues wants, round by round, where every plan is carried out at once."""
    made = rounds(described(initial=initial, **hpa), lambda n, t: queue(waiting[n], t), len(waiting), HpaQueue())
    return [one.wanted for one, _ in made]


# Ready pods, those that start, metric over all pods, target a pod; what Kubernetes' algorithm recommends.
@pytest.mark.parametrize(
    ("ready", "starting", "total", "recommended"),
    [
        (3, 0, 60, 6),  # its documentation's example: twice the target doubles
        (4, 0, 20, 2),  # and half of it halves
        (10, 0, 109, 10),  # 10.9 a pod: within the tolerance of 10%
        (10, 0, 110, 10),  # its end counts as within
        (10, 0, 111, 12),  # 1.11 x 10, rounded up
        (10, 0, 91, 10),
        (10, 0, 89, 9),
        (3, 0, 10, 1),  # 3.333 a pod: thousandths are cut off, or 1.0000000000000002 were two
        (2, 2, 80, 8),  # 4 x the target in two pods, the others count 0: 20 a pod of four
        (2, 2, 30, 4),  # 1.5 x the target in two; 7.5 a pod of four would turn the direction: unchanged
        (2, 2, 44, 4),  # 11 a pod of four: within the tolerance
        (2, 2, 4, 3),  # 0.2 x the target in two, the others count as at the target: 6 a pod of four
        (2, 2, 20, 4),  # exactly the target
        (5, 0, 0, 0),
    ],
)
def test_what_is_recommended(ready: int, starting: int, total: float, recommended: int) -> None:
    target = ready + starting
    made = plan(0.0, queue(total, target, ready), History(), described(), HpaQueue())
    assert made.needed == recommended


def test_concurrency_is_the_same_on_another_metric() -> None:
    model = replace(seen(1.0, 4), running=reading(200.0))
    made = plan(0.0, model, History(), described(), HpaConcurrency())
    assert (made.needed, made.wanted, made.reason.code) == (10, 8, Code.PACE_UP)
    assert "requests in the batch: 50.0 of a replica, the target is 20" in made.reason.words


def test_a_period_adds_four_or_as_many_again() -> None:
    # 1,000 requests wait: 100 are recommended from the first round on. 1 + 4, 5 x 2, 10 x 2, ...
    assert told([1000.0] * 7, 1) == [5, 10, 20, 40, 80, 100, 100]


def test_more_in_a_shorter_round_is_the_period_s_all_the_same() -> None:
    quick = fleet(1, 100, initial=2, rules=RULES, interval_s=5)
    made = [one.wanted for one, _ in rounds(quick, lambda _, t: queue(1000.0, t), 7, HpaQueue(), began=0.0)]
    # Six at once; the period of 15 s began with 2 until the round at 15 s, then with 6.
    assert made == [6, 6, 6, 12, 12, 12, 24]


def test_fewer_only_when_nothing_in_five_minutes_recommended_more_and_then_at_once() -> None:
    # 8 are right; then one round with 12; then nothing waits.
    waiting = [80.0] * 25 + [120.0] + [0.0] * 25
    series = told(waiting, 8)
    assert series[:25] == [8] * 25
    assert series[25] == 12
    # 300 s are 20 rounds: the recommendation of 12 counts in the 19 after it.
    assert series[26:45] == [12] * 19
    assert series[45:] == [1] * 6  # all may go at once, and an HPA keeps one


def test_an_autoscaler_that_begins_keeps_what_it_finds_for_a_window() -> None:
    series = told([0.0] * 22, 8)
    assert series == [8] * 20 + [1] * 2


def test_a_scale_up_window_takes_its_lowest_recommendation() -> None:
    series = told([80.0] * 30 + [160.0] * 6, 8, scale_up_window_s=60)
    # What was recommended 60 s ago is out of it, as everywhere in the HPA: the three rounds since count.
    assert series[30:] == [8, 8, 8, 16, 16, 16]


def test_a_window_and_a_limit_say_so() -> None:
    history, now = settled(8)
    made = plan(now, queue(0.0, 8), history, described(), HpaQueue())
    assert (made.needed, made.wanted, made.reason.code) == (0, 8, Code.WINDOW)
    assert "8 were recommended within 300 s; now 0" in made.reason.words
    slow = described(scale_down_window_s=0, scale_down_percent=25)
    made = plan(now, queue(0.0, 8), history, slow, HpaQueue())
    assert (made.wanted, made.reason.code) == (6, Code.PACE_DOWN)


def test_a_metric_that_is_missing_holds_and_is_no_recommendation() -> None:
    history, now = settled(8)
    made = plan(now, without(queue(0.0, 8), "waiting", cause=Cause.STALE), history, described(), HpaQueue())
    assert (made.needed, made.wanted, made.blind) == (None, 8, Cause.STALE)
    nobody = plan(now, queue(500.0, 8, running=0), history, described(), HpaQueue())
    assert (nobody.needed, nobody.wanted, nobody.blind) == (None, 8, Cause.MISSING)
    assert "of a replica that runs" in nobody.reason.words


def test_what_is_about_to_go_takes_its_share_of_the_metric_along() -> None:
    leaving = replace(queue(80.0, 4), replicas=Replicas(4, 8))
    assert plan(0.0, leaving, History(), described(), HpaQueue()).needed == 4


def test_from_zero_an_hpa_never_comes_back() -> None:
    made = plan(0.0, queue(50.0, 0), History(), described(0), HpaQueue())
    assert (made.needed, made.wanted, made.reason.code) == (0, 0, Code.IDLE)


def test_bounds_are_the_description_s() -> None:
    made = plan(0.0, queue(1000.0, 4), History(), described(1, 6), HpaQueue())
    assert (made.wanted, made.reason.code) == (6, Code.AT_MOST)
    assert plan(0.0, queue(0.0, 4), History(), described(3, 6), HpaQueue()).wanted == 4
    assert [m.wanted for m, _ in rounds(described(3, 6, 4), lambda _, t: queue(0.0, t), 25, HpaQueue())][-1] == 3


def test_the_reason_tells_the_metric_a_replica() -> None:
    made = plan(0.0, queue(30.0, 2), History(), described(), HpaQueue())
    assert made.reason.words == "waiting requests: 15.0 of a replica, the target is 10"
    assert made.arriving == 100.0
    assert described().autoscaling.rules.hpa.scale_up_period_s == INTERVAL_S
