"""A simulated replica: scheduled as the plain retelling says, in the time of the roofline, within its KV cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from engine_reference import replay
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaling.capacity.roofline import Roofline
from autoscaling.capacity.sustained import Mix, at_objectives
from autoscaling.simulate.blocks import BLOCK_TOKENS
from autoscaling.simulate.engine import Engine
from autoscaling.simulate.request import Progress, Request
from autoscaling.simulate.steps import Steps
from autoscaling.simulate.traces import Arrival
from serve.fleet import loader
from serve.fleet.gpus import gpu
from serve.fleet.memory import Layout
from serve.fleet.slo import Slo

pytestmark = pytest.mark.unit

ARCH = loader.laptop().model("suzume-llama-3-8b-multilingual").card.architecture
assert ARCH is not None
ROOF = Roofline(ARCH, Layout(batched_tokens=8192, sequences=256), gpu("H100-SXM-80GB"))
STEPS = Steps(ROOF)
SMALL = Roofline(ARCH, Layout(batched_tokens=256, sequences=8), gpu("H100-SXM-80GB"))
ARRIVALS = st.lists(
    st.builds(Arrival, at_s=st.floats(0, 2), prompt=st.integers(0, 900), output=st.integers(0, 120)),
    min_size=1,
    max_size=16,
).map(lambda found: sorted(found, key=lambda one: one.at_s))


def served(engine: Engine, arrivals: Sequence[Arrival]) -> list[Request]:
    """All of them in the order in which they came."""
    requests = [Request(one) for one in arrivals]
    for one in requests:
        engine.until(one.arrival.at_s)
        engine.submit(one, one.arrival.at_s)
    engine.until(1e9)
    return requests


@given(st.integers(0, 300), st.integers(0, 5000), st.integers(0, 4000), st.integers(1, 30_000))
def test_tabulated_step_times_are_the_rooflines(decoding: int, context: int, read: int, prompt: int) -> None:
    exactly = ROOF.step_s(decoding, context, read, prompt)
    assert STEPS.step_s(decoding, decoding * context, read, read * prompt) == pytest.approx(exactly, rel=1e-9)


def test_one_request_takes_a_prefill_and_a_step_a_token() -> None:
    (one,) = served(Engine(STEPS, 400_000, 0), [Arrival(1.0, 1000, 101)])
    assert one.ttft_s == pytest.approx(ROOF.step_s(0, 0, 1000, 1000))
    assert one.itl_s == pytest.approx(ROOF.step_s(1, 1050.5))


@settings(max_examples=25, deadline=None)
@given(ARRIVALS, st.integers(1040, 4000), st.sampled_from([ROOF, SMALL]))
def test_every_token_comes_when_the_plain_retelling_says(arrivals: list[Arrival], kv: int, roof: Roofline) -> None:
    """The same first and last tokens, and as many preemptions, for each of them: with long prompts in chunks, a full
    cache, a full batch."""
    engine = Engine(Steps(roof), kv, 0)
    ours, plain = served(engine, arrivals), replay(roof, kv, arrivals)
    for one, job in zip(ours, plain, strict=True):
        assert one.first_s == pytest.approx(job.at_s[0], rel=1e-9)
        assert one.end_s == pytest.approx(job.at_s[-1], rel=1e-9)
        assert one.preemptions == job.preemptions
        assert one.written == len(job.at_s)


@pytest.mark.parametrize("seed", range(4))
def test_a_full_cache_is_dealt_out_as_the_plain_retelling_says(seed: int) -> None:
    """Many preempted ones, whose blocks are found again in part."""
    random = Random(seed)
    arrivals = [Arrival(0.01 * n, random.randint(100, 400), random.randint(50, 500)) for n in range(24)]
    roof = replace(ROOF, layout=Layout(batched_tokens=512, sequences=64))
    progress = Progress()
    engine = Engine(Steps(roof), 3600, 0, progress)
    ours, plain = served(engine, arrivals), replay(roof, 3600, arrivals)
    assert progress.preemptions > 15
    for one, job in zip(ours, plain, strict=True):
        assert one.end_s == pytest.approx(job.at_s[-1], rel=1e-9)
        assert one.preemptions == job.preemptions
    prompts = sum(one.prompt for one in ours)
    again = sum(job.preemptions * job.arrival.prompt for job in plain)
    assert prompts < progress.read < prompts + again, "some was found again, some was not"


@settings(max_examples=25, deadline=None)
@given(ARRIVALS, st.integers(1040, 4000), st.floats(0.001, 0.05), st.floats(0, 1))
def test_tokens_and_gaps_are_counted_once(arrivals: list[Arrival], kv: int, pause_s: float, quantile: float) -> None:
    """However finely time is cut: whoever looks on the way sees a cache within its room, and changes nothing."""
    plain = replay(ROOF, kv, arrivals)
    gaps = sorted(later - earlier for job in plain for earlier, later in pairwise(job.at_s))
    # An objective that a step in the middle of many just keeps, or just misses.
    itl_s = gaps[int(quantile * (len(gaps) - 1))] + 1e-8 if gaps else 1.0
    progress = Progress(itl_s)
    engine, requests = Engine(STEPS, kv, 0, progress), [Request(one) for one in arrivals]
    coming, now, seen = list(requests), 0.0, 0
    while coming or engine.open:
        now += pause_s
        while coming and coming[0].arrival.at_s <= now:
            engine.until(coming[0].arrival.at_s)
            engine.submit(coming[0], coming.pop(0).arrival.at_s)
        open_before, quiet = engine.open, engine.quiet_s
        engine.until(now)
        assert engine.open == open_before or quiet < now, "no request ends while it says that none does"
        assert 0 <= engine.kv_use <= 1
        assert engine.running + engine.waiting == engine.open
        assert progress.wrote >= seen
        seen = progress.wrote
    for one, job in zip(requests, plain, strict=True):
        assert one.end_s == pytest.approx(job.at_s[-1], rel=1e-9)
    assert engine.kv_use == 0
    assert progress.wrote == sum(one.output for one in requests)
    assert progress.gaps == len(gaps)
    assert sum(gap <= itl_s - 1e-9 for gap in gaps) <= progress.gaps_within <= sum(gap <= itl_s + 1e-9 for gap in gaps)
    assert progress.read >= sum(one.prompt for one in requests)
    assert (progress.read > sum(one.prompt for one in requests)) <= (progress.preemptions > 0)
    assert sorted(map(id, progress.ended)) == sorted(map(id, requests))
    assert sorted(map(id, progress.answered)) == sorted(map(id, requests))


def test_it_never_idles_while_requests_are_open() -> None:
    """All at once: the end is the sum of all steps, whatever the order, and later for a cache that preempts."""
    jobs = [Arrival(0, 900, 400) for _ in range(4)]
    roomy, tight = served(Engine(STEPS, 40_000, 0), jobs), served(Engine(STEPS, 4000, 0), jobs)
    assert sum(one.preemptions for one in roomy) == 0
    assert sum(one.preemptions for one in tight) > 0
    assert max(one.end_s for one in roomy) < max(one.end_s for one in tight)
    steps = ROOF.step_s(0, 0, 3600, 900) + sum(ROOF.step_s(4, 900 + j) for j in range(1, 400))
    assert roomy[0].end_s == pytest.approx(steps)


def test_the_youngest_gives_way_and_the_oldest_is_never_held_up() -> None:
    jobs = [Arrival(0.001 * index, 900, 400) for index in range(4)]
    ended = served(Engine(STEPS, 4000, 0), jobs)
    assert [one.preemptions > 0 for one in ended] == [False, False, False, True]
    assert [one.end_s for one in ended] == sorted(one.end_s for one in ended)


def test_what_is_too_long_is_refused_or_cut() -> None:
    engine = Engine(STEPS, 1000, 0)
    assert engine.context_tokens == 1000 // BLOCK_TOKENS * BLOCK_TOKENS == 992
    with pytest.raises(ValueError, match="a prompt of 992 tokens"):
        engine.submit(Request(Arrival(0, 992, 1)), 0)
    (cut,) = served(engine, [Arrival(0, 900, 5000)])
    assert cut.written == 92


def test_a_replica_that_dies_gives_back_what_it_had() -> None:
    engine = Engine(STEPS, 8000, 0)
    jobs = [Request(Arrival(0, 1500, 500)) for _ in range(9)]
    for job in jobs:
        engine.submit(job, 0)
    engine.until(0.4)
    assert engine.waiting
    assert [id(one) for one in engine.abandon()] == [id(one) for one in jobs]
    assert (engine.open, engine.kv_use, engine.running) == (0, 0, 0)


def test_the_sustained_rate_is_the_one_that_the_simulation_sustains() -> None:
    """The closed form of `at_objectives` beside the step-by-step engine: below the rate the objectives are kept and no
    queue grows, a fifth above one does."""
    mix, kv = Mix(500, 50), 60_000
    limit = at_objectives(ROOF, mix, Slo(), kv).requests_per_s

    def backlog(rate: float) -> tuple[int, float]:
        engine = Engine(STEPS, kv, 0)
        for index in range(int(rate * 40)):
            engine.until(index / rate)
            engine.submit(Request(Arrival(index / rate, 500, 50)), index / rate)
        late = engine.progress.ended[len(engine.progress.ended) // 2 :]
        return engine.open, sum(one.ttft_s <= Slo().ttft_s and one.itl_s <= Slo().itl_s for one in late) / len(late)

    below, met = backlog(0.9 * limit)
    above, _ = backlog(1.2 * limit)
    assert met > 0.99
    assert above > 3 * below


def test_layouts_are_taken_from_the_roofline() -> None:
    """A batch never has more sequences than the layout allows, nor a step more tokens."""
    engine = Engine(Steps(replace(ROOF, layout=Layout(batched_tokens=64, sequences=2))), 400_000, 0)
    for _ in range(5):
        engine.submit(Request(Arrival(0, 100, 10)), 0)
    now = 0.0
    while engine.open:
        now += 0.001
        read = engine.progress.read
        engine.until(now)
        assert engine.progress.read - read <= 64
        assert engine.running <= 2
