"""The online correction of token counts: it learns, is bounded, fades, and one tenant cannot bend it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.routing.calibration import CELLS, HALF_LIFE_S, LEAST, MOST, TENANTS, Calibration, Sums

pytestmark = pytest.mark.unit


def fed(tenants: int, ratio: float, alone: bool = False, requests: int = 60) -> Calibration:
    made = Calibration(alone)
    for tenant in range(tenants):
        for _ in range(requests):
            made.observe("m", "nb", f"t{tenant}", 200, 200 * ratio, 0.0)
    return made


def test_it_learns_what_engines_count() -> None:
    assert fed(1, 1.25, alone=True).ratios(0)["m"]["nb"] == pytest.approx(1.25, rel=0.001)
    assert fed(40, 1.25).ratios(0)["m"]["nb"] == pytest.approx(1.25, rel=0.001)
    few = fed(3, 1.25).ratios(0)["m"]["nb"]
    assert 1.02 < few < 1.06, "three tenants of the fifteen that it takes"
    assert 1 < fed(1, 1.25, alone=True, requests=5).ratios(0)["m"]["nb"] < 1.06, "few observations: near 1"


@pytest.mark.parametrize("honest", [0, 1, 3, 10, 40])
@pytest.mark.parametrize("lie", [0.03, 100.0])
def test_a_hundred_thousand_requests_of_one_tenant_move_it_by_less_than_five_percent(honest: int, lie: float) -> None:
    calm, bent = fed(honest, 1.1), fed(honest, 1.1)
    for at in range(100_000):
        bent.observe("m", "nb", "attacker", 50 + at % 7, (50 + at % 7) * lie, at * 0.01)
    before = calm.ratios(1000).get("m", {}).get("nb", 1.0)
    assert bent.ratios(1000)["m"]["nb"] == pytest.approx(before, rel=0.05)


def test_it_fades() -> None:
    made = fed(1, 1.5, alone=True, requests=25)
    assert made.ratios(6 * HALF_LIFE_S)["m"]["nb"] < 1.02
    assert made.ratios(60 * HALF_LIFE_S) == {}


def test_a_newer_truth_replaces_an_old_one() -> None:
    made = fed(1, 1.5, alone=True, requests=5000)
    for at in range(2000):
        made.observe("m", "nb", "t0", 200, 180, float(at))
    assert made.ratios(2000)["m"]["nb"] < 1.1


def test_memory_is_bounded() -> None:
    made = Calibration()
    for n in range(CELLS + 50):
        made.observe("m", f"l{n}", "t", 100, 120, 0)
    for n in range(TENANTS + 50):
        made.observe("m", f"l{CELLS + 40}", f"t{n}", 100, 120, 0)
    state = made.state()
    assert len({(model, language) for model, language, _, _ in state}) == CELLS
    assert len([1 for _, language, _, _ in state if language == f"l{CELLS + 40}"]) == TENANTS


def test_it_is_the_same_after_a_restart() -> None:
    made = fed(20, 1.2)
    kept = msgspec.json.decode(msgspec.json.encode(made.state()), type=list[tuple[str, str, str, Sums]])
    again = Calibration()
    again.restore(kept, {"m": None})
    assert again.ratios(0) == made.ratios(0)
    gone = Calibration()
    gone.restore(kept, {"other": None})
    assert gone.ratios(0) == {}
    bad = Calibration()
    bad.restore([("m", "nb", "t", Sums(1e9, 1e12, 0.0)), ("m", "nb", "u", Sums(0.0, 0.0, 0.0))], {"m": None})
    assert bad.ratios(0) == {}


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(), st.floats(), st.floats(0, 1e10)), max_size=40),
    st.booleans(),
)
def test_it_stays_within_bounds_whatever_comes(seen: list[tuple[str, float, float, float]], alone: bool) -> None:
    made = Calibration(alone)
    for tenant, expected, counted, now in seen:
        made.observe("m", "nb", tenant, expected, counted, now)
    assert all(LEAST <= ratio <= MOST for ratio in made.ratios(0).get("m", {}).values())
