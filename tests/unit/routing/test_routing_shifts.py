"""Shifts: routing's rules win, conversations keep their models, shares are the plan's, and the log repeats it."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from routing_fleets import entry, fleet

from serve.routing import Ability, Decision, Hints, ModelState, Request, decide
from serve.routing.decide import decide_observed
from serve.routing.log import encoder, entry_of, parse, states_of
from serve.routing.observe import observe
from serve.routing.policy import CHEAPEST, REASONS, SHIFTED, Choice
from serve.routing.records import Shift
from serve.routing.render import decision_dict, decision_text
from serve.routing.replay import Replay
from serve.routing.shifts import shifted, taker, uniform_of

pytestmark = pytest.mark.unit

DE = "Kannst du mir erklären, wie ich Elterngeld beantrage, wenn ich selbstständig bin?"
CACHED = entry("near", price=(2.0, 2.0), languages=["en", "de"], quality={"de": -3}, context=32768)
CACHED["price"]["cached_input_usd_per_mtok"] = 0.1
# `cheap` is the first choice in German, `near` the second, `big` the third.
FLEET = fleet(
    entry("big", price=(10.0, 10.0), context=131072, languages=["en", "de"], tools=True, aliases=["large"]),
    CACHED,
    entry("cheap", price=(1.0, 1.0), languages=["en", "de"], quality={"de": -8}, context=32768, tools=True),
    entry("poor", price=(0.1, 0.1), languages=["en", "de"], quality={"de": -40}),
)
NEAR = {"de": (Shift("cheap", "near", 0.4),)}


def choose(shifts: object = NEAR, uniform: float = 0.1, live: object = None, **request: object) -> Decision:
    fields: dict[str, object] = {"text": DE, "characters": len(DE), **request}
    return decide(Request(**fields), FLEET, live or {}, 1.0, shifts, uniform)  # type: ignore[arg-type]


def test_a_share_goes_where_the_plan_says_and_the_record_says_why() -> None:
    decision = choose()
    assert (decision.model, decision.reason_code, decision.fallback) == ("near", "shifted", False)
    assert decision.ranking == ("near", "cheap", "big")  # where `near` fails, the first choice is asked
    assert decision.shift == Shift("cheap", "near", 0.4)
    assert "near is good enough, and the autoscaler's plan moves 40% of what would go to cheap in German there" in (
        decision.reason
    )
    assert SHIFTED in REASONS
    shown = decision_dict(decision)
    assert shown["shift"] == {"from": "cheap", "to": "near", "share": 0.4}
    assert shown["reason_code"] == "shifted"
    assert "[auto, shifted]" in decision_text(decision)


def test_the_others_stay_and_nothing_else_of_their_record_changes() -> None:
    assert choose(uniform=0.4) == choose(shifts={})
    assert choose(uniform=0.4).shift is None
    assert decision_dict(choose(uniform=0.4))["shift"] is None


@pytest.mark.parametrize(
    "request_",
    [
        {"model": "cheap"},
        {"model": "large"},
        {"hints": Hints(models=("cheap", "near"))},
        {"hints": Hints(models=("auto",))},
        {"hints": Hints(quality_floor=-2.0)},  # `near` is below it, and `cheap` too
        {"hints": Hints(language="en")},
        {"needs": frozenset({Ability.TOOLS})},
        {"allowed_models": frozenset({"cheap", "big"})},
        {"characters": 120_000},
        {"text": "12345", "characters": 5},
    ],
    ids=["id", "alias", "models", "models-auto", "floor", "language", "tools", "rights", "context", "unknown-language"],
)
def test_routing_s_own_rules_win(request_: dict[str, object]) -> None:
    decision = choose(uniform=0.0, **request_)
    assert decision == choose(shifts={}, uniform=0.0, **request_)
    assert decision.reason_code != "shifted"


@pytest.mark.parametrize("state", [ModelState(healthy=False), ModelState(has_capacity=False)])
def test_a_target_that_cannot_take_it_gets_nothing(state: ModelState) -> None:
    assert choose(uniform=0.0, live={"near": state}).model == "cheap"


def test_a_cost_limit_holds() -> None:
    plain = {one.model: one.cost_usd for one in choose(shifts={}).candidates}
    between = (plain["cheap"] + plain["near"]) / 2
    assert choose(uniform=0.0, hints=Hints(max_cost_usd=between)).model == "cheap"


def test_only_what_would_go_to_the_source_is_moved() -> None:
    assert choose(shifts={"de": (Shift("near", "big", 1.0),)}, uniform=0.0).model == "cheap"
    assert choose(
        shifts={"de": (Shift("near", "big", 1.0),)}, uniform=0.0, live={"cheap": ModelState(False)}
    ).model == ("big")
    assert choose(shifts={"de": (Shift("cheap", "poor", 1.0),)}, uniform=0.0).model == "cheap"  # below the floor
    assert choose(shifts={"de": (Shift("cheap", "gone", 1.0),)}, uniform=0.0).model == "cheap"


def test_a_conversation_whose_prefix_makes_another_model_cheaper_stays_there() -> None:
    pinned = {"characters": 20_000, "cached_characters": {"near": 20_000}}
    assert choose(shifts={}, **pinned).model == "near"
    assert choose(shifts={"de": (Shift("cheap", "big", 1.0),)}, uniform=0.0, **pinned).model == "near"


def test_sessions_have_numbers_of_their_own_that_are_even() -> None:
    numbers = [uniform_of("acme", f"session {n}") for n in range(4000)]
    assert all(0 <= number < 1 for number in numbers)
    assert len(set(numbers)) == 4000
    for tenth in range(10):
        count = sum(tenth <= 10 * number < tenth + 1 for number in numbers)
        assert abs(count - 400) < 5 * math.sqrt(4000 * 0.1 * 0.9)
    assert uniform_of("acme", "x") == uniform_of("acme", "x") != uniform_of("other", "x")
    assert uniform_of("acme", "x") == 0.7830046812770711  # in every process and version: conversations stay
    assert 0 <= uniform_of("acme", "\ud800") < 1


@given(st.floats(0.01, 1.0), st.integers(0, 10**9))
def test_shares_are_realised(share: float, salt: int) -> None:
    """Within five standard deviations of the binomial: hypothesis tries hundreds."""
    count = 400
    took = sum(taker([Shift("a", "b", share)], uniform_of("t", f"{salt}/{n}")) is not None for n in range(count))
    assert abs(took - count * share) <= 5 * math.sqrt(count * share * (1 - share)) + 3


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=4), st.integers(0, 10**9))
def test_several_shares_of_one_model_are_realised(weights: list[float], salt: int) -> None:
    shifts = [Shift("a", f"to-{n}", weight / sum(weights)) for n, weight in enumerate(weights)]
    took = [taker(shifts, uniform_of("t", f"{salt}/{n}")) for n in range(400)]
    assert None not in took  # together they are all of it
    for shift in shifts:
        expected = 400 * shift.share
        assert abs(took.count(shift) - expected) <= 5 * math.sqrt(expected * (1 - shift.share)) + 3


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1), st.floats(0, 1))
def test_growing_a_share_moves_conversations_towards_its_target_only(uniform: float, one: float, other: float) -> None:
    less, more = sorted((one, other))
    before, after = taker([Shift("a", "b", less)], uniform), taker([Shift("a", "b", more)], uniform)
    assert before is None or after is not None


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.sampled_from("bc"))
def test_of_two_targets_the_one_that_grows_takes_nothing_of_the_other(
    uniform: float, kept: float, one: float, other: float, grows: str
) -> None:
    less, more = sorted((one, other))
    assume(kept + more <= 1)
    fixed = "c" if grows == "b" else "b"

    def who(share: float) -> str:
        took = taker([Shift("a", grows, share), Shift("a", fixed, kept)], uniform)
        return took.to if took is not None else "a"

    if who(less) != "a":
        assert who(more) == who(less)


@given(
    st.permutations(["a", "b", "c", "d"]),
    st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde")), max_size=6, unique=True),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from(sorted(REASONS)),
)
def test_a_shift_never_leaves_the_ranking(
    ranking: list[str], pairs: list[tuple[str, str]], uniform: float, code: str
) -> None:
    choice = Choice(tuple(ranking), code)
    made = shifted(choice, [Shift(source, to, 1 / 6) for source, to in pairs if source != to], uniform)
    assert set(made.ranking) == set(ranking)
    assert len(made.ranking) == len(ranking)
    if made != choice:
        assert (code, made.code) == (CHEAPEST, SHIFTED)
        assert made.shift is not None
        assert (made.shift.source, made.shift.to) == (ranking[0], made.ranking[0])
        rest = [model for model in ranking if model != made.shift.to]
        assert list(made.ranking[1:]) == rest


@pytest.mark.parametrize("uniform", [0.1, 0.9])
def test_the_log_repeats_what_the_plan_did(uniform: float) -> None:
    request = Request(text=DE, characters=len(DE))
    observed, live = observe(request), {"big": ModelState(in_flight=2)}
    decision = decide_observed(observed, request, FLEET, live, 1.0, NEAR, uniform)
    made = entry_of(
        decision, request, observed, states_of(live, decision), "req", "", None, shifts=NEAR, uniform=uniform
    )
    line = encoder.encode(made)
    again = parse(line)
    assert again.shifts == NEAR["de"]
    assert again.uniform == uniform
    replay = Replay(FLEET)
    replay.add(again)
    assert replay.changed == 0
    assert replay.reasons_would == {decision.reason_code: 1}
    assert b'"shifts":[{"from":"cheap","to":"near","share":0.4}]' in line


def test_a_log_without_shifts_has_no_word_of_them() -> None:
    request = Request(text=DE, characters=len(DE))
    observed = observe(request)
    decision = decide_observed(observed, request, FLEET, {}, 1.0)
    other = {"sv": (Shift("cheap", "near", 1.0),)}
    line = encoder.encode(entry_of(decision, request, observed, {}, "r", "", None, shifts=other, uniform=0.5))
    assert b"shifts" not in line
    assert b"uniform" not in line
    old = replace(parse(line), model="cheap")
    assert (old.shifts, old.uniform) == ((), 0.0)
