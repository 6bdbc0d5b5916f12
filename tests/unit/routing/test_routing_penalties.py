"""Points for replies in wrong languages, and the mix of a tenant's languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.routing import penalties
from serve.routing.mix import ENOUGH, Mixes
from serve.routing.penalties import HALF_LIFE_S, MOST, Penalties
from serve.routing.records import Language, LanguageSource

pytestmark = pytest.mark.unit


def replies(count: int, wrong: int, tenants: int = 1, cap: float = penalties.CAP) -> float:
    kept = Penalties(cap)
    for tenant in range(tenants):
        for index in range(count):
            kept.add("small", "nn", f"t{tenant}", index < wrong, 0.0)
    return kept.points("small", 0.0).get("nn", 0.0)


def test_the_formula_by_hand() -> None:
    # 5 tenants with 4 replies, all wrong: share (0.2 + 20) / 40 = 0.505; 70 x (0.505 - 0.01) = 34.65, 30 at most.
    assert replies(4, 4, tenants=5) == MOST
    # One tenant, one wrong of four: share 1.2 / 24 = 0.05; 70 x 0.04 = 2.8.
    assert replies(4, 1) == pytest.approx(2.8)


def test_a_model_that_answers_rightly_has_no_points() -> None:
    assert replies(100, 0, tenants=10) == 0.0
    assert Penalties().points("unseen", 0.0) == {}


def test_one_tenant_alone_takes_off_at_most_fourteen_points() -> None:
    assert replies(10_000, 10_000) == pytest.approx(70 * (5.2 / 25 - 0.01), abs=0.001)
    assert replies(10_000, 10_000) < 14
    assert replies(10_000, 10_000, cap=penalties.CAP_ALONE) == MOST


def test_one_tenants_flood_does_not_drown_what_others_see() -> None:
    kept = Penalties()
    for other in range(20):
        for _ in range(5):
            kept.add("small", "nn", f"honest{other}", False, 0.0)
    for _ in range(10_000):
        kept.add("small", "nn", "flood", True, 0.0)
    assert kept.points("small", 0.0).get("nn", 0.0) < 3


def test_points_fade() -> None:
    kept = Penalties()
    for tenant in range(4):
        for _ in range(5):
            kept.add("small", "nn", f"t{tenant}", True, 0.0)
    now, later, much_later = (kept.points("small", t).get("nn", 0.0) for t in (0.0, 2 * HALF_LIFE_S, 30 * HALF_LIFE_S))
    assert now > later > much_later == 0.0


def test_languages_and_models_do_not_touch_each_other() -> None:
    kept = Penalties()
    kept.add("small", "nn", "t", True, 0.0)
    assert set(kept.points("small", 0.0)) == {"nn"}
    assert kept.points("big", 0.0) == {}


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.booleans(), st.floats(-1e9, 1e9)), max_size=60)
)
def test_points_are_bounded_whatever_comes(observed: list[tuple[str, str, bool, float]]) -> None:
    kept = Penalties()
    for model, tenant, wrong, now in observed:
        kept.add(model, "nn", tenant, wrong, now)
        assert all(0 <= points <= MOST for points in kept.points(model, now).values())


def test_memory_is_bounded() -> None:
    kept = Penalties()
    for index in range(5_000):
        kept.add("small", f"l{index % 2000}", f"t{index}", True, 0.0)
    cells = kept._cells["small"]
    assert len(cells) <= penalties.LANGUAGES
    for index in range(200):
        kept.add("small", "l0", f"u{index}", True, 0.0)
    assert len(cells["l0"].tenants) <= penalties.TENANTS


def language(tag: str, source: LanguageSource = LanguageSource.TEXT, abstained: bool = False) -> Language:
    return Language(tag, ((tag, 1.0),), tag, source, abstained)


def test_a_mix_is_there_once_enough_was_seen() -> None:
    mixes = Mixes()
    for _ in range(ENOUGH - 1):
        mixes.add("t", language("nn"))
    assert mixes.of("t") is None
    mixes.add("t", language("nb"))
    mix = mixes.of("t")
    assert mix is not None
    assert mix[0][0] == "nn"
    assert sum(p for _, p in mix) == pytest.approx(1.0)
    assert mixes.of("other tenant") is None


@pytest.mark.parametrize("source", [LanguageSource.HINT, LanguageSource.EARLIER, LanguageSource.PRIOR])
def test_what_did_not_come_from_a_requests_own_text_does_not_count(source: LanguageSource) -> None:
    mixes = Mixes()
    for _ in range(100):
        mixes.add("t", language("nn", source))
        mixes.add("t", language("nn", LanguageSource.TEXT, abstained=True))
        mixes.add("t", language("other"))
    assert mixes.of("t") is None


def test_a_mix_follows_the_tenant() -> None:
    mixes = Mixes()
    for _ in range(300):
        mixes.add("t", language("nn"))
    for _ in range(300):
        mixes.add("t", language("pl"))
    mix = mixes.of("t")
    assert mix is not None
    assert mix[0][0] == "pl"
    assert mix[0][1] > 0.9


def test_the_tenant_that_was_silent_longest_is_forgotten() -> None:
    mixes = Mixes(tenants=3)
    for name in ("a", "b", "c", "a", "d"):
        for _ in range(ENOUGH):
            mixes.add(name, language("nn"))
    assert [mixes.of(name) is None for name in "abcd"] == [False, True, False, False]


@given(st.lists(st.text(min_size=1, max_size=3), max_size=200))
def test_a_mix_sums_to_one_and_stays_small(tags: list[str]) -> None:
    mixes = Mixes()
    for tag in tags:
        mixes.add("t", language(tag))
    mix = mixes.of("t")
    if mix is not None:
        assert sum(p for _, p in mix) == pytest.approx(1.0)
        assert len(mix) <= 13
