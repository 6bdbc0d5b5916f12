"""A simulated replica: what it takes in it gives back, in the time that the roofline says, and within its KV cache."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaling.capacity.roofline import Roofline
from autoscaling.capacity.sustained import Mix, at_objectives
from autoscaling.simulate.engine import Engine, Request
from autoscaling.simulate.traces import Arrival
from serve.fleet import loader
from serve.fleet.gpus import gpu
from serve.fleet.memory import Layout
from serve.fleet.slo import Slo

pytestmark = pytest.mark.unit

ARCH = loader.laptop().model("suzume-llama-3-8b-multilingual").card.architecture
assert ARCH is not None
ROOF = Roofline(ARCH, Layout(batched_tokens=8192, sequences=256), gpu("H100-SXM-80GB"))
ARRIVALS = st.lists(
    st.builds(Arrival, at_s=st.floats(0, 5), prompt=st.integers(0, 3000), output=st.integers(1, 60)),
    min_size=1,
    max_size=30,
)


def served(engine: Engine, arrivals: list[Arrival]) -> list[Request]:
    ended: list[Request] = []
    for one in sorted(arrivals, key=lambda a: a.at_s):
        ended += engine.until(one.at_s)
        engine.submit(Request(one))
    return ended + engine.until(1e9)


def test_one_request_takes_a_prefill_and_a_step_a_token() -> None:
    (one,) = served(Engine(ROOF, 400_000, 0), [Arrival(1.0, 1000, 101)])
    assert one.ttft_s == pytest.approx(ROOF.step_s(0, 0, 1000, 1000))
    assert one.itl_s == pytest.approx(ROOF.step_s(1, 1051), rel=0.01)


def test_a_long_prompt_is_read_in_chunks_while_others_write() -> None:
    engine = Engine(ROOF, 400_000, 0)
    engine.submit(Request(Arrival(0, 10, 2000)))
    engine.until(0.5)
    alone = engine.now
    engine.submit(Request(Arrival(0.5, 20_000, 1)))
    ended = engine.until(alone + 1.2)
    assert [one.arrival.prompt for one in ended] == [20_000]
    assert ended[0].ttft_s > 2 * ROOF.step_s(0, 0, 8192, 20_000)
    assert engine.running == 1, "the other one went on meanwhile"


@settings(max_examples=25)
@given(ARRIVALS, st.integers(3100, 9000))
def test_whatever_comes_is_answered_once_and_in_order_of_time(arrivals: list[Arrival], kv: int) -> None:
    engine = Engine(ROOF, kv, 0)
    ended = served(engine, arrivals)
    assert sorted(id(one.arrival) for one in ended) == sorted(map(id, arrivals))
    assert engine.open == 0
    assert engine.kv_use == 0
    for one in ended:
        assert one.written == one.arrival.output
        assert one.arrival.at_s < one.first_s <= one.end_s
    assert engine.worked_output >= sum(one.output for one in arrivals)


def test_a_small_cache_preempts_and_loses_nothing() -> None:
    ended = served(Engine(ROOF, 4000, 0), [Arrival(0, 900, 400) for _ in range(4)])
    assert len(ended) == 4
    assert sum(one.preemptions for one in ended) > 0
    roomy = served(Engine(ROOF, 40_000, 0), [Arrival(0, 900, 400) for _ in range(4)])
    assert sum(one.preemptions for one in roomy) == 0
    assert max(one.end_s for one in roomy) < max(one.end_s for one in ended)


def test_a_replica_that_dies_gives_back_what_it_had() -> None:
    engine = Engine(ROOF, 8000, 0)
    for _ in range(9):
        engine.submit(Request(Arrival(0, 1500, 500)))
    engine.until(0.4)
    assert engine.waiting
    assert len(engine.abandon()) == 9
    assert engine.open == 0


def test_the_sustained_rate_is_the_one_that_the_simulation_sustains() -> None:
    """The closed form of `at_objectives` beside the step-by-step engine: below the rate the objectives are kept and no
    queue grows, a fifth above one does."""
    mix, kv = Mix(500, 50), 60_000
    limit = at_objectives(ROOF, mix, Slo(), kv).requests_per_s

    def backlog(rate: float) -> tuple[int, float]:
        engine = Engine(ROOF, kv, 0)
        count = int(rate * 40)
        ended = []
        for index in range(count):
            at = index / rate
            ended += engine.until(at)
            engine.submit(Request(Arrival(at, 500, 50)))
        late = ended[len(ended) // 2 :]
        return engine.open, sum(one.ttft_s <= Slo().ttft_s and one.itl_s <= Slo().itl_s for one in late) / len(late)

    below, met = backlog(0.9 * limit)
    above, _ = backlog(1.2 * limit)
    assert met > 0.99
    assert above > 3 * below
