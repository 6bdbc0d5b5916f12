"""What the hindsight benchmark tries can be described, and its choice is the cheapest that is good enough."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import pytest

from autoscaling.policies import POLICIES
from autoscaling.simulate.outcome import ModelOutcome, Outcome
from autoscaling.simulate.traces import Trace, Window, read
from serve.fleet import Fleet, load

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
TRACES = ROOT / "tests" / "data" / "traces"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The benchmark, as its script sees it."""
    monkeypatch.syspath_prepend(str(ROOT / "bench" / "autoscaling"))
    yield import_module("hindsight")
    for name in ("hindsight", "grids"):
        sys.modules.pop(name, None)


def fleet() -> Fleet:
    return load(ROOT / "bench" / "fleets" / "one-70b.yaml")


@pytest.mark.parametrize("full", [False, True], ids=["small", "full"])
def test_every_setting_could_be_described(bench: ModuleType, full: bool) -> None:
    described = fleet()
    trace = read(TRACES / "servegen-m-large-2d.csv")
    made = bench.grids(bench.scales_of(described, described.reference, trace), full)
    assert set(made) == {"token-work", "static", "keda", "hpa-queue", "hpa-concurrency", "ray-default", "clairvoyant"}
    assert set(made) <= {*POLICIES, "clairvoyant"}
    for points in made.values():
        assert len({str(sorted(point.items())) for point in points}) == len(points)
        for point in points:
            set_ = bench.tuned(described, point)
            for path, value in point.items():
                root = set_.models[0].engine if path.startswith("replicas.") else set_.autoscaling
                assert attrgetter(path)(root) == value


def test_scales_are_those_of_the_mean_request_and_of_the_peak(bench: ModuleType) -> None:
    described = fleet()
    rate = bench.scales_of(described, described.reference, _trace(1.0)).limit.requests_per_s
    scales = bench.scales_of(described, described.reference, _trace(rate, 3 * rate))
    assert scales.peak == pytest.approx(3.0)
    assert scales.limit.requests_per_s == pytest.approx(rate)
    weight = described.autoscaling.work.prompt_token_weight
    assert scales.work == pytest.approx(rate * (weight * 300 + 200))


def _trace(*rates: float) -> Trace:
    return Trace("made", tuple(Window(i * 60.0, 60.0, rate, 1.0, 300.0, 200.0) for i, rate in enumerate(rates)))


def _tried(bench: ModuleType, met: float, hours: float) -> object:
    model = ModelOutcome("m", 100.0, met, met, met, 1, 1, 1, 1, hours, hours, 0, 0, 0)
    return bench.Tried("keda", {}, Outcome("keda", 60.0, 1.0, {"m": model}))


def test_the_cheapest_that_is_good_enough_or_the_best_that_is_not(bench: ModuleType) -> None:
    dear, cheap, poor = (_tried(bench, *told) for told in ((1.0, 30.0), (0.991, 20.0), (0.97, 5.0)))
    assert bench.best([dear, cheap, poor], 0.99) is cheap
    assert bench.best([dear, cheap, poor], 0.999) is dear
    assert bench.best([poor, _tried(bench, 0.5, 1.0)], 0.99) is poor


def test_excerpts_are_what_their_readme_says() -> None:
    days = read(TRACES / "servegen-m-large-2d.csv")
    assert (days.seconds, len(days.windows)) == (2 * 86_400.0, 288)
    minutes = read(TRACES / "azure-conv-2023-10min.csv")
    assert (len(minutes.arrivals), len(minutes.windows)) == (2867, 10)
