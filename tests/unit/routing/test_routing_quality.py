"""Evidence, coverage and floors."""

from __future__ import annotations

import pytest
from routing_fleets import entry, fleet, nordic

from serve.routing.quality import declares, evidence, is_proven, measured_languages, passes, standing

pytestmark = pytest.mark.unit

FLEET = nordic()
MEASURED = measured_languages(FLEET)


def of(model: str, *tags: str) -> tuple[float | None, str, bool]:
    found = standing(FLEET.model(model), tags, "big", MEASURED)
    return found.delta, found.status, found.covered


def test_no_evidence_is_none_and_never_zero() -> None:
    assert of("claims", "mt") == (None, "declared", True)
    assert of("small", "th") == (None, "none", False)


def test_the_reference_is_zero_by_definition_and_covers_what_was_measured_against_it() -> None:
    assert of("big", "nn") == (0.0, "reference", True)
    assert of("big", "de") == (0.0, "reference", True)
    assert of("big", "mt") == (0.0, "reference", False)


def test_two_languages_count_as_the_worse_one() -> None:
    assert of("small", "nb", "nn") == (-20.0, "measured", True)
    assert of("claims", "de", "mt") == (None, "declared", True)
    assert of("small", "nb", "th") == (None, "none", False)


def test_norwegian_covers_both_standards() -> None:
    small = FLEET.model("small")
    assert declares(small, "nb")
    assert declares(small, "nn")
    only_no = fleet(entry("big"), entry("m", quality={"no": -3})).model("m")
    assert evidence(only_no, "nn").delta == -3  # type: ignore[union-attr]
    both = fleet(entry("big"), entry("m", quality={"nb": -3, "nn": -9})).model("m")
    assert evidence(both, "no").delta == -9  # type: ignore[union-attr]


def test_a_claim_passes_only_where_nobody_is_proven_and_the_floor_is_low() -> None:
    claim = standing(FLEET.model("claims"), ("mt",), "big", MEASURED)
    assert passes(claim, -15, proven=False)
    assert not passes(claim, -15, proven=True)
    assert not passes(claim, -3, proven=False)
    assert not is_proven([claim])
    assert is_proven([standing(FLEET.model("big"), ("de",), "big", MEASURED)])
