"""Evidence, coverage and floors."""

from __future__ import annotations

import pytest
from routing_fleets import entry, fleet, nordic

from serve.fleet.description import Model
from serve.fleet.routing import Routing
from serve.fleet.tasks import Task
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


def with_tasks() -> Model:
    quality = {
        "nb": {"delta": -10, "low": -20, "high": 0, "tasks": {"summary": {"delta": -2, "low": -3, "high": -1}}},
        "nn": {"delta": -30, "low": -40, "high": -20, "status": "measured"},
        "se": {"tasks": {"code": {"delta": -5}}},
    }
    one = entry("m", languages=["en"])
    one["card"]["quality"] = quality
    return fleet(entry("big"), one).model("m")


def test_a_task_with_evidence_has_its_own_figure_and_the_others_the_mean() -> None:
    model = with_tasks()
    summary = standing(model, ("nb",), "big", MEASURED, Task.SUMMARY)
    assert (summary.delta, summary.low, summary.high, summary.task) == (-2, -3, -1, Task.SUMMARY)
    for task in (Task.CODE, None):
        mean = standing(model, ("nb",), "big", MEASURED, task)
        assert (mean.delta, mean.low, mean.high, mean.task) == (-10, -20, 0, None)


def test_of_two_languages_the_worse_figure_counts_with_its_own_interval() -> None:
    found = standing(with_tasks(), ("nb", "nn"), "big", MEASURED, Task.SUMMARY)
    assert (found.delta, found.low, found.high, found.status, found.task) == (-30, -40, -20, "measured", None)


def test_evidence_for_another_task_covers_a_language_and_is_no_figure() -> None:
    code = standing(with_tasks(), ("se",), "big", MEASURED, Task.CODE)
    assert (code.delta, code.covered, code.low) == (-5, True, None)
    chat = standing(with_tasks(), ("se",), "big", MEASURED, Task.CHAT)
    assert (chat.delta, chat.covered, chat.missing) == (None, True, ())


def test_no_task_changes_the_reference() -> None:
    found = standing(FLEET.model("big"), ("de",), "big", MEASURED, Task.CODE)
    assert (found.delta, found.low, found.high, found.status) == (0.0, 0.0, 0.0, "reference")


def test_a_task_may_have_its_own_floor() -> None:
    routing = Routing.model_validate({"quality_floor": "balanced", "floors": {"summary": "economy", "code": -1}})
    assert [routing.floor(task) for task in (None, Task.SUMMARY, Task.CODE, Task.CHAT)] == [-15, -30, -1, -15]
