"""`parlance replay` and `parlance evaluate`: files in, a table or JSON out, and clear errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serve.cli import main
from serve.fleet.loader import LAPTOP, laptop
from serve.routing import Request
from serve.routing.decide import decide_observed
from serve.routing.log import encoder, entry_of
from serve.routing.observe import observe

pytestmark = pytest.mark.unit
SENTENCES = Path(__file__).parents[2] / "data" / "sentences.jsonl"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines = []
    for row in map(json.loads, SENTENCES.read_text(encoding="utf-8").splitlines()):
        request = Request(text=row["text"])
        observed = observe(request)
        decision = decide_observed(observed, request, laptop(), {}, 1_700_000_000.0)
        lines.append(encoder.encode(entry_of(decision, request, observed, {}, "req", "", None)))
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def test_replay_of_the_same_fleet_says_so(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(log), "--fleet", str(LAPTOP)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("120 decisions, 2023-11-14 22:13 to 2023-11-14 22:13 UTC")
    assert "0 (0.0%) would go elsewhere" in out


def test_replay_with_a_stricter_floor_costs_more(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strict = tmp_path / "strict.yaml"
    strict.write_text(LAPTOP.read_text(encoding="utf-8") + "\nrouting: {quality_floor: best}\n", encoding="utf-8")
    assert main(["replay", str(log), "--fleet", str(strict), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["decisions"] == 120
    assert result["changed"] > 0
    assert result["would"]["cost_usd"] > result["was"]["cost_usd"]
    assert sum(change["count"] for change in result["changes"]) == result["changed"]


def test_lines_that_cannot_be_read_are_left_out_and_said(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_bytes(b'{"v": 7}\n' + log.read_bytes() + b"half a li")
    assert main(["replay", str(log), "--fleet", str(LAPTOP)]) == 0
    err = capsys.readouterr().err
    assert "line 1: left out: v: 7" in err
    assert "line 122: left out: no JSON" in err


def test_a_log_without_decisions_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log").write_text("")
    assert main(["replay", str(tmp_path / "log"), "--fleet", str(LAPTOP)]) == 1
    assert "no decision to replay" in capsys.readouterr().err
    assert main(["replay", str(tmp_path / "absent"), "--fleet", str(LAPTOP)]) == 1
    assert "absent: 1 problem" in capsys.readouterr().err


def test_evaluate_prints_all_policies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(SENTENCES)]) == 0
    out = capsys.readouterr().out
    for policy in ("auto", "oracle", "always the reference", "always the cheapest"):
        assert f"\n{policy}  " in out


def test_evaluate_as_json_keeps_to_the_oracle(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(SENTENCES), "--floor", "economy", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["prompts"] == 120
    assert abs(result["auto_above_oracle"]) <= 0.02
    assert set(result["languages"]) >= {"nb", "se", "th"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"text": 3, "lang": "nb"}', "$.text"),
        ('{"text": "hei"}', "lang"),
        ('{"text": "hei", "lang": "no such tag!"}', "row 1 lang"),
        ('{"text": "hei", "lang": "nb", "task": "cooking"}', "$.task"),
        ('{"text": "hei", "lang": "nb", "max_tokens": 0}', "row 1 max_tokens"),
        ("", "no rows"),
    ],
)
def test_a_row_that_does_not_fit_is_said(
    row: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(row, encoding="utf-8")
    assert main(["evaluate", str(path)]) == 1
    assert said in capsys.readouterr().err
