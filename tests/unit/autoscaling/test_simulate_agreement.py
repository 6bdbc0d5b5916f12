"""The fluid world beside the exact one, on the very same requests: mixes, use, bursts, overload, replicas that change.

Printed are both; the bounds are what one may rely on. Where arrivals come in bursts, or a prompt takes several steps to
read, the fluid is off by more: it knows means and how lengths scatter, not which request follows which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest

from autoscaling.capacity.roofline import Roofline
from autoscaling.simulate.exact import ExactPool
from autoscaling.simulate.fluid import FluidPool
from autoscaling.simulate.pool import Batch, Pool
from autoscaling.simulate.traces import Arrival, Trace, Window
from serve.fleet import loader
from serve.fleet.gpus import gpu
from serve.fleet.memory import Layout
from serve.fleet.slo import Slo

pytestmark = pytest.mark.unit

ARCH = loader.laptop().model("llama-3.3-70b-instruct").card.architecture
assert ARCH is not None
ROOF = Roofline(ARCH, Layout(tensor_parallel=2, weight_bytes=2, fp8=True), gpu("H100-SXM-80GB"))
KV = 170_000
SLO = Slo()
TICK_S = 5.0


@dataclass(frozen=True)
class Case:
    """`load`: seconds, and requests a second for each of the first replicas. `changes`: when, and what."""

    name: str
    prompt: float
    output: float
    load: tuple[tuple[float, float], ...]
    cv: float = 1.0
    changes: tuple[tuple[float, str], ...] = ()
    met: float = 0.02  # by how much the share of requests within the objectives may differ
    within: float = 0.15  # by what share of the larger one anything else may

    def arrivals(self, replicas: int) -> list[Arrival]:
        windows, at = [], 0.0
        for seconds, rate in self.load:
            windows.append(Window(at, seconds, rate * replicas, self.cv, self.prompt, self.output))
            at += seconds
        return list(Trace(self.name, tuple(windows)).drawn(Random(3)))


@dataclass(frozen=True)
class Found:
    """Means over time of what a world shows, and its sums at the end."""

    met: float
    ttft: float
    itl: float
    gaps: float
    kv: float
    running: float
    waiting: float
    finished: float
    ttft_p50: float
    ttft_p99: float
    itl_p50: float
    itl_p99: float

    def __str__(self) -> str:
        return " ".join(f"{name} {value:.3g}" for name, value in vars(self).items())


REPLICAS = 2


def run(make: Callable[[Slo, Roofline, int], Pool], case: Case) -> Found:
    pool = make(SLO, ROOF, KV)
    for _ in range(REPLICAS):
        pool.add()
    arrivals, changes = case.arrivals(REPLICAS), sorted(case.changes)
    ticks = round(sum(seconds for seconds, _ in case.load) / TICK_S)
    cursor, kv, running, waiting = 0, 0.0, 0.0, 0.0
    for index in range(1, ticks + 1):
        begin, now = cursor, index * TICK_S
        while cursor < len(arrivals) and arrivals[cursor].at_s < now:
            cursor += 1
        pool.advance(now, batch_of(arrivals[begin:cursor], case))
        kv, running, waiting = kv + pool.tally.kv_use, running + pool.tally.running, waiting + pool.tally.waiting
        while changes and changes[0][0] <= now:
            getattr(pool, changes.pop(0)[1])()
    tally = pool.tally
    return Found(
        met=tally.met / tally.finished,
        ttft=tally.ttft_within / tally.answered,
        itl=tally.itl_within / tally.finished,
        gaps=tally.gaps_within / tally.token_gaps,
        kv=kv / ticks,
        running=running / ticks,
        waiting=waiting / ticks,
        finished=tally.finished,
        ttft_p50=pool.ttft_quantile(0.5),
        ttft_p99=pool.ttft_quantile(0.99),
        itl_p50=pool.itl_quantile(0.5),
        itl_p99=pool.itl_quantile(0.99),
    )


def batch_of(arrivals: list[Arrival], case: Case) -> Batch:
    count = len(arrivals)
    if not count:
        return Batch(0, 1, 1)
    prompt, output = sum(one.prompt for one in arrivals) / count, sum(one.output for one in arrivals) / count
    return Batch(count, prompt, output, case.cv, tuple(arrivals))


def both(case: Case) -> tuple[Found, Found]:
    exact, fluid = run(ExactPool, case), run(FluidPool, case)
    print(f"\n{case.name}\n  exact {exact}\n  fluid {fluid}")
    return exact, fluid


def apart(exact: Found, fluid: Found, name: str) -> float:
    """Their difference over the larger one."""
    one, other = getattr(exact, name), getattr(fluid, name)
    return float(abs(one - other) / max(one, other))


BELOW = [
    Case("chat, low use", 365, 285, ((180, 5),)),
    Case("chat, high use", 365, 285, ((180, 13),)),
    Case("chat, bursts", 365, 285, ((180, 11),), cv=3.0, within=0.2),
    Case("long prompts, low use", 2000, 150, ((240, 1.5),)),
    Case("long prompts, high use", 2000, 150, ((240, 3.6),), within=0.2),
    Case("long prompts, bursts", 2000, 150, ((240, 2.5),), cv=3.0, met=0.08, within=0.3),
    Case("long answers, low use", 150, 800, ((240, 2),)),
    Case("long answers, high use", 150, 800, ((240, 5),)),
    Case("documents", 6000, 300, ((300, 0.5),), met=0.06, within=0.2),
    Case("a replica is drained", 365, 285, ((180, 6),), changes=((60, "remove"),)),
    Case("a replica dies, another comes", 365, 285, ((180, 6),), changes=((60, "lose"), (100, "add"))),
]


@pytest.mark.parametrize("case", BELOW, ids=lambda case: case.name)
def test_below_saturation(case: Case) -> None:
    exact, fluid = both(case)
    assert fluid.met == pytest.approx(exact.met, abs=case.met)
    assert fluid.gaps == pytest.approx(exact.gaps, abs=0.04)
    assert fluid.finished == pytest.approx(exact.finished, rel=0.02)
    for name in ("kv", "running", "itl_p50"):
        assert apart(exact, fluid, name) < case.within, name
    # What bursts within a tick do to first tokens, the fluid knows as a mean only.
    assert apart(exact, fluid, "ttft_p50") < (0.3 if case.cv == 1 else 0.6)
    assert apart(exact, fluid, "ttft_p99") < 0.4
    assert exact.waiting < 2 * REPLICAS, "no queue stands"
    assert fluid.waiting < 2 * REPLICAS


ABOVE = [
    Case("a step over capacity", 365, 285, ((60, 10), (60, 23), (120, 8))),
    Case("a step over capacity, bursts", 365, 285, ((60, 10), (60, 23), (120, 8)), cv=3.0),
    Case("long answers over capacity", 150, 800, ((120, 5), (120, 9))),
    Case("a replica is added in mid-overload", 365, 285, ((60, 10), (120, 20)), changes=((110, "add"),)),
    Case("long prompts over capacity", 2000, 150, ((60, 3), (120, 6), (60, 2))),
]


@pytest.mark.parametrize("case", ABOVE, ids=lambda case: case.name)
def test_over_capacity(case: Case) -> None:
    exact, fluid = both(case)
    assert exact.waiting > 10 * REPLICAS, "a queue stands"
    assert fluid.met == pytest.approx(exact.met, abs=0.15)
    assert fluid.gaps == pytest.approx(exact.gaps, abs=0.12)
    assert fluid.finished == pytest.approx(exact.finished, rel=0.03)
    for name in ("kv", "running", "itl_p50"):
        assert apart(exact, fluid, name) < 0.15, name
    assert apart(exact, fluid, "waiting") < 0.4
    assert apart(exact, fluid, "ttft_p99") < 0.5
