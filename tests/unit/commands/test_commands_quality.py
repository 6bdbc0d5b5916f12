"""`parlance quality` as it is typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from serve.cli import main
from serve.fleet.evidence import parse
from serve.fleet.loader import load
from serve.fleet.tasks import Task

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "tests" / "unit" / "fleet" / "results"
PROMPTS = str(ROOT / "tests" / "data" / "tasks.jsonl")
OURS = str(next(RESULTS.glob("results_2026*.json")))
THEIRS = str(RESULTS / "results_reference.json")


def test_tasks_tells_how_well_they_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quality", "tasks", PROMPTS, "--split", "test"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("375 prompts: accuracy 0.")
    for words in ("macro-F1", "calibration error", "µs a text", "translation", "wrong, the surest first:"):
        assert words in out


def test_tasks_tells_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quality", "tasks", PROMPTS, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["prompts"] == 887
    assert {one["task"] for one in told["tasks"]} == {task.value for task in Task}
    assert told["microseconds_per_text"] > 0
    assert {"probability", "right", "guesses"} == set(told["bins"][0])


def test_a_row_that_does_not_fit_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"text": "a", "task": "prose"}\n', encoding="utf-8")
    assert main(["quality", "tasks", str(path)]) == 1
    assert f"{path}: 1 problem" in capsys.readouterr().err
    assert main(["quality", "tasks", PROMPTS, "--split", "none"]) == 1
    assert "no row of split 'none'" in capsys.readouterr().err


def test_an_import_is_evidence_that_a_fleet_reads(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "own.tsv"
    words = ["quality", "import", OURS, "--reference", THEIRS, "--model", "gemma-2-9b-it", "--out", str(out)]
    assert main(words) == 0
    captured = capsys.readouterr()
    assert "left out: norsk_lokal_quiz: not known to be about any of the tasks" in captured.err
    assert f"{out}: 6 rows written" in captured.err
    assert parse(out.read_text(encoding="utf-8"), "own").newest == "2026-06-01"
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(
        'evidence: [own.tsv]\nmodels:\n  - use: gemma-2-9b-it\n    upstream: {base_url: "http://127.0.0.1:9"}\n',
        encoding="utf-8",
    )
    found = load(fleet).model("gemma-2-9b-it").card.quality["nb"]
    assert found.tasks[Task.TRANSLATION].delta == -7.8
    assert found.delta == -9.7


def test_a_second_import_adds_to_the_file(tmp_path: Path) -> None:
    out = tmp_path / "own.tsv"
    assert main(["quality", "import", OURS, "--reference", THEIRS, "--out", str(out)]) == 0
    before = {(row.model, row.language, row.task) for row in parse(out.read_text(encoding="utf-8"), "own").rows}
    words = ["quality", "import", str(RESULTS / "euroeval_benchmark_results.jsonl"), "--out", str(out)]
    assert main([*words, "--reference-model", "meta-llama/Llama-3.3-70B-Instruct"]) == 0
    after = {(row.model, row.language, row.task) for row in parse(out.read_text(encoding="utf-8"), "own").rows}
    assert before < after
    assert ("example-org/house-9b", "da", Task.SUMMARY) in after


def test_an_import_that_cannot_be_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["quality", "import", str(tmp_path / "none.json")]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert main(["quality", "import", OURS]) == 1  # a file against itself
    assert "nothing that both models were measured on" in capsys.readouterr().err


EXAMPLE = str(ROOT / "serve" / "fleet" / "examples" / "8xh100.yaml")


def test_report_is_a_table_json_and_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["quality", "report", "--fleet", EXAMPLE, "--languages", "nb,mt"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "nb Norwegian Bokmål  gemma-2-9b-it" in out
    assert "No model has evidence in mt" in out
    assert main([*words, "--json", "--task", "summary"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["task"] == "summary"
    bokmal, maltese = told["lines"]
    assert {cell["model"]: cell["delta"] for cell in bokmal["cells"]}["gemma-2-9b-it"] == -6.8
    assert bokmal["quality"] in bokmal["cells"]
    assert maltese["quality"]["delta"] is None
    assert main([*words, "--markdown", "--floor", "best"]) == 0
    assert "floor -3 points" in capsys.readouterr().out


def test_report_refuses_what_is_no_language(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quality", "report", "--fleet", EXAMPLE, "--languages", "nb,norsk"]) == 1
    assert "'norsk' is no language tag such as nb, and none of eu24, nordic" in capsys.readouterr().err


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    words = ["quality", "report", "--fleet", EXAMPLE, "--languages", "nb,mt", "--picture", str(path)]
    assert main(words) == 0
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_a_picture_without_matplotlib_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    words = ["quality", "report", "--fleet", EXAMPLE, "--languages", "nb", "--picture", str(tmp_path / "map.png")]
    assert main(words) == 1
    assert "install parlance with its extra `report`" in capsys.readouterr().err
