"""`parlance languages` as people and scripts see it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from serve.cli import main

pytestmark = pytest.mark.unit
TEXTS = Path(__file__).parents[2] / "data"


def written(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def test_detect_prints_a_row_for_each_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(
        tmp_path / "texts.jsonl",
        {"text": "Kan du forklare meg korleis eg søkjer om foreldrepengar?", "id": 7},
        {"text": "12345"},
        {"text": "Skriv eit dikt på tysk om hausten i fjellet, er du snill"},
    )
    assert main(["languages", "detect", str(file)]) == 0
    nynorsk, number, german = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (nynorsk["lang"], nynorsk["answer_lang"], nynorsk["abstained"]) == ("nn", "nn", False)
    assert number == {"lang": "other", "posterior": {"other": 1.0}, "answer_lang": "other", "abstained": True}
    assert (german["lang"], german["answer_lang"]) == ("nn", "de")
    for row in (nynorsk, number, german):
        assert list(row) == ["lang", "posterior", "answer_lang", "abstained"]
        assert sum(row["posterior"].values()) == pytest.approx(1.0)


def test_detect_reads_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stdin = io.TextIOWrapper(io.BytesIO('{"text": "Hyvää päivää"}\n'.encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["languages", "detect", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["lang"] == "fi"


@pytest.mark.parametrize(("line", "words"), [
    ('{"txt": "hei"}', ("line 2", "text")),
    ('{"text": 5}', ("line 2", "$.text")),
    ("not json", ("line 2", "not json")),
])  # fmt: skip
def test_a_wrong_row_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, words: tuple[str, ...]
) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "hei"}\n' + line, encoding="utf-8")
    assert main(["languages", "detect", str(file)]) == 1
    error = capsys.readouterr().err
    assert all(word in error for word in (str(file), *words)), error


def test_evaluate_refuses_a_label_that_is_no_tag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path / "rows.jsonl", {"lang": "nb", "text": "hei"}, {"lang": "norsk bokmål", "text": "hei"})
    assert main(["languages", "evaluate", str(file)]) == 1
    error = capsys.readouterr().err
    assert all(word in error for word in ("row 2 lang", "'norsk bokmål'", "BCP-47")), error


def test_evaluate_says_how_good_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["languages", "evaluate", str(TEXTS / "short_lines.jsonl")]) == 0
    text = capsys.readouterr().out
    for words in (
        "macro-F1 0.",
        "expected calibration error",
        "recognised",
        "abstained",
        "taken for",
        "µs each",
        "0.9 to 1.0",
    ):
        assert words in text


def test_evaluate_as_json_holds_a_file_each(capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(TEXTS / "sentences.jsonl"), str(TEXTS / "short_lines.jsonl")]
    assert main(["languages", "evaluate", "--json", *files]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert list(figures) == files
    assert figures[files[0]]["covered"]["languages"] == 40
    assert figures[files[0]]["outside"] == {"texts": 0, "recognised": None, "taken_for": []}
    assert 0 < figures[files[1]]["outside"]["recognised"] <= 1
    assert figures[files[0]]["microseconds_per_text"] > 0
