"""Who stands in for whom, by routing's own rules."""

from __future__ import annotations

import pytest
from joint_cases import BIG, SMALL, two

from autoscaling.joint.substitutes import StandIn, context_share, stand_ins
from serve.fleet import Fleet
from serve.fleet.loader import resolve
from serve.routing import Hints, Request, decide
from serve.routing.policy import CHEAPEST

pytestmark = pytest.mark.unit

FLEET = two()


def by(fleet: Fleet, language: str) -> dict[str, tuple[str, ...]]:
    return {model: tuple(one.to for one in ones) for model, ones in stand_ins(fleet, language).items()}


def test_the_reference_stands_in_for_the_cheaper_one_and_not_the_other_way() -> None:
    """In Swedish the 9B is above the floor but not in all tasks; what the 70B has there is what the 9B may not have."""
    assert by(FLEET, "sv") == {SMALL: (BIG,), BIG: ()}


def test_a_language_that_one_model_alone_has_moves_nowhere() -> None:
    assert by(FLEET, "th") == {BIG: ()}


def test_an_unknown_language_moves_nowhere() -> None:
    assert by(FLEET, "tlh") == {}


def test_what_stands_in_is_what_routing_ranks_second() -> None:
    decision = decide(Request(hints=Hints(language="sv")), FLEET, {}, 0.0)
    assert (decision.model, decision.reason_code) == (SMALL, CHEAPEST)
    assert decision.ranking[1:] == by(FLEET, "sv")[SMALL]


def test_a_lower_floor_lets_the_small_one_stand_in_where_it_is_not_the_cheapest() -> None:
    """With every task within its floor the 9B takes all of them; the 70B has what others had no room for."""
    fleet = two()
    routing = fleet.routing.model_copy(update={"quality_floor": -60.0})
    assert by(fleet.model_copy(update={"routing": routing}), "sv") == {SMALL: (BIG,), BIG: ()}  # the 70B has tools
    bare = {"template": {"roles": ["system", "user", "assistant"], "tools": False}, "tool_parser": None}
    models = [
        {"use": BIG, "card": bare, "engine": {"gpu": "H100-SXM-80GB", "tensor_parallel": 4}},
        {"use": SMALL, "card": bare, "engine": {"gpu": "H100-SXM-80GB"}},
    ]
    able = resolve({"models": models, "routing": {"quality_floor": -60.0}}, "test")
    assert by(able, "sv") == {SMALL: (BIG,), BIG: (SMALL,)}


def test_base_models_models_without_auto_and_others_endpoints_never_stand_in() -> None:
    others = (
        {"use": "normistral-11b-long", "engine": {"gpu": "H100-SXM-80GB"}},
        {"use": "eurollm-9b-instruct", "auto": False, "engine": {"gpu": "H100-SXM-80GB"}},
        {"use": "suzume-llama-3-8b-multilingual", "upstream": {"base_url": "https://api.example.com"}},
    )
    assert by(two(models=others), "sv")[SMALL] == (BIG,)
    assert by(two(models=others), "en")[SMALL] == (BIG,)


def test_measured_prices_make_each_of_the_able_ones_a_first_choice() -> None:
    fleet = two()
    routing = fleet.routing.model_copy(update={"price_basis": "marginal"})
    assert by(fleet.model_copy(update={"routing": routing}), "sv") == by(fleet, "sv")


def test_tokens_of_the_same_text_are_each_tokenizers() -> None:
    (one,) = stand_ins(FLEET, "sv")[SMALL]
    assert one.prompt == pytest.approx(1.18, abs=0.05)  # Llama's tokenizer makes more of Swedish than Gemma's
    assert one.output == pytest.approx(1.18, abs=0.05)


@pytest.mark.parametrize(("context", "share"), [(8192, 1 - 1500 / 8192), (1000, 0.0), (1_000_000, 0.9985)])
def test_at_least_so_many_fit_whatever_their_lengths_are(context: int, share: float) -> None:
    assert context_share(1000, 250, StandIn("b", 1.0, 2.0), context) == pytest.approx(share)
