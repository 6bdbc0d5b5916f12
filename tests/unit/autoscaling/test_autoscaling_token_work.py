"""What `token-work` needs, and why it says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from autoscaling_cases import INTERVAL_S, MODEL, fleet, plan, rounds, seen, settled, snapshot, without
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaling.history import History
from autoscaling.plan import Code, ModelPlan
from autoscaling.policies import Static, TokenWork
from autoscaling.snapshot import Cause, Seen

pytestmark = pytest.mark.unit


def raw(model: Seen, history: History | None = None, now: float = 0.0, **settings: object) -> ModelPlan:
    described = fleet(0, 100, **settings)  # type: ignore[arg-type]
    return TokenWork().plan(now, snapshot(now, model), history or History(), described).models[MODEL]


@pytest.mark.parametrize(
    ("requests", "needed"), [(0.01, 1), (1.0, 1), (1.01, 2), (3.0, 3), (3.0000000001, 3), (7.5, 8)]
)
def test_expected_work_over_what_a_replica_does(requests: float, needed: int) -> None:
    told = raw(seen(requests))
    assert told.needed == needed
    assert told.reason.code is Code.WORK
    assert told.arriving == pytest.approx(100 * requests)
    assert told.capacity == 100


def test_headroom_and_utilisation() -> None:
    told = raw(seen(2.0), work={"headroom": 1.5, "target_utilisation": 0.5})
    assert told.expected == 300.0
    assert told.needed == 6


def test_prompt_tokens_weigh_less() -> None:
    described = replace(seen(1.0), prompt_tokens=seen(1000.0).finished)
    assert raw(described, work={"prompt_token_weight": 0.4}).arriving == pytest.approx(0.4 * 1000 + 100)


def test_what_waits_is_to_be_done_in_time() -> None:
    told = raw(seen(1.0, waiting=20))  # 2,000 tokens in 10 s, beside 100 tokens a second
    assert told.needed == 3
    assert told.reason.code is Code.BACKLOG
    assert "20 requests wait" in told.reason.words


def test_a_full_kv_cache_needs_replicas_whatever_the_work() -> None:
    told = raw(seen(0.1, target=4, kv_use=1.0))
    assert told.needed == 5  # four full ones are five at 80%
    assert told.reason.code is Code.KV_CACHE
    assert raw(seen(0.1, target=4, kv_use=0.8)).needed == 1
    assert raw(seen(0.1, target=4, kv_use=None)).needed == 1  # nobody is blind for lack of it


def test_the_peak_of_the_start_up_time_counts() -> None:
    described = fleet(0, 100)
    past = [history for _, history in rounds(described, lambda n, t: seen(5.0 if n == 0 else 1.0, t), 10)]
    assert raw(seen(1.0), past[3], 4 * INTERVAL_S).needed == 5  # a replica takes 60 s, and a round 15
    assert raw(seen(1.0), past[4], 5 * INTERVAL_S).needed == 5
    assert raw(seen(1.0), past[5], 6 * INTERVAL_S).needed == 1


def test_a_first_replica_that_starts_is_not_taken_back_for_want_of_requests() -> None:
    starting = raw(seen(0.0, running=0, starting=1))
    assert starting.needed == 1
    assert "has not started yet" in starting.reason.words
    assert raw(seen(0.0, running=1, starting=1)).needed == 0
    assert raw(seen(0.0, target=0)).needed == 0


def test_nothing_is_needed_where_nothing_comes_and_nothing_is_open() -> None:
    assert raw(seen(0.0)).needed == 0
    assert raw(seen(0.0)).reason.code is Code.IDLE
    assert raw(replace(seen(0.0), in_flight=seen(1.0).finished)).needed == 1  # a long answer goes on


def test_refused_requests_wake_a_model_without_replicas() -> None:
    told = raw(seen(0.0, target=0, refused=0.2))
    assert told.needed == 1
    assert told.reason.code is Code.REFUSED


def test_a_request_has_an_assumed_length_until_one_was_answered_and_then_the_last_known() -> None:
    unknown = without(seen(1.0), "answered")
    assert raw(unknown, work={"request_tokens": 250}).arriving == 250.0
    known, now = settled(1)
    assert raw(unknown, known, now).arriving == 100.0


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("name", ["finished", "growth", "refused", "waiting"])
def test_blind_without_arrivals_or_queue(name: str, cause: Cause) -> None:
    told = raw(without(seen(5.0), name, cause=cause))
    assert told.blind is cause
    assert told.needed is None
    assert told.reason.code is Code.BLIND


MORE = st.floats(0, 100)


@settings(max_examples=40)
@given(
    requests=st.tuples(MORE, MORE),
    waiting=st.tuples(MORE, MORE),
    kv_use=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    past=st.lists(MORE, max_size=5),
    target=st.integers(1, 10),
)
def test_more_load_never_needs_less(
    requests: tuple[float, float],
    waiting: tuple[float, float],
    kv_use: tuple[float, float],
    past: list[float],
    target: int,
) -> None:
    history = [History(), *(known for _, known in rounds(fleet(1, 100), lambda n, t: seen(past[n], t), len(past)))][-1]
    now = len(past) * INTERVAL_S
    lighter = raw(seen(min(requests), target, waiting=min(waiting), kv_use=min(kv_use)), history, now)
    heavier = raw(seen(max(requests), target, waiting=max(waiting), kv_use=max(kv_use)), history, now)
    assert lighter.needed is not None
    assert heavier.needed is not None
    assert lighter.needed <= heavier.needed
    described = fleet(1, 100, initial=target)
    down = plan(now, seen(min(requests), target, waiting=min(waiting), kv_use=min(kv_use)), history, described)
    up = plan(now, seen(max(requests), target, waiting=max(waiting), kv_use=max(kv_use)), history, described)
    assert down.wanted is not None
    assert up.wanted is not None
    assert down.wanted <= up.wanted


def test_static_is_what_was_described_and_never_blind_for_metrics() -> None:
    described = fleet(1, 5, initial=3)
    told = plan(0.0, without(seen(99.0, 3), "finished", "waiting"), History(), described, Static())
    assert (told.needed, told.wanted, told.blind) == (3, 3, None)
    assert told.reason.code is Code.STATIC
