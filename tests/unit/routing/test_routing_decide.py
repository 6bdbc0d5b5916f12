"""Decisions: who is rejected with which code, who answers, what a fallback says."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from routing_fleets import entry, fleet, nordic

from serve.fleet.routing import Preset
from serve.routing import (
    Ability,
    Decision,
    Endpoint,
    Hints,
    Mode,
    ModelState,
    Rejection,
    Request,
    decide,
)
from serve.routing.policy import REASONS

pytestmark = pytest.mark.unit

NB = "Kan du forklare meg hvordan jeg søker om foreldrepenger når jeg er selvstendig næringsdrivende?"
NN = "Kan du forklare meg korleis eg søkjer om foreldrepengar når eg er sjølvstendig næringsdrivande?"
DE = "Kannst du mir erklären, wie ich Elterngeld beantrage, wenn ich selbstständig bin?"
MT = "Tista' tispjegali kif napplika għal-liv tal-ġenituri meta naħdem għal rasi?"
TH = "คุณช่วยอธิบายได้ไหมว่าฉันจะขอลาเลี้ยงดูบุตรได้อย่างไร"
VI = "Bạn có thể giải thích cho tôi cách xin nghỉ phép chăm con không?"
FLEET = nordic()
DOWN = ModelState(healthy=False, reason="probe failed")
FULL = ModelState(has_capacity=False)


def choose(text: str, live: dict[str, ModelState] | None = None, **request: object) -> Decision:
    fields: dict[str, object] = {"text": text, "characters": len(text), **request}
    return decide(Request(**fields), FLEET, live or {}, 12.5)  # type: ignore[arg-type]


def rejection(decision: Decision, model: str) -> Rejection | None:
    return next(one.rejection for one in decision.candidates if one.model == model)


def test_the_cheapest_that_is_good_enough() -> None:
    decision = choose(DE)
    assert (decision.model, decision.reason_code, decision.mode) == ("small", "cheapest", Mode.AUTO)
    assert decision.ranking == ("small", "big")
    assert decision.reason.startswith("German (1.00): small is the cheapest of 2 models that are good enough (expected")
    assert "x below big)." in decision.reason
    assert decision.decided_at == 12.5
    assert {one.model for one in decision.candidates} == {"big", "small", "claims", "base"}


def test_a_claim_is_not_enough_where_others_were_measured() -> None:
    assert rejection(choose(DE), "claims") is Rejection.BELOW_FLOOR


def test_a_claim_is_enough_where_nobody_was_measured() -> None:
    decision = choose(MT)
    assert (decision.model, decision.fallback) == ("claims", False)
    assert rejection(decision, "big") is Rejection.LANGUAGE_NOT_COVERED


def test_the_best_floor_is_not_met_by_a_claim() -> None:
    decision = choose(MT, hints=Hints(quality_floor=Preset.BEST))
    assert (decision.model, decision.fallback, decision.reason_code) == ("big", True, "language_fallback")


def test_nynorsk_is_below_the_floor_where_bokmal_is_not() -> None:
    assert choose(NB).model == "small"
    decision = choose(NN)
    assert (decision.model, rejection(decision, "small")) == ("big", Rejection.BELOW_FLOOR)
    assert choose(NN, hints=Hints(quality_floor=Preset.ECONOMY)).model == "small"
    assert choose(NN, hints=Hints(quality_floor=-25.0)).model == "small"


def test_unsure_norwegian_is_routed_on_the_worse_case() -> None:
    assert choose("hei", hints=Hints(language="no")).model == "big"
    assert choose("hei", hints=Hints(language="nb")).model == "small"


def test_the_language_of_the_answer_is_required_too() -> None:
    decision = choose("Kannst du mir das bitte auf Thailändisch erklären und auf Maltesisch antworten?")
    assert decision.language.tag == "de"
    assert decision.language.answer == "mt"
    assert decision.model == "claims"
    assert "answer in Maltese" in decision.reason


def test_nothing_covers_the_language_so_the_reference_answers_and_says_so() -> None:
    for text in (TH, VI):
        decision = choose(text)
        assert (decision.model, decision.ranking) == ("big", ("big",))
        assert (decision.fallback, decision.reason_code) == (True, "language_fallback")
        assert rejection(decision, "big") is None
        assert rejection(decision, "small") is Rejection.LANGUAGE_NOT_COVERED


def test_last_resort_when_the_reference_is_down_too() -> None:
    decision = choose(TH, {"big": DOWN})
    assert (decision.model, decision.reason_code, decision.fallback) == ("small", "last_resort", True)


def test_what_is_unknown_is_no_better_than_what_is_known_to_be_below_the_floor() -> None:
    decision = choose(NN, {"big": DOWN})
    assert (decision.model, decision.reason_code) == (None, "unhealthy")


def test_an_unknown_language_goes_to_the_reference() -> None:
    decision = choose("42")
    assert (decision.model, decision.reason_code, decision.fallback) == ("big", "language_unknown", False)
    assert decision.ranking == ("big", "small", "claims")
    assert not any(one.rejection is Rejection.LANGUAGE_NOT_COVERED for one in decision.candidates)
    decision = choose("42", {"big": DOWN})
    assert (decision.model, decision.fallback) == ("small", True)


def test_chat_never_reaches_a_base_model() -> None:
    for endpoint in (Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.MESSAGES):
        assert rejection(choose(NB, endpoint=endpoint), "base") is Rejection.NO_CHAT_TEMPLATE
    assert choose(NB, endpoint=Endpoint.COMPLETIONS).model == "base"


def test_what_an_endpoint_does_not_serve_is_a_missing_ability() -> None:
    assert rejection(choose(DE, endpoint=Endpoint.MESSAGES), "small") is Rejection.MISSING_ABILITY
    decision = choose(DE, endpoint=Endpoint.EMBEDDINGS)
    assert (decision.model, decision.reason_code) == (None, "no_suitable_model")


def test_needs() -> None:
    decision = choose(DE, needs=frozenset((Ability.TOOLS,)))
    assert (decision.model, rejection(decision, "small")) == ("big", Rejection.MISSING_ABILITY)
    assert rejection(choose(MT, needs=frozenset((Ability.SYSTEM_ROLE,))), "claims") is Rejection.MISSING_ABILITY


def test_a_long_prompt_goes_where_it_fits() -> None:
    decision = choose(DE, characters=15_000)
    assert (decision.model, rejection(decision, "small")) == ("big", Rejection.CONTEXT_TOO_SMALL)
    assert choose(DE, characters=1_000, max_output_tokens=3_900).model == "big"
    assert choose(DE, characters=1_000, max_output_tokens=100).model == "small"


def test_over_max_cost() -> None:
    decision = choose(DE, hints=Hints(max_cost_usd=1e-9))
    assert (decision.model, decision.reason_code) == (None, "no_suitable_model")
    assert rejection(decision, "small") is Rejection.OVER_MAX_COST


def test_allowed_models_and_named_models() -> None:
    assert choose(DE, allowed_models=frozenset(("big",))).model == "big"
    assert choose(DE, hints=Hints(models=("large",))).model == "big", "aliases count"
    decision = choose(DE, allowed_models=frozenset())
    assert (decision.model, decision.reason_code) == (None, "not_allowed")


def test_health_and_capacity() -> None:
    assert choose(DE, {"small": DOWN}).model == "big"
    decision = choose(DE, {"small": DOWN, "big": DOWN})
    assert (decision.model, decision.reason_code) == (None, "unhealthy")
    assert next(one.detail for one in decision.candidates if one.model == "big") == "probe failed"
    assert choose(DE, {"small": FULL, "big": DOWN}).reason_code == "no_capacity"


def test_an_exact_id_or_alias_is_obeyed_and_the_others_are_still_priced() -> None:
    decision = choose(TH, model="base")
    assert (decision.model, decision.mode, decision.ranking) == ("base", Mode.EXACT, ("base",))
    assert "no_chat_template" in decision.notes[0]
    assert all(one.cost_usd > 0 for one in decision.candidates)
    decision = choose(DE, model="large")
    assert (decision.model, decision.mode, decision.reason_code) == ("big", Mode.ALIAS, "alias")
    assert choose(DE, {"big": DOWN}, model="big").model == "big"


def test_a_model_that_the_key_may_not_use_is_not_obeyed() -> None:
    decision = choose(DE, model="big", allowed_models=frozenset(("small",)))
    assert (decision.model, decision.reason_code, decision.ranking) == (None, "not_allowed", ())


def test_an_unknown_model_has_its_own_code() -> None:
    decision = choose(DE, model="gpt-\n17\x1b[31m")
    assert (decision.model, decision.reason_code) == (None, "unknown_model")
    assert "\n" not in decision.reason
    assert "\x1b" not in decision.reason


def test_an_alias_of_auto_is_auto_and_auto_false_answers_to_its_name_only() -> None:
    shy = fleet(entry("big", price=(9, 9)), entry("shy", auto=False, languages=["en"], quality={"en": 0}))
    request = Request(text="Could you explain this to me in simple words?", characters=45)
    decision = decide(request, shy, {}, 0.0)
    assert (decision.model, rejection(decision, "shy")) == ("big", Rejection.NOT_ALLOWED)
    assert decide(replace(request, model="shy"), shy, {}, 0.0).model == "shy"
    aliased = nordic().model_copy(update={"aliases": {"gpt-4o-mini": "auto"}})
    assert decide(Request(model="gpt-4o-mini", text=DE), aliased, {}, 0.0).mode is Mode.AUTO


def test_equal_cost_goes_to_the_less_loaded() -> None:
    twins = fleet(entry("big"), entry("a", quality={"en": 0}), entry("b", quality={"en": 0}), entry("c", price=(9, 9)))
    request = Request(text="Could you explain this to me in simple words?", characters=45)
    assert decide(request, twins, {}, 0.0).ranking[:2] == ("a", "b")
    loaded = decide(request, twins, {"a": ModelState(in_flight=3), "big": ModelState(in_flight=9)}, 0.0)
    assert loaded.ranking[:3] == ("b", "a", "big")
    assert "the least loaded of" not in loaded.reason or "b is the least loaded of the cheapest" in loaded.reason


def test_same_price_a_token_and_a_dearer_text() -> None:
    pair = fleet(
        entry("big", price=(9, 9)),
        entry("llama", tokenizer="llama3", quality={"nb": 0}),
        entry("own", tokenizer="normistral", quality={"nb": 0}, price=(1.2, 2.4)),
    )
    decision = decide(Request(text=NB, characters=len(NB)), pair, {}, 0.0)
    assert decision.model == "own", "20% dearer a token, a third fewer tokens"


def test_every_reason_code_is_listed() -> None:
    seen = {
        choose(text, live).reason_code for text in (DE, TH, "42", NN) for live in ({}, {"big": DOWN}, {"big": FULL})
    }
    assert seen <= set(REASONS)


def test_hints_that_are_nonsense_are_said_and_not_used() -> None:
    decision = choose(DE, hints=Hints(language="not a tag", quality_floor="excellent"))
    assert decision.model == "small"
    assert len(decision.notes) == 2
