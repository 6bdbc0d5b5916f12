"""Expected lengths of answers: comparable between models, bounded, cut answers counted as what they are."""

from __future__ import annotations

import random
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.routing.lengths import BUCKETS, GROUPS, HALF_LIFE_S, Histogram, Lengths

pytestmark = pytest.mark.unit

UNITS: Mapping[str, Mapping[str, float]] = {"a": {"nb": 1.5, "en": 1.0}, "b": {"nb": 1.0, "en": 1.0}}


def unit(model: str, language: str) -> float:
    return UNITS[model].get(language, 1.0)


def answers(middle: float, count: int, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [middle * rng.lognormvariate(0, 0.6) for _ in range(count)]


def test_a_model_that_got_short_questions_is_not_taken_for_a_terse_one() -> None:
    lengths = Lengths(256, alone=False)
    for n in range(40):  # one kind of tenants asks a for little, another b for much; neither asks both
        for tokens in answers(30, 40, n):
            lengths.observe("a", "en", "", f"short{n}", tokens, 1.0, False, 0)
        for tokens in answers(800, 40, n):
            lengths.observe("b", "en", "", f"long{n}", tokens, 1.0, False, 0)
    found = lengths.expected(UNITS, unit, 0)
    assert found["a"]["en", ""] == found["b"]["en", ""]


def test_a_model_that_says_more_to_the_same_tenants_costs_more() -> None:
    lengths = Lengths(256, alone=False)
    for n in range(150):
        for model, middle in (("a", 100), ("b", 160)):
            for tokens in answers(middle, 40, n):
                lengths.observe(model, "en", "chat", f"t{n}", tokens, 1.0, False, 0)
    found = lengths.expected(UNITS, unit, 0)
    assert found["b"]["en", "chat"].mean / found["a"]["en", "chat"].mean == pytest.approx(1.6, rel=0.06)


def test_the_owner_alone_is_believed_at_once() -> None:
    lengths = Lengths(256, alone=True)
    seen = answers(60, 400)
    for tokens in seen:
        lengths.observe("a", "nb", "summary", "me", tokens * 1.5, 1.5, False, 0)
    found = lengths.expected(UNITS, unit, 0)
    assert found["a"]["nb", "summary"].mean == pytest.approx(1.5 * sum(seen) / len(seen), rel=0.15)
    assert found["b"]["nb", "summary"].mean == pytest.approx(found["a"]["nb", "summary"].mean / 1.5)
    assert found["a"]["nb", "summary"].p50 < found["a"]["nb", "summary"].mean < found["a"]["nb", "summary"].p90


@pytest.mark.parametrize("honest", [0, 2, 12, 60])
@pytest.mark.parametrize("tokens", [1, 16_000])
def test_one_tenant_moves_nothing_by_five_percent(honest: int, tokens: int) -> None:
    calm, bent = Lengths(256), Lengths(256)
    for lengths in (calm, bent):
        lengths.observe("a", "en", "", "first", 150, 1.0, False, 0)
        for n in range(honest):
            for model in ("a", "b"):
                for length in answers(150, 40, n):
                    lengths.observe(model, "en", "", f"t{n}", length, 1.0, False, 0)
    for _ in range(20_000):
        bent.observe("b", "en", "", "attacker", tokens, 1.0, False, 0)
        bent.observe("a", "en", "", "attacker", 150, 1.0, False, 0)
    before, after = calm.expected(UNITS, unit, 0), bent.expected(UNITS, unit, 0)
    ratio = {model: after[model]["en", ""].mean / before[model]["en", ""].mean for model in UNITS}
    assert abs(ratio["b"] / ratio["a"] - 1) < 0.05
    assert all(abs(value - 1) < 0.05 for value in ratio.values())


def test_a_cut_answer_was_longer() -> None:
    whole, cut, naive = Lengths(256, alone=True), Lengths(256, alone=True), Lengths(256, alone=True)
    for tokens in answers(200, 600):
        whole.observe("a", "en", "", "me", tokens, 1.0, False, 0)
        cut.observe("a", "en", "", "me", min(tokens, 250), 1.0, tokens >= 250, 0)
        naive.observe("a", "en", "", "me", min(tokens, 250), 1.0, False, 0)
    truth, mended, short = (one.expected(UNITS, unit, 0)["a"]["en", ""].mean for one in (whole, cut, naive))
    assert short < 0.85 * truth
    assert mended == pytest.approx(truth, rel=0.2)
    assert abs(mended - truth) < abs(short - truth)


def test_what_was_long_ago_counts_little() -> None:
    lengths = Lengths(256, alone=True)
    for tokens in answers(20, 30):
        lengths.observe("a", "en", "", "me", tokens, 1.0, False, 0)
    now = lengths.expected(UNITS, unit, 0)["a"]["en", ""].mean
    later = lengths.expected(UNITS, unit, 4 * HALF_LIFE_S)["a"]["en", ""].mean
    assert now < 40 < 150 < later < 256


def test_memory_is_bounded_and_survives_a_restart() -> None:
    lengths = Lengths(256)
    for n in range(GROUPS + 30):
        lengths.observe("a", "en", "", f"t{n}", 100, 1.0, False, 0)
    state = lengths.state()
    assert len(state) == GROUPS
    kept = msgspec.json.decode(msgspec.json.encode(state), type=list[tuple[tuple[str, str, str, str], Histogram]])
    again = Lengths(256)
    again.restore(kept, UNITS)
    assert again.expected(UNITS, unit, 0)["a"]["en", ""].mean == pytest.approx(
        lengths.expected(UNITS, unit, 0)["a"]["en", ""].mean
    )
    again = Lengths(256)
    again.restore(
        [(("a", "en", "", "t"), Histogram([1.0], 0.0)), (("x", "en", "", "t"), Histogram([1.0] * BUCKETS, 0.0))], UNITS
    )
    assert again.expected(UNITS, unit, 0) == {"a": {}, "b": {}}


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from(["en", "nb", "x"]), st.sampled_from("tuv"), st.floats(),
            st.floats(-1, 3), st.booleans(), st.floats(0, 1e9),
        ),
        max_size=40,
    ),
    st.booleans(),
)  # fmt: skip
def test_any_answers_give_lengths_between_bounds(
    seen: list[tuple[str, str, str, float, float, bool, float]], alone: bool
) -> None:
    lengths = Lengths(256, alone)
    for model, language, tenant, tokens, size, cut, now in seen:
        lengths.observe(model, language, "", tenant, tokens, size, cut, now)
    for model, found in lengths.expected(UNITS, unit, 1e9).items():
        for (language, _), length in found.items():
            assert 256 / 30 < length.mean / unit(model, language) < 256 * 30
            assert length.p50 <= length.p90
