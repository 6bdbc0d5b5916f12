"""Result files of lm-evaluation-harness and EuroEval become evidence, by the formula and with what is left out said."""

from __future__ import annotations

import json
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from serve.errors import DescriptionError
from serve.fleet.evidence import Row
from serve.fleet.evidence_benchmarks import family_of, language_of, tag_of
from serve.fleet.evidence_import import Imported, differences, with_rows
from serve.fleet.evidence_results import read
from serve.fleet.tasks import Task

pytestmark = pytest.mark.unit

RESULTS = Path(__file__).with_name("results")
REFERENCE = "meta-llama/Llama-3.3-70B-Instruct"


def text(name: str) -> str:
    return next(RESULTS.glob(name)).read_text(encoding="utf-8")


def lm_eval(language: str | None = None, **changed: Any) -> Imported:
    ours, theirs = (json.loads(text(name)) for name in ("results_2026*.json", "results_reference.json"))
    for name, figures in changed.items():
        ours["results"][name].update(figures)
    model = read(json.dumps(ours), "ours", language)
    return differences(model, read(json.dumps(theirs), "theirs", language), None, "house")


def by_place(imported: Imported) -> dict[tuple[str, Task | None], Row]:
    return {(row.language, row.task): row for row in imported.rows}


def test_a_difference_is_on_the_scale_where_the_reference_is_100_and_guessing_0() -> None:
    row = by_place(lm_eval())["nb", Task.EXTRACTION]
    points = 100 * (71 - 89) / (89 - 25)  # Belebele has four choices
    half = 1.96 * 100 * sqrt(2 * 1.15**2) / (89 - 25)
    assert row.model == "house"
    assert row.delta == pytest.approx(points)
    assert (row.low, row.high) == (pytest.approx(points - half), pytest.approx(points + half))
    assert row.status == "own"
    assert "belebele_nob_Latn acc_norm" in row.source
    assert f"lm-evaluation-harness 0.4.12; against {REFERENCE}" in row.source


def test_languages_and_tasks_are_read_from_the_names() -> None:
    assert set(by_place(lm_eval())) == {
        ("nb", Task.EXTRACTION),
        ("zh", Task.EXTRACTION),
        ("de", Task.CHAT),
        ("en", Task.REASONING),
        ("nb", Task.TRANSLATION),
        ("da", Task.REASONING),
    }


def test_a_group_in_one_language_stands_for_its_parts_and_one_over_languages_for_nothing() -> None:
    row = by_place(lm_eval())["de", Task.CHAT]
    assert row.source.startswith("global_mmlu_full_de acc,none;")
    assert "anatomy" not in row.source
    assert not any("belebele acc" in row.source for row in lm_eval().rows)


def test_parts_of_groups_of_groups_are_parts() -> None:
    figures = {"acc,none": 0.7, "acc_stderr,none": 0.01}
    whole = {
        "model_name": "m",
        "results": dict.fromkeys(("mmlu", "mmlu_stem", "mmlu_anatomy", "mmlu_virology"), figures),
        "group_subtasks": {"mmlu": ["mmlu_stem"], "mmlu_stem": ["mmlu_anatomy", "mmlu_virology"]},
    }
    found = read(json.dumps(whole), "f")
    assert [(score.benchmark, score.language) for score in found.scores] == [("mmlu", "en")]
    assert found.left_out == ()


def test_a_metric_without_an_error_has_no_interval() -> None:
    row = by_place(lm_eval())["nb", Task.TRANSLATION]
    assert row.delta == pytest.approx(100 * (52.1 - 56.5) / 56.5)
    assert (row.low, row.high) == (None, None)


def test_what_is_left_out_is_said() -> None:
    assert lm_eval().left_out == ("norsk_lokal_quiz: not known to be about any of the tasks",)
    ours, theirs = (json.loads(text(name)) for name in ("results_2026*.json", "results_reference.json"))
    del theirs["results"]["gsm8k"]
    theirs["results"]["arc_challenge_mt_da"]["acc_norm,none"] = 0.27
    theirs["results"]["arc_challenge_mt_da"]["acc,none"] = 0.26
    found = differences(read(json.dumps(ours), "x"), read(json.dumps(theirs), "y"), None, None)
    assert "gsm8k: not in the reference's results, or not alike" in found.left_out
    assert "arc_challenge_mt_da: the reference itself (27.0) is hardly better than a guess" in found.left_out
    assert ("en", Task.REASONING) not in by_place(found)


def test_runs_with_other_shots_are_not_compared() -> None:
    ours, theirs = (json.loads(text(name)) for name in ("results_2026*.json", "results_reference.json"))
    ours["n-shot"]["gsm8k"] = 0
    found = differences(read(json.dumps(ours), "x"), read(json.dumps(theirs), "y"), None, None)
    assert "gsm8k: not in the reference's results, or not alike" in found.left_out


def euroeval() -> dict[tuple[str, Task | None], Row]:
    results = read(text("euroeval*.jsonl"), "euroeval")
    return by_place(differences(results, results, REFERENCE, "house"))


def test_euroeval_both_formats_and_its_errors_that_are_radii() -> None:
    found = euroeval()
    summary = found["da", Task.SUMMARY]
    assert summary.delta == pytest.approx(100 * (62 - 64) / 64)
    # `_se` is 1.96 standard errors already: the interval is what two such radii come to.
    assert summary.high == pytest.approx(summary.delta + 100 * sqrt(2 * 1.0**2) / 64)
    assert "chrf3pp" in summary.source
    assert ("nb", Task.CHAT) in found
    assert ("nn", Task.CHAT) in found
    assert ("no", Task.CHAT) not in found


def test_several_benchmarks_have_their_spread_in_the_interval_and_reading_gains_do_not_count() -> None:
    row = euroeval()["da", Task.EXTRACTION]
    # Reading comprehension 80 against 75 counts as 0; named entities 50 against 70.
    entities = 100 * (50 - 70) / 70
    assert row.delta == pytest.approx(entities / 2)
    assert row.low is not None
    assert row.low < row.delta - 1.96 * abs(entities) / 2 / sqrt(2) * 0.99


def test_the_mean_is_of_two_tasks_or_more() -> None:
    found = euroeval()
    assert found["da", None].delta == pytest.approx(
        (found["da", Task.SUMMARY].delta + found["da", Task.EXTRACTION].delta) / 2
    )  # type: ignore[operator]
    assert ("nb", None) not in found


def test_which_models_are_meant_must_be_clear() -> None:
    results = read(text("euroeval*.jsonl"), "euroeval")
    with pytest.raises(
        ValueError, match=r"several models: say which with --reference-model: example-org/house-9b, meta"
    ):
        differences(results, results, None, None)
    with pytest.raises(ValueError, match=r"no model 'x': one of example-org/house-9b"):
        differences(results, results, "x", None)


def test_a_file_of_neither_program_is_said() -> None:
    with pytest.raises(DescriptionError, match=r"line 1: hello: is no JSON"):
        read("hello", "f")
    with pytest.raises(DescriptionError, match=r"a result of lm-evaluation-harness .* or of EuroEval"):
        read('{"a": 1}', "f")
    with pytest.raises(DescriptionError, match="has no results"):
        read("", "f")
    with pytest.raises(DescriptionError, match="does not say which model"):
        read('{"results": {}, "configs": {}}', "f")


def test_an_import_replaces_what_is_measured_anew() -> None:
    old = Row("m", "nb", Task.CODE, -5.0, None, None, "own", "old")
    other = Row("m", "nn", Task.CODE, -6.0, None, None, "own", "old")
    new = Row("m", "nb", Task.CODE, -1.0, None, None, "own", "new")
    assert with_rows([old, other], [new]) == (new, other)


@pytest.mark.parametrize(
    ("name", "dataset", "tag"),
    [
        ("belebele_nob_Latn", "nob_Latn", "nb"),
        ("flores200_eng_Latn-deu_Latn", "", "de"),
        ("wmt16-de-en", "", "de"),
        ("mgsm_en_cot_de", "de", "de"),
        ("global_mmlu_full_pt_anatomy", "", "pt"),
        ("xlsum", "japanese_ja", "ja"),
        ("gsm8k", "main", "en"),
        ("norquad", "", None),
        ("my_benchmark", "default", None),
    ],
)
def test_the_language_of_a_benchmark(name: str, dataset: str, tag: str | None) -> None:
    assert language_of(name, dataset) == tag


def test_codes_and_families() -> None:
    assert [tag_of(code) for code in ("nno", "nn", "sme", "xx", "")] == ["nn", "nn", "se", None, None]
    assert family_of("humaneval_plus") == (Task.CODE, 0.0)
    assert family_of("xcopa_et") == (Task.REASONING, 50.0)
    assert family_of("toxigen") is None
