"""`parlance route` on the shipped fleet: what a person and a script see."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from serve.cli import main
from serve.commands.route import explain
from serve.fleet.loader import laptop

pytestmark = pytest.mark.unit


def out(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["route", *words]) == code
    return capsys.readouterr().out


def record(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, object]:
    return json.loads(out(capsys, "--json", *words, code=code))  # type: ignore[no-any-return]


def test_a_sentence_of_reasons_and_every_candidate(capsys: pytest.CaptureFixture[str]) -> None:
    text = out(capsys, "--text", "Kva er fjord?")
    assert text.startswith("Norwegian Nynorsk (0.")
    for model in laptop().models:
        assert model.id in text
    assert text.strip() == explain(laptop(), "Kva er fjord?")


def test_json_is_the_whole_record(capsys: pytest.CaptureFixture[str]) -> None:
    decision = record(capsys, "--text", "Kva er fjord?")
    assert decision["language"]["tag"] == "nn"  # type: ignore[index,call-overload]
    assert decision["model"] in decision["ranking"]  # type: ignore[operator]
    assert len(decision["candidates"]) == len(laptop().models)  # type: ignore[arg-type]


def test_chat_never_reaches_the_base_model_and_long_prompts_leave_eurollm(capsys: pytest.CaptureFixture[str]) -> None:
    decision = record(capsys, "--text", "Kan du forklare meg korleis fjordane vart til? " * 400, "--floor", "-100")
    rejections = {one["model"]: one["rejection"] for one in decision["candidates"]}  # type: ignore[attr-defined]
    assert rejections["normistral-11b-long"] == "no_chat_template"
    assert rejections["eurollm-9b-instruct"] == "context_too_small"


def test_options_reach_the_decision(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--text", "Hallo", "--language", "de-AT", "--floor", "economy", "--max-tokens", "7")
    decision = record(capsys, *words)
    assert decision["language"]["source"] == "hint"  # type: ignore[index,call-overload]
    assert decision["quality_floor"] == -30
    assert {one["output_tokens"] for one in decision["candidates"]} == {7}  # type: ignore[attr-defined]
    exact = record(capsys, "--text", "Hallo", "--model", "llama", "--system", "Antworte auf Englisch.", "--tools")
    assert (exact["model"], exact["mode"]) == ("llama-3.3-70b-instruct", "alias")
    assert exact["language"]["answer"] == "en"  # type: ignore[index,call-overload]


def test_standard_input_and_a_fleet_of_ones_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text("models:\n  - use: llama-3.3-70b-instruct\n    upstream: {base_url: http://127.0.0.1:9}\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("Was ist ein Fjord und wie entsteht er?"))
    assert "llama-3.3-70b-instruct is the only model of 1" in out(capsys, "--text", "-", "--fleet", str(fleet))


def test_no_model_is_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert record(capsys, "--text", "Hallo", "--endpoint", "embeddings", code=1)["model"] is None
    assert main(["route", "--text", "Hallo", "--model", "gpt-17"]) == 1
    assert "no model 'gpt-17' in the fleet: auto, llama-3.3-70b-instruct" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--language", "norsk"), "no language tag"),
        (("--floor", "good"), "economy, balanced, best"),
        (("--floor", "nan"), "economy, balanced, best"),
        (("--max-tokens", "0"), "no whole number above 0"),
        (("--max-cost", "-1"), "no amount in USD"),
    ],
)
def test_wrong_words_are_one_clear_line(capsys: pytest.CaptureFixture[str], words: tuple[str, str], said: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["route", "--text", "x", *words])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
