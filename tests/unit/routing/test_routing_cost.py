"""Expected cost, and exact cost in nano-USD."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from routing_fleets import entry
from routing_fleets import fleet as fleet_of

from serve.fleet.card import Kind, Price
from serve.fleet.description import Fleet, Model
from serve.fleet.loader import resolve
from serve.fleet.routing import Routing
from serve.routing import Endpoint, Hints, Request, decide
from serve.routing.cost import (
    CACHED_SHARE,
    REASONING_FACTOR,
    exact_cost_nano_usd,
    expected_cost_usd,
    expected_output,
    rates,
    usd_per_replica_hour,
)
from serve.routing.table import table_of

pytestmark = pytest.mark.unit

PRICE = Price(input_usd_per_mtok=0.59, output_usd_per_mtok=0.75, cached_input_usd_per_mtok=0.1)


def test_exact_cost_by_hand() -> None:
    # 1,000 prompt tokens of which 400 cached, 200 completion: 600 x 590 + 400 x 100 + 200 x 750 nano-USD.
    assert exact_cost_nano_usd(PRICE, 1000, 400, 200) == 354_000 + 40_000 + 150_000


def test_without_a_cached_price_cached_tokens_cost_the_input_price() -> None:
    plain = Price(input_usd_per_mtok=0.59, output_usd_per_mtok=0.75)
    assert exact_cost_nano_usd(plain, 1000, 400, 0) == 590_000


def test_usage_that_cannot_be_is_bounded() -> None:
    assert exact_cost_nano_usd(PRICE, -5, -1, -7) == 0
    assert exact_cost_nano_usd(PRICE, 10, 99, 0) == 10 * 100


def test_a_used_token_is_never_free() -> None:
    assert exact_cost_nano_usd(Price(input_usd_per_mtok=1e-6, output_usd_per_mtok=0), 1, 0, 0) == 1
    assert exact_cost_nano_usd(Price(input_usd_per_mtok=0, output_usd_per_mtok=0), 10**9, 0, 10**9) == 0


@given(
    st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**7), st.integers(0, 10**7)
)
def test_exact_cost_equals_the_fraction_rounded_up(
    prompt: int, cached: int, completion: int, micro_in: int, micro_out: int
) -> None:
    price = Price(input_usd_per_mtok=micro_in / 1e6, output_usd_per_mtok=micro_out / 1e6)
    exact = Fraction(prompt * micro_in + completion * micro_out, 10**6 * 10**6) * 10**9
    assert exact_cost_nano_usd(price, prompt, cached, completion) == ceil(exact)


def test_expected_cost() -> None:
    assert expected_cost_usd(PRICE, 1_000_000, 2_000_000) == pytest.approx(0.59 + 1.5)


def test_expected_output() -> None:
    assert expected_output(256, 1.5, Kind.CHAT, None, None) == 384
    assert expected_output(256, 1.5, Kind.CHAT, None, 100) == 100
    assert expected_output(256, 1.5, Kind.CHAT, 90.4, None) == 90, "a running mean has the languages in it"
    assert expected_output(256, 1.0, Kind.REASONING, None, None) == 256 * REASONING_FACTOR
    assert expected_output(256, 1.0, Kind.REASONING, 50.0, None) == 50
    assert expected_output(256, 1.0, Kind.CHAT, None, 10, choices=3) == 30
    assert expected_output(256, 1.0, Kind.CHAT, None, -4) == 1


def model(price: dict[str, float], **where: object) -> Model:
    entry = {"use": "llama-3.3-70b-instruct", "id": "m", "price": price, **where}
    return resolve({"models": [entry], "clusters": {"a": {}}}, "test").models[0]


OUTSIDE = {"upstream": {"base_url": "http://127.0.0.1:9"}}
INSIDE = {"engine": {"gpu": "H100-SXM-80GB", "tensor_parallel": 4}}


def test_a_cached_token_has_one_rate_for_expectation_and_settlement() -> None:
    stated = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0, "cached_input_usd_per_mtok": 0.1}
    plain = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    for made, rate in (
        (model(stated, **INSIDE), 0.1),
        (model(plain, **INSIDE), CACHED_SHARE),
        (model(plain, **OUTSIDE), 1.0),
    ):
        assert rates(made).cached_input_usd_per_mtok == pytest.approx(rate)
        assert exact_cost_nano_usd(rates(made), 1000, 1000, 0) == round(1000 * rate * 1000)
        fleet = Fleet.model_construct(models=(made,), reference="m", aliases={}, routing=Routing())
        assert table_of(fleet).entries[0].cached_usd == pytest.approx(rate / 1e6)


def test_gpu_hours_of_a_replica() -> None:
    plain = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    assert usd_per_replica_hour(model(plain, **INSIDE)) == pytest.approx(4 * 3.97)
    own = {"engine": {**INSIDE["engine"], "usd_per_gpu_hour": 1.5}}
    assert usd_per_replica_hour(model(plain, **own)) == pytest.approx(6.0)
    assert usd_per_replica_hour(model(plain, **OUTSIDE)) == 0
    cpu = {"engine": {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 67_108_864}}
    assert usd_per_replica_hour(model(plain, **cpu)) == 0


def conversation(here: float, there: float) -> Fleet:
    made = [
        entry("big", price=(5, 5)),
        entry("here", price=(here, 1), quality={"en": -5}),
        entry("there", price=(there, 1), quality={"en": -5}),
    ]
    made[1]["price"]["cached_input_usd_per_mtok"] = here / 10
    return fleet_of(*made, quality_floor=-100)


def test_a_conversation_stays_while_the_saving_is_smaller_than_the_lost_cache() -> None:
    text = "Please write a short text about how the fjords of western Norway were formed during the ice age. " * 40
    request = Request(text=text, characters=len(text), max_output_tokens=10, hints=Hints(language="en"))
    stay = replace(request, cached_characters={"here": len(text) * 9 // 10})
    dearer = conversation(1.0, 0.8)
    assert decide(request, dearer, {}, 0).model == "there"
    kept = decide(stay, dearer, {}, 0)
    assert kept.model == "here"
    cached = next(one for one in kept.candidates if one.model == "here")
    assert cached.cached_tokens == pytest.approx(0.9 * cached.input_tokens, rel=0.01)
    assert cached.cost_usd == pytest.approx(
        ((cached.input_tokens - cached.cached_tokens) * 1.0 + cached.cached_tokens * 0.1 + 10) / 1e6
    )
    assert decide(stay, conversation(1.0, 0.05), {}, 0).model == "there", "the saving exceeds the lost cache"


def test_a_conversation_moves_when_its_language_changes() -> None:
    made = [
        entry("big", price=(50, 50)),
        entry("here", languages=["en"], quality={"en": -5}),
        entry("there", languages=["de"], quality={"de": -5}, price=(2.0, 4.0)),
    ]
    fleet = fleet_of(*made)
    cached = {"here": 900}
    english = Request(text="x", characters=1000, cached_characters=cached, hints=Hints(language="en"))
    assert decide(english, fleet, {}, 0).model == "here"
    assert decide(replace(english, hints=Hints(language="de")), fleet, {}, 0).model == "there"


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 2000), st.integers(1, 8))
def test_expectation_and_settlement_agree_on_the_same_counts(prompt: int, cached: int, each: int, choices: int) -> None:
    made = model({"input_usd_per_mtok": 0.59, "output_usd_per_mtok": 0.75}, **INSIDE)
    fleet = Fleet.model_construct(models=(made,), reference="m", aliases={}, routing=Routing())
    one = table_of(fleet).entries[0]
    cached = min(cached, prompt)
    expected = (prompt - cached) * one.input_usd + cached * one.cached_usd + each * choices * one.output_usd
    exact = exact_cost_nano_usd(rates(made), prompt, cached, each * choices)
    assert exact == pytest.approx(expected * 1e9, abs=1.001), "rounded up, and nothing else"


def test_what_a_template_adds_to_every_prompt_is_counted_where_it_is_used() -> None:
    plain, dated = entry("big"), entry("dated")
    dated["card"]["template"]["fixed_tokens"] = 25
    chat = decide(Request(text="Hello there"), fleet_of(plain, dated), {}, 0)
    text = decide(Request(text="Hello there", endpoint=Endpoint.COMPLETIONS), fleet_of(plain, dated), {}, 0)
    for decision, extra in ((chat, 25), (text, 0)):
        big, other = decision.candidates
        assert other.input_tokens - big.input_tokens == extra
