"""The report of quality: it says what `decide` says, prices by hand, and what nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from routing_fleets import entry, fleet, nordic

from serve.fleet import load, words
from serve.fleet.fertility import table
from serve.fleet.tasks import Task
from serve.routing.decide import decide
from serve.routing.records import Hints, Request
from serve.routing.report import EU24, SETS, languages, report
from serve.routing.report_page import as_dict, evidence_rows, markdown, rows, summary, task_rows

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "serve" / "fleet" / "examples" / "8xh100.yaml"
FLEET = nordic()


def test_the_sets() -> None:
    assert len(set(EU24)) == 24
    assert set(SETS["default"]) == set(EU24) | {"nb", "nn", "se", "is", "fo"}
    assert len(SETS["default"]) == 29
    assert languages("nb, de", FLEET) == ("nb", "de")
    assert set(languages("all", FLEET)) == set(SETS["default"])
    assert "no" not in languages("all", load(EXAMPLE))


def test_the_model_is_the_one_that_decide_chooses() -> None:
    made = report(FLEET, ("de", "nb", "nn", "th"))
    for line in made.lines:
        decision = decide(Request(characters=900, hints=Hints(language=line.language)), FLEET, {}, 0.0)
        assert (line.model, line.reason_code, line.fallback) == (
            decision.model,
            decision.reason_code,
            decision.fallback,
        )
        assert {cell.model: cell.rejection for cell in line.cells} == {
            one.model: one.rejection.value if one.rejection else None
            for one in decision.candidates
            if one.model != "base"
        }
    assert [line.model for line in made.lines] == ["small", "small", "big", "big"]


def test_task_and_floor_are_passed_on() -> None:
    one = entry("m", languages=["en"], price=(0.1, 0.1))
    one["card"]["quality"] = {"nb": {"delta": -20, "tasks": {"summary": {"delta": -5, "low": -8, "high": -2}}}}
    own = fleet(entry("big", price=(10, 10)), one)
    assert report(own, ("nb",)).lines[0].model == "big"
    summaries = report(own, ("nb",), Task.SUMMARY).lines[0]
    assert summaries.model == "m"
    assert summaries.quality is not None
    assert (summaries.quality.delta, summaries.quality.low, summaries.quality.high) == (-5, -8, -2)
    assert summaries.by_task == ()
    assert report(own, ("nb",), floor="economy").lines[0].model == "m"  # type: ignore[arg-type]
    chosen = {task: model for task, model, _ in report(own, ("nb",)).lines[0].by_task}
    assert (chosen[Task.SUMMARY], chosen[Task.CODE]) == ("m", "big")


def test_costs_by_hand() -> None:
    line = report(FLEET, ("nb",)).lines[0]
    tokens = 1000 * words.characters_per_word()["nb"] * table()["llama3"]["nb"].prose
    assert line.reference_cost.input_usd == pytest.approx(tokens * 10 / 1e6)
    assert line.cost is not None
    assert line.cost.input_usd == pytest.approx(tokens * 1 / 1e6)
    assert line.cost.output_usd == pytest.approx(tokens * 2 / 1e6)


def test_a_reasoning_models_answer_costs_its_thoughts() -> None:
    plain = report(fleet(entry("big")), ("nb",)).lines[0].reference_cost
    thinks = report(fleet(entry("big", kind="reasoning")), ("nb",)).lines[0].reference_cost
    assert thinks.input_usd == plain.input_usd
    assert thinks.output_usd == pytest.approx(4 * plain.output_usd)


def test_a_language_without_spaces_is_priced_by_content() -> None:
    line = report(FLEET, ("zh",)).lines[0]
    llama = table()["llama3"]
    tokens = 1000 * words.characters_per_word()["en"] * llama["en"].prose * (llama["zh"].same_content or 0)
    assert line.by_content
    assert line.reference_cost.input_usd == pytest.approx(tokens * 10 / 1e6)


def test_what_nobody_knows_is_empty_and_said() -> None:
    line = report(FLEET, ("mt",)).lines[0]
    assert {cell.model: (cell.delta, cell.status) for cell in line.cells} == {
        "big": (None, "none"),  # no difference to it was ever taken in Maltese
        "small": (None, "none"),
        "claims": (None, "declared"),
    }
    assert set(line.without_evidence) == {"big", "small", "claims"}
    assert "No model has evidence in mt" in summary(report(FLEET, ("mt", "de")))


def test_the_tables_have_a_row_a_language() -> None:
    made = report(FLEET, ("de", "nb", "mt", "zh"))
    table_ = rows(made)
    assert {len(row) for row in table_} == {len(table_[0])}
    german = table_[1]
    assert german[:4] == ["de German", "small", "-8.0", "measured"]
    assert german[8] == "15%"
    assert table_[4][0] == "zh Chinese †"
    assert evidence_rows(made)[1] == ["de", "0", "**-8.0**", "declared"]
    assert task_rows(made)[0] == ["language", *(task.value for task in Task)]
    plain = as_dict(made)
    assert plain["lines"][0]["by_task"]["chat"] == {"model": "small", "fallback": False}
    page = markdown(made, "x.png")
    assert "![Evidence by model and language](x.png)" in page
    assert "†: no words between spaces" in page


def test_the_page_of_the_default_fleet_is_current() -> None:
    page = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
    made = report(load(EXAMPLE), SETS["default"])
    assert page == markdown(made, "quality.png"), "run: make docs"
    assert (ROOT / "docs" / "quality.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
