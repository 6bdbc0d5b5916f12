"""The policy that knows what comes: as many as the heaviest moment needs until a start could serve, and no longer."""

from __future__ import annotations

import pytest

from autoscaling.bounds import Bounded
from autoscaling.capacity.sustained import Mix, sustained
from autoscaling.history import History
from autoscaling.plan import Code, ModelPlan
from autoscaling.simulate.clairvoyant import Clairvoyant
from autoscaling.simulate.traces import Trace, Window
from autoscaling.snapshot import Replicas, Seen, Snapshot
from serve.fleet import Fleet
from serve.fleet.loader import resolve

pytestmark = pytest.mark.unit

MODEL = "llama-3.3-70b-instruct"
PROMPT, OUTPUT = 400.0, 200.0


def fleet(**settings: object) -> Fleet:
    engine = {
        "gpu": "H100-SXM-80GB",
        "tensor_parallel": 2,
        "quantization": "fp8",
        "replicas": {"initial": 1, "min": 0, "max": 50},
    }
    return resolve(
        {"models": [{"use": MODEL, "engine": engine}], "autoscaling": {"interval_s": 15, **settings}}, "test"
    )


def one_replica() -> float:
    """What one replica sustains, in requests a second."""
    limit = sustained(fleet().models[0], Mix(PROMPT, OUTPUT), fleet().slo)
    assert limit is not None
    return limit.requests_per_s


def trace(*filled: float, seconds: float = 600.0) -> Trace:
    """Windows that fill so many replicas, one after the other."""
    rate = one_replica()
    windows = (Window(i * seconds, seconds, n * rate, 1.0, PROMPT, OUTPUT) for i, n in enumerate(filled))
    return Trace("made", tuple(windows))


def planned(policy: Clairvoyant, now: float) -> ModelPlan:
    seen = Seen(replicas=Replicas(1, 1), replicas_cause=None)
    return Bounded(policy).plan(now, Snapshot(now, {MODEL: seen}), History(), fleet()).models[MODEL]


def wanted(now: float, *filled: float, cold_start_s: float = 180.0, use: float = 1.0, delivery_s: float = 0.0) -> int:
    made = planned(Clairvoyant({MODEL: trace(*filled)}, fleet(), cold_start_s, use, delivery_s), now)
    assert made.wanted is not None
    return made.wanted


@pytest.mark.parametrize(
    ("now", "replicas"),
    [
        (0.0, 2),
        (404.9, 2),  # a start of 180 s that the round after calls for serves in time
        (405.0, 8),
        (600.0, 8),
        (1004.9, 8),
        (1199.9, 8),  # until the last moment
        (1200.0, 3),  # and gone at once
        (1799.9, 3),
        (1800.0, 0),
        (9999.0, 0),
    ],
)
def test_the_heaviest_moment_until_a_start_could_serve(now: float, replicas: int) -> None:
    assert wanted(now, 2.0, 8.0, 3.0) == replicas


def test_a_dip_that_is_shorter_than_a_start_keeps_what_runs() -> None:
    assert wanted(0.0, 8.0, 1.0, 8.0, cold_start_s=1200.0) == 8
    assert wanted(600.0, 8.0, 1.0, 8.0, cold_start_s=1200.0) == 8
    assert wanted(600.0, 8.0, 1.0, 8.0, cold_start_s=100.0) == 1


def test_a_use_below_the_limit_needs_more_and_a_slow_delivery_earlier() -> None:
    assert wanted(0.0, 6.0, use=0.75) == 8
    assert wanted(0.0, 6.1, use=0.75) == 9
    assert wanted(390.0, 2.0, 8.0) == 2
    assert wanted(390.0, 2.0, 8.0, delivery_s=15.0) == 8


def test_the_mix_of_lengths_counts() -> None:
    rate = one_replica()
    longer = Trace("made", (Window(0.0, 600.0, rate, 1.0, PROMPT, 2 * OUTPUT),))
    told = planned(Clairvoyant({MODEL: longer}, fleet(), 180.0, 1.0), 0.0)
    assert told.needed == 2


def test_reasons_and_no_pace() -> None:
    made = planned(Clairvoyant({MODEL: trace(7.5)}, fleet(), 180.0, 1.0), 0.0)
    assert (made.needed, made.wanted, made.reason.code) == (8, 8, Code.WORK)
    assert made.reason.words == "7.5 replicas' worth of work is the most that comes within 195 s"
    none = planned(Clairvoyant({}, fleet(), 180.0, 1.0), 0.0)
    assert (none.wanted, none.reason.code) == (0, Code.IDLE)


def test_what_it_cannot_know_is_refused() -> None:
    with pytest.raises(ValueError, match="no model with an engine: nobody"):
        Clairvoyant({"nobody": trace(1.0)}, fleet(), 180.0, 1.0)
    with pytest.raises(ValueError, match="utilisation 0: above 0 and at most 1"):
        Clairvoyant({MODEL: trace(1.0)}, fleet(), 180.0, 0.0)
    engine = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 67_108_864}
    cpu = resolve({"models": [{"use": MODEL, "engine": engine}]}, "test")
    with pytest.raises(ValueError, match=f"{MODEL}: no roofline"):
        Clairvoyant({MODEL: trace(1.0)}, cpu, 180.0, 1.0)
