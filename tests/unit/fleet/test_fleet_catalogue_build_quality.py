"""quality.tsv from a small sample of the collected facts, checked against the formula by hand."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from statistics import fmean, pvariance

import pytest

from serve.errors import DescriptionError
from serve.fleet import evidence
from serve.fleet.catalogue import build_quality
from serve.fleet.catalogue.build_quality import Entry
from serve.fleet.tasks import Task

pytestmark = pytest.mark.unit

FACTS = Path(__file__).with_name("facts")
ENTRIES = {
    "gemma": Entry("google/gemma-2-9b-it", frozenset({"en"})),
    "suzume": Entry("lightblue/suzume-llama-3-8B-multilingual", frozenset({"fr", "ja"})),
    "llama": Entry("meta-llama/Llama-3.3-70B-Instruct", frozenset({"fr"})),
    "thinking": Entry("norallm/normistral-11b-thinking", frozenset({"nb"})),
}


def text(name: str) -> str:
    return (FACTS / name).read_text(encoding="utf-8")


def made(**changed: str) -> str:
    texts = {name: changed.get(name, text(f"{name}.csv")) for name in ("quality_index", "quality_by_task", "quality")}
    return build_quality.quality_tsv(texts["quality_index"], texts["quality_by_task"], texts["quality"], ENTRIES)


def rows() -> dict[tuple[str, str, Task | None], evidence.Row]:
    return {(row.model, row.language, row.task): row for row in evidence.parse(made(), "quality.tsv").rows}


def test_the_header_says_the_format_and_the_newest_snapshot() -> None:
    assert made().splitlines()[:2] == ["# format: 2", "# newest: 2026-04-20"]


def test_the_mean_is_of_the_generative_families_and_reading_gains_do_not_count() -> None:
    found = rows()
    # gemma nb: reading -0.9, summaries -6.8, knowledge -34.9, common sense 3.9.
    assert found["gemma", "nb", None].delta == round(fmean([-0.9, -6.8, -34.9, 3.9]), 1)
    assert (found["gemma", "nb", None].low, found["gemma", "nb", None].high) == (-26.5, 17.4)
    # gemma fr: reading comprehension is above the reference's there, and counts as 0.
    families = {
        line.split(",")[2]: float(line.split(",")[5])
        for line in text("quality_by_task.csv").splitlines()
        if line.startswith("google/gemma-2-9b-it,fr,")
    }
    reading = families["reading-comprehension"]
    assert reading > 0
    generative = [min(reading, 0), families["summarization"], families["knowledge"], families["common-sense-reasoning"]]
    assert found["gemma", "fr", None].delta == pytest.approx(fmean(generative), abs=0.051)


def test_with_too_few_generative_families_the_mean_is_of_all() -> None:
    # Faroese has reading comprehension alone: +5.0 there is no evidence that a 9B model beats a 70B.
    row = rows()["gemma", "fo", None]
    cells = [line.split(",") for line in text("quality_by_task.csv").splitlines()]
    families = {cell[2]: float(cell[5]) for cell in cells if cell[0] == "google/gemma-2-9b-it" and cell[1] == "fo"}
    assert families.pop("reading-comprehension") == 5.0
    assert len(families) == 3
    assert row.delta == pytest.approx(fmean([0.0, *families.values()]), abs=0.051)
    assert row.status == "partial"
    assert "too few are generative" in row.source
    assert ("gemma", "fo", Task.CHAT) not in rows()


def test_a_mean_needs_knowledge_or_common_sense() -> None:
    kept = [
        line
        for line in text("quality_by_task.csv").splitlines(keepends=True)
        if not line.startswith(("google/gemma-2-9b-it,nb,knowledge", "google/gemma-2-9b-it,nb,common-sense"))
    ]
    parsed = evidence.parse(made(quality_by_task="".join(kept)), "x").rows
    (row,) = [row for row in parsed if (row.model, row.language, row.task) == ("gemma", "nb", None)]
    # Sentiment 33.4, entities -32.7, acceptability 6.3, reading -0.9, summaries -6.8.
    assert row.delta == round(fmean([33.4, -32.7, 6.3, -0.9, -6.8]), 1)


def test_a_tasks_figure_and_interval_follow_the_formula() -> None:
    cells = [line.split(",") for line in text("quality_by_task.csv").splitlines() if line.startswith("google/gemma")]
    variance, errors, deltas = {}, {}, {}
    for family in ("named-entity-recognition", "reading-comprehension"):
        mine = [row for row in cells if row[2] == family and row[5]]
        spread = pvariance([float(row[5]) for row in mine]) - fmean(float(row[6]) ** 2 for row in mine)
        assert len(mine) >= build_quality.SPREAD_LANGUAGES
        variance[family] = max(spread, 0)
        (nb,) = [row for row in mine if row[1] == "nb"]
        deltas[family], errors[family] = float(nb[5]), float(nb[6])
    half = 1.96 * sqrt(sum(errors[family] ** 2 + variance[family] for family in variance)) / 2
    row = rows()["gemma", "nb", Task.EXTRACTION]
    assert row.delta == pytest.approx(fmean(deltas.values()), abs=0.051)
    assert row.low == pytest.approx(fmean(deltas.values()) - half, abs=0.06)
    assert row.high == pytest.approx(fmean(deltas.values()) + half, abs=0.06)
    assert row.status == "measured"


def test_nothing_is_claimed_of_translation_and_code() -> None:
    assert {task for _, _, task in rows()} == {None, Task.CHAT, Task.SUMMARY, Task.EXTRACTION, Task.REASONING}


def test_a_proxy_has_its_base_models_figures_and_a_wider_interval() -> None:
    row = rows()["suzume", "nb", Task.SUMMARY]
    assert (row.delta, row.status) == (-7.3, "proxy")  # Meta-Llama-3-8B-Instruct's summaries
    assert "values of Meta-Llama-3-8B-Instruct" in row.source
    assert row.low is not None
    assert row.low < -7.3 - 8


def test_no_figure_is_empty_and_says_whether_the_maker_claims_the_language() -> None:
    found = rows()
    assert found["suzume", "ja", None].delta is None
    assert found["suzume", "ja", None].status == "declared"
    assert (found["gemma", "ja", None].delta, found["gemma", "ja", None].status) == (None, "none")
    assert not any(model == "llama" for model, _, _ in found)  # the reference is 0 by definition


def test_every_interval_holds_its_figure() -> None:
    for row in rows().values():
        if row.delta is not None and row.low is not None and row.high is not None:
            assert row.low <= row.delta <= row.high


def test_the_same_facts_give_the_same_bytes_whatever_their_order() -> None:
    head, *rest = text("quality_index.csv").splitlines(keepends=True)
    assert made(quality_index=head + "".join(reversed(rest))) == made()


def test_broken_tables_are_said() -> None:
    with pytest.raises(DescriptionError, match="has no column model, language"):
        made(quality_index="a,b\n1,2\n")
    with pytest.raises(DescriptionError, match=r"line \d+: 'much': a number"):
        made(quality_by_task=text("quality_by_task.csv").replace("-34.9", "much"))
    with pytest.raises(DescriptionError, match=r"no row of EuroEval/leaderboards has a date"):
        made(quality=text("quality.csv").replace("EuroEval/leaderboards", "elsewhere"))
