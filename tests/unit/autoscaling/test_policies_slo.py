"""What `slo` needs, and why it says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from autoscaling_cases import INTERVAL_S, MODEL, fleet, reading, rounds, seen, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaling.forecast import Forecast
from autoscaling.history import History
from autoscaling.plan import Code, ModelPlan
from autoscaling.policies import Slo
from autoscaling.policies.slo import cheapest
from autoscaling.snapshot import Cause, Seen

pytestmark = pytest.mark.unit

CALM = Forecast(at=0.0, load=4.0, mean=4.0, sigma=0.05)
WILD = replace(CALM, sigma=0.5)


def raw(model: Seen, history: History | None = None, now: float = 0.0, **settings: object) -> ModelPlan:
    described = fleet(0, 1000, **settings)  # type: ignore[arg-type]
    return Slo().plan(now, snapshot(now, model), history or History(), described).models[MODEL]


def price(forecast: Forecast, factor: float, multiple: float, replicas: int) -> float:
    """By the definition: replicas, and what late requests cost by the lowest chord over the probability."""
    points = [(0.0, 1.0), *((load / factor, above) for load, above in forecast.exceeded())]
    left = [point for point in points if point[0] <= replicas]
    right = [point for point in points if point[0] >= replicas] or [(float(replicas), points[-1][1])]
    chords = (
        y0 + (y1 - y0) * (replicas - x0) / (x1 - x0) if x1 > x0 else min(y0, y1) for x0, y0 in left for x1, y1 in right
    )
    return replicas + multiple * forecast.level / factor * min(chords)


@settings(max_examples=30)
@given(
    sigma=st.floats(0.02, 1.0),
    load=st.floats(-2, 4),
    factor=st.floats(0.2, 3),
    multiple=st.floats(1, 1000),
)
def test_no_other_number_is_cheaper(sigma: float, load: float, factor: float, multiple: float) -> None:
    forecast = Forecast(at=0.0, load=load, mean=load, sigma=sigma)
    chosen = cheapest(forecast, factor, multiple).replicas
    least = price(forecast, factor, multiple, chosen)
    for other in {0, chosen - 1, chosen + 1, chosen // 2, chosen * 2, chosen + 5}:
        if other >= 0:
            assert least <= price(forecast, factor, multiple, other) + 1e-6


def test_dearer_lateness_wilder_loads_and_weaker_replicas_ask_for_more() -> None:
    base = cheapest(CALM, 1.0, 25).replicas
    assert cheapest(CALM, 1.0, 2500).replicas > base
    assert cheapest(WILD, 1.0, 25).replicas > base
    assert cheapest(CALM, 0.5, 25).replicas == pytest.approx(2 * base, abs=1)


@settings(max_examples=30)
@given(st.floats(0, 50), st.floats(0, 50))
def test_more_load_never_needs_less(one: float, other: float) -> None:
    less, more = (raw(seen(load)).needed for load in sorted((one, other)))
    assert less is not None
    assert more is not None
    assert less <= more


def test_a_calm_load_is_given_some_room_and_the_reason_is_told() -> None:
    described = fleet(1, 100)
    *_, (told, history) = rounds(described, lambda _, target: seen(10.0, target), 1200, Slo())
    assert told.needed is not None
    assert 10 < told.needed <= 15
    assert told.reason.code is Code.RISK
    assert "a late request costs" in told.reason.words
    assert history.models[MODEL].risk is not None


def test_a_first_replica_that_starts_is_not_taken_back_for_want_of_requests() -> None:
    starting = raw(seen(0.0, running=0, starting=1))
    assert starting.needed == 1
    assert "has not started yet" in starting.reason.words
    assert raw(seen(0.0, running=1, starting=1)).needed == 0
    assert raw(seen(0.0, target=0)).needed == 0


def test_idle_is_nothing_and_something_open_is_one() -> None:
    assert raw(seen(0.0)).needed == 0
    assert raw(seen(0.0)).reason.code is Code.IDLE
    assert raw(replace(seen(0.0), in_flight=reading(1.0))).needed == 1


def test_what_waits_and_full_caches_are_added() -> None:
    waiting = raw(replace(seen(5.0, target=5), waiting=reading(100_000.0)))
    assert waiting.reason.code is Code.BACKLOG
    assert waiting.needed is not None
    assert waiting.needed > 100
    full = raw(seen(0.5, target=40, kv_use=1.0))
    assert full.reason.code is Code.KV_CACHE
    assert full.needed == 43


def test_blind_for_arrivals_or_queue() -> None:
    for model in (seen(None), replace(seen(1.0), waiting=reading(None, Cause.STALE))):
        told = raw(model)
        assert told.needed is None
        assert told.blind is not None
        assert told.reason.code is Code.BLIND


def test_a_fixed_price_is_not_learnt() -> None:
    priced = {"late_request_usd": 0.01}
    described = fleet(1, 100, work=priced)
    *_, (_, history) = rounds(described, lambda _, target: seen(10.0, target, met=0.5), 200, Slo())
    assert "20,000" in raw(seen(1.0), work=priced).reason.words  # a replica on CPUs costs nothing here
    assert history.models[MODEL].risk is not None


def test_misses_make_it_careful_and_quiet_days_less_so() -> None:
    described = fleet(1, 100)
    late = list(rounds(described, lambda _, target: seen(10.0, target, met=0.9, waiting=2.0), 350, Slo()))
    fine = list(rounds(described, lambda _, target: seen(10.0, target), 350, Slo()))
    assert late[-1][1].models[MODEL].risk.multiple > 1.2 * fine[-1][1].models[MODEL].risk.multiple  # type: ignore[union-attr]
    assert late[-1][0].needed >= fine[-1][0].needed  # type: ignore[operator]


def test_hardly_fewer_are_not_worth_the_way_back() -> None:
    described = fleet(1, 1000)
    *_, (_, history) = rounds(described, lambda _, target: seen(40.0, target), 60, Slo())
    now = 60 * INTERVAL_S
    free = Slo().plan(now, snapshot(now, seen(40.0, target=1)), history, described).models[MODEL].needed
    assert free is not None
    kept = Slo().plan(now, snapshot(now, seen(40.0, target=free + 1)), history, described).models[MODEL]
    assert kept.needed == free + 1
    assert "hardly fewer" in kept.reason.words
    far = Slo().plan(now, snapshot(now, seen(40.0, target=2 * free)), history, described).models[MODEL]
    assert far.needed == free


def test_a_standing_queue_shows_what_replicas_can_do_at_once() -> None:
    """Ten replicas were reckoned to do 100 tokens a second each, and do 40."""
    described = fleet(1, 100, initial=10)
    queued = replace(seen(4.0, target=10, met=0.2), waiting=reading(30.0))
    told = [made for made, _ in rounds(described, lambda _, target: queued, 12, Slo())]
    assert told[0].needed is not None
    assert told[0].needed == 10  # as reckoned, four would do; nothing is taken away while requests are late for a queue
    assert told[-1].needed is not None
    assert told[-1].needed > 10
    patient = replace(seen(4.0, target=10, met=1.0), waiting=reading(30.0))
    *_, (last, _) = rounds(described, lambda _, target: patient, 12, Slo())
    assert last.needed is not None
    assert last.needed < 10


def test_what_ended_a_queue_is_not_taken_away_for_it() -> None:
    """Without the queue nothing shows the limit any more, and fewer replicas would be in a queue again."""
    described = fleet(1, 100, initial=2)

    def at(number: int, target: int) -> Seen:
        if target < 4:  # two do 80 tokens a second of the 100 that come
            return replace(seen(0.8, target=target, met=0.2), waiting=reading(30.0), refused=reading(0.2))
        return seen(1.0, target=target)

    told = [made.wanted for made, _ in rounds(described, at, 160, Slo())]
    first = next(index for index, wanted in enumerate(told) if wanted is not None and wanted >= 4)
    assert min(wanted for wanted in told[first:] if wanted is not None) >= 3
