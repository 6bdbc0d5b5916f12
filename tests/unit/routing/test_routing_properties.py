"""What must hold for every fleet, request and state."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from routing_fleets import entry, nordic

from serve.fleet.description import Fleet
from serve.fleet.loader import resolve
from serve.fleet.routing import Preset
from serve.routing import Ability, Decision, Endpoint, Hints, Mode, ModelState, Request, decide
from serve.routing.policy import REASONS
from serve.routing.render import decision_dict, decision_text

pytestmark = pytest.mark.unit

FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TAGS = ("de", "nb", "nn", "mt")
PRICES = st.tuples(*[st.floats(0, 20).map(lambda x: round(x, 3))] * 2)

models = st.builds(
    dict,
    languages=st.lists(st.sampled_from((*TAGS, "no")), unique=True),
    quality=st.dictionaries(st.sampled_from(TAGS), st.integers(-40, 10), max_size=3),
    price=PRICES,
    context=st.sampled_from((600, 4096, 131072)),
    kind=st.sampled_from(("chat", "chat", "chat", "reasoning", "base")),
    tools=st.booleans(),
    tokenizer=st.sampled_from(("llama3", "gemma2", "normistral")),
)
fleets = st.lists(models, min_size=1, max_size=5)
states = st.builds(
    ModelState,
    healthy=st.booleans() | st.just(True),
    has_capacity=st.just(True) | st.booleans(),
    in_flight=st.integers(0, 9),
    wait_s=st.floats(0, 100),
    token_ratios=st.dictionaries(st.sampled_from(["nb", "en", "th", "other"]), st.floats()),
    answer_tokens=st.dictionaries(st.tuples(st.sampled_from(["nb", "en", "th"]), st.just("")), st.floats()),
    penalties=st.dictionaries(st.sampled_from(["nb", "en", "th"]), st.floats(0, 50)),
)
lives = st.dictionaries(st.sampled_from(("big", "m0", "m1", "m2", "m3")), states)
requests = st.builds(
    Request,
    endpoint=st.sampled_from(Endpoint),
    text=st.sampled_from(("", "Wie geht es dir heute, mein lieber Freund?", "Svar på nynorsk: hvem er du?")),
    characters=st.integers(0, 20_000),
    turns=st.integers(0, 30),
    max_output_tokens=st.none() | st.integers(1, 5000),
    choices=st.integers(1, 3),
    needs=st.frozensets(st.sampled_from(Ability), max_size=1),
    hints=st.builds(
        Hints,
        language=st.none() | st.sampled_from((*TAGS, "no", "vi")),
        quality_floor=st.none() | st.sampled_from(Preset) | st.floats(-100, 100),
        max_cost_usd=st.none() | st.floats(0, 0.1),
        models=st.none() | st.just(("m0", "big")),
    ),
    allowed_models=st.none() | st.just(frozenset(("big", "m1", "m2"))),
)


def built(drawn: list[dict[str, Any]], order: list[int] | None = None, **change: Any) -> Fleet:
    """The reference and these models; `order` permutes the file, `m<i>` in `change` overrides facts."""
    entries = [entry("big", price=(5, 8), context=131072, languages=["de", "en"], tools=True)]
    entries += [entry(f"m{i}", **{**model, **change.get(f"m{i}", {})}) for i, model in enumerate(drawn)]
    if order is not None:
        entries = [entries[i] for i in order]
    return resolve({"models": entries, "routing": {"reference": "big"}}, "test")


def candidate_of(decision: Decision, model: str) -> Any:
    return next(one for one in decision.candidates if one.model == model)


@FAST
@given(fleets, requests, lives)
def test_the_chosen_model_was_never_rejected(drawn: Any, request: Request, live: Any) -> None:
    decision = decide(request, built(drawn), live, 0.0)
    for model in decision.ranking:
        assert candidate_of(decision, model).rejection is None
    assert decision.model == (decision.ranking[0] if decision.ranking else None)
    assert decision.reason_code in REASONS
    assert len(decision.candidates) == len(drawn) + 1
    if decision.model is not None:
        state = live.get(decision.model, ModelState())
        assert state.healthy
        assert state.has_capacity
        if request.allowed_models is not None:
            assert decision.model in request.allowed_models
        if request.hints.max_cost_usd is not None:
            assert candidate_of(decision, decision.model).cost_usd <= request.hints.max_cost_usd
    decision_dict(decision)
    decision_text(decision)


@FAST
@given(fleets, requests, lives, st.data())
def test_the_order_of_models_never_matters(drawn: Any, request: Request, live: Any, data: Any) -> None:
    order = data.draw(st.permutations(range(len(drawn) + 1)))
    assert decide(request, built(drawn), live, 0.0) == decide(request, built(drawn, order), live, 0.0)


@FAST
@given(fleets, requests, lives, st.floats(0, 1))
def test_a_cheaper_price_never_lowers_a_rank(drawn: Any, request: Request, live: Any, factor: float) -> None:
    cheaper = {"m0": {"price": tuple(price * factor for price in drawn[0]["price"])}}
    before = decide(request, built(drawn), live, 0.0)
    after = decide(request, built(drawn, **cheaper), live, 0.0)
    if "m0" in before.ranking:
        assert "m0" in after.ranking
        assert after.ranking.index("m0") <= before.ranking.index("m0")


@FAST
@given(fleets, requests, lives, st.floats(-100, 100), st.floats(-100, 100))
def test_a_higher_floor_never_picks_lower_quality(drawn: Any, request: Request, live: Any, a: float, b: float) -> None:
    fleet = built(drawn)
    low, high = (
        decide(replace(request, hints=replace(request.hints, quality_floor=floor)), fleet, live, 0)
        for floor in sorted((a, b))
    )
    if low.model is None or high.model is None or low.reason_code == "language_unknown":
        return
    before = candidate_of(low, low.model).quality
    after = candidate_of(high, high.model).quality
    if before is not None:
        assert after is not None
        if before < low.floor or before < high.floor:
            assert after > before or low.model == high.model
        assert after >= min(before, high.floor)


@FAST
@given(st.text(st.characters(), max_size=300), st.text(st.characters(), max_size=20), st.sampled_from(Endpoint))
def test_no_text_makes_it_raise(text: str, model: str, endpoint: Endpoint) -> None:
    request = Request(model=model, text=text, instructions=text[::-1], earlier=(text,), endpoint=endpoint)
    decision = decide(request, nordic(), {}, 0.0)
    assert sum(p for _, p in decision.language.posterior) == pytest.approx(1.0, abs=1e-6)
    assert not any(ord(c) < 32 for c in decision.reason)


@pytest.mark.parametrize(
    "text",
    ["\x00" * 1000, "\ud800\udc00\udfff", "🙂" * 50_000, "a" * 200_000, "a b " * 50_000, "```" * 20_000, "<" * 100_000,
     "http://" * 20_000, "@" * 100_000, "x@" * 50_000, "`" * 100_001, "ا" * 200_000, "中" * 200_000, "\u0301" * 10_000,
     "0" * 200_000, "~~~" * 30_000, "</" * 50_000],
)  # fmt: skip
def test_hostile_texts_are_read_in_bounded_time(text: str) -> None:
    from time import process_time

    fleet = nordic()
    decide(Request(text="warm up the model please"), fleet, {}, 0.0)
    began = process_time()
    decision = decide(Request(text=text, characters=len(text), instructions=text), fleet, {}, 0.0)
    # Bounded: a quadratic expression over 200 kB takes minutes. Far above the 2 ms it takes.
    assert process_time() - began < 1.0
    assert decision.mode is Mode.AUTO


def test_numbers_out_of_range_do_not_raise() -> None:
    request = Request(text="hei", characters=-5, turns=-3, max_output_tokens=2**63, choices=0)
    assert decide(request, nordic(), {}, 0.0).model is None
    request = Request(text="hei", characters=2**70, max_output_tokens=-1, hints=Hints(max_cost_usd=float("nan")))
    assert decide(request, nordic(), {"big": ModelState(answer_tokens={("nb", ""): -1.0})}, 0.0).model is None
