"""`parlance fleet` and `parlance catalogue` as they are typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from serve.cli import main
from serve.fleet import catalogue

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
EXAMPLE = str(ROOT / "serve" / "fleet" / "examples" / "8xh100.yaml")
FACTS = ROOT / "tests" / "unit" / "fleet" / "facts"


def test_check_tells_the_fleet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "check", EXAMPLE]) == 0
    out = capsys.readouterr().out
    for line in (
        "fleet 8xh100: 5 models",
        "  source     google/gemma-2-9b-it; Gemma Terms of Use, gated",
        "  engine     2x H100-SXM-80GB, tensor_parallel 2, fp8, weights: hub",
        "  price      0.59 in, 0.75 out, USD per million tokens (list)",
        "  languages  35 declared, 31 with evidence",
        "reference  llama-3.3-70b-instruct",
        "floor      balanced (-15 points against the reference)",
        "gateway    http://0.0.0.0:8080, operator's port http://127.0.0.1:8081",
        "GPUs       6 to 8x H100-SXM-80GB",
    ):
        assert f"{line}\n" in out


def test_check_tells_programs_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    shutil.copy(EXAMPLE, path)
    (tmp_path / "keys.yaml").touch()
    assert main(["fleet", "check", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["reference"] == "llama-3.3-70b-instruct"
    assert told["gateway"]["keys_found"] is True
    assert told["models"][0]["engine"]["kv_room_tokens"] > 131_072


def test_check_tells_every_problem_and_fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("models:\n  - use: gemma-2-9b-itt\n    engin: {}\nrouting: {quality_floor: high}\n")
    assert main(["fleet", "check", str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "3 problems" in captured.err
    for path_in_file in ("models[0].engin:", "models[0].use:", "routing.quality_floor:"):
        assert path_in_file in captured.err


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "FleetFile"


def test_reference_is_printed_or_put_into_a_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["fleet", "reference"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("### The file")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- reference -->\nold\n<!-- /reference -->\nafter\n")
    assert main(["fleet", "reference", "--into", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- reference -->\n### The file")
    assert text.endswith("<!-- /reference -->\nafter\n")
    page.write_text("no marks")
    assert main(["fleet", "reference", "--into", str(page)]) == 1


def test_shapes_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "shapes", "llama-3.3-70b-instruct"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:3] == ["H100-SXM-80GB", "2", "fp8"]
    assert main(["fleet", "shapes", "llama-3.3-70b-instruct", "--context", "8192", "--json"]) == 0
    shorter = json.loads(capsys.readouterr().out)
    assert len(shorter) > len(lines) - 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shapes", "gpt-5"], "'gpt-5' is no model of the catalogue: one of eurollm-22b-instruct-2512"),
        (["shapes", "gemma-2-9b-it", "--context", "9000"], "--context 9000: 1 to 8192"),
        (["check", "none.yaml"], "none.yaml: 1 problem\n  (top level): no such file"),
    ],
)
def test_what_cannot_be_done_is_said(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", *words]) == 1
    assert said in capsys.readouterr().err


def test_the_catalogue_is_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue", "list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed[1:]] == list(catalogue.names())
    assert main(["catalogue", "show", "gemma-2-9b-it"]) == 0
    assert json.loads(capsys.readouterr().out)["architecture"]["head_dim"] == 256
    assert main(["catalogue", "show", "gpt-5"]) == 1


def test_the_catalogue_is_built(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["catalogue", "build", "--facts", str(FACTS), "--out", str(tmp_path)]
    assert main(words) == 0
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(first) == {"quality.tsv", "gpus.yaml"}
    assert "written" in capsys.readouterr().out
    assert main(words) == 0
    assert "written" not in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_a_list_price_that_no_longer_follows_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("quality_index.csv", "quality_by_task.csv", "quality.csv", "gpus.csv", "prices.csv"):
        text = (FACTS / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(
            text.replace("google/gemma-2-9b-it,Novita,0.08,0.08", "google/gemma-2-9b-it,Novita,9,9")
        )
    assert main(["catalogue", "build", "--facts", str(tmp_path), "--out", str(tmp_path)]) == 0
    assert "gemma-2-9b-it: the list price is 0.2 in, 0.2 out over 5 providers now" in capsys.readouterr().err


def test_absent_facts_are_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["catalogue", "build", "--facts", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert "prices.csv" in capsys.readouterr().err
