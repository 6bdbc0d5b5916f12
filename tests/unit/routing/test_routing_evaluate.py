"""Evaluate: the oracle knows, `auto` reads; both are paid for in the true language."""

from __future__ import annotations

import pytest
from routing_fleets import entry, fleet

from serve.fleet.tasks import Task
from serve.routing import Request
from serve.routing.evaluate import AUTO, CHEAPEST, ORACLE, REFERENCE, Evaluation

pytestmark = pytest.mark.unit

FLEET = fleet(
    entry("big", languages=["en", "nb", "nn", "de", "th"], price=(5, 5)),
    entry("small", languages=["nb"], quality={"nb": -4, "nn": -4}, price=(1, 1)),
    entry("poor", languages=["de"], quality={"nb": -60, "nn": -60, "de": -60}, price=(0.1, 0.1)),
)
NB = "Kan du forklare meg hvordan jeg søker om foreldrepenger når jeg er selvstendig?"
DE = "Kannst du mir erklären, wie ich Elterngeld beantrage, wenn ich selbstständig bin?"


def test_every_policy_is_counted_in_the_true_language() -> None:
    evaluation = Evaluation(FLEET)
    evaluation.add(Request(text=NB), "nb", None)
    evaluation.add(Request(text=DE), "de", None)
    results = evaluation.results
    assert results[AUTO].models == results[ORACLE].models == {"small": 1, "big": 1}
    assert results[REFERENCE].models == {"big": 2}
    assert results[CHEAPEST].models == {"poor": 2}
    assert results[CHEAPEST].below == 2
    assert results[AUTO].below == results[ORACLE].below == 0
    assert results[CHEAPEST].cost_usd < results[AUTO].cost_usd < results[REFERENCE].cost_usd
    assert evaluation.above_oracle == pytest.approx(0.0)
    assert evaluation.language_right == 2


def test_a_language_read_wrong_costs_what_it_costs_in_truth() -> None:
    evaluation = Evaluation(FLEET)
    evaluation.add(Request(text=DE), "nb", None)  # labelled Norwegian, reads as German
    assert evaluation.language_right == 0
    assert evaluation.results[ORACLE].models == {"small": 1}
    assert evaluation.results[AUTO].models == {"big": 1}
    assert evaluation.above_oracle == pytest.approx(4.0, rel=0.01)


def test_tasks_are_counted_where_they_are_given() -> None:
    evaluation = Evaluation(FLEET)
    evaluation.add(Request(text=NB), "nb", Task.CODE)
    evaluation.add(Request(text=NB), "nb", None)
    assert evaluation.task_given == 1
    assert evaluation.as_dict()["prompts"] == 2
