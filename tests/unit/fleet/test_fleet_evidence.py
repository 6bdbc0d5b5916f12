"""Evidence files: what they say, what is refused, and how a fleet uses its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve.errors import DescriptionError
from serve.fleet import catalogue, evidence
from serve.fleet.card import EvidenceStatus
from serve.fleet.evidence import COLUMNS, Row, by_model, merged, parse, render
from serve.fleet.loader import load
from serve.fleet.tasks import Task

pytestmark = pytest.mark.unit

HEAD = "# format: 2\n# newest: 2026-06-01\n" + "\t".join(COLUMNS) + "\n"
FLEET = """
evidence: [own.tsv]
models:
  - use: gemma-2-9b-it
    upstream: {base_url: "http://127.0.0.1:9"}
  - use: llama-3.3-70b-instruct
    upstream: {base_url: "http://127.0.0.1:9"}
"""


def line(*fields: str) -> str:
    return "\t".join(fields) + "\n"


def row(**over: object) -> Row:
    fields = {"model": "m", "language": "nb", "task": None, "delta": -4.0, "low": -9.0, "high": 1.0}
    return Row(**({**fields, "status": "own", "source": "s"} | over))  # type: ignore[arg-type]


def test_what_is_written_is_read_again() -> None:
    rows = (row(), row(task=Task.CODE, delta=-1.0), row(language="nn", delta=None, low=None, high=None, status="none"))
    text = render(rows, "2026-06-01", "by hand\n\nof ours")
    back = parse(text, "x")
    assert back.newest == "2026-06-01"
    assert [(r.language, r.task, r.delta, r.low, r.status) for r in back.rows] == [
        ("nb", None, -4.0, -9.0, "own"),
        ("nb", Task.CODE, -1.0, -9.0, "own"),
        ("nn", None, None, None, "none"),
    ]
    assert render(reversed(rows), "2026-06-01", "by hand\n\nof ours") == text


def test_a_row_without_a_figure_is_no_quality() -> None:
    assert by_model([row(delta=None, low=None, high=None, status="declared")]) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1, format: the file must begin with `# format: 2`"),
        (HEAD.replace("2\n", "1\n", 1), "line 1, format: 1: the file must begin with `# format: 2`"),
        (HEAD.replace("2026-06-01", "June"), "line 2, newest: June: `# newest:` gives a date such as 2026-04-20"),
        (HEAD.replace("\tlow", ""), "line 3: model\tlanguage\ttask\tdelta\thigh\tstatus\tsource: the columns are"),
        (HEAD + "m\tnb\n", "line 4: 2 fields: 8 are wanted"),
        (
            HEAD + line("m", "norsk", "mean", "1", "", "", "own", ""),
            "line 4, language: 'norsk': a language tag such as nb",
        ),
        (
            HEAD + line("m", "nb", "prose", "1", "", "", "own", ""),
            "line 4, task: 'prose': one of mean, chat, translation",
        ),
        (HEAD + line("m", "nb", "mean", "x", "", "", "own", ""), "line 4, delta: 'x': a number, or nothing"),
        (HEAD + line("m", "nb", "mean", "1", "", "", "sure", ""), "line 4, status: 'sure': one of measured, partial"),
        (
            HEAD + line("m", "nb", "mean", "", "", "", "own", ""),
            "line 4, delta: '': is empty where the status is none or",
        ),
        (HEAD + line("m", "nb", "mean", "1", "", "", "none", ""), "line 4, delta: '1': is empty where"),
        (HEAD + line("m", "nb", "mean", "-400", "", "", "own", ""), "line 4, delta: -400.0: must be greater than"),
        (
            HEAD + line("m", "nb", "mean", "1", "3", "", "own", ""),
            "line 4, delta: 1.0: low (3.0) must not exceed delta",
        ),
        (HEAD + line("", "nb", "mean", "1", "", "", "own", ""), "line 4, model: '': a model's name"),
        (HEAD + 2 * line("m", "nb", "code", "1", "", "", "own", ""), "line 5: m nb code: stands on line 4 already"),
    ],
)
def test_what_is_wrong_is_said_with_line_field_value_and_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        parse(text, "own.tsv")
    assert said in str(caught.value)


def test_every_problem_of_a_file_is_said_at_once() -> None:
    text = HEAD + line("m", "nb", "prose", "x", "", "", "own", "") + line("m", "nb", "mean", "1", "", "", "sure", "")
    with pytest.raises(DescriptionError, match="3 problems"):
        parse(text, "own.tsv")


def test_a_tasks_figure_leaves_the_others_alone() -> None:
    base = {"nb": {"delta": -9.7, "source": "old", "tasks": {"summary": {"delta": -6.8}, "chat": {"delta": -9.7}}}}
    over = by_model([row(task=Task.SUMMARY, delta=-1.0, low=None, high=None), row(language="se", task=Task.CODE)])["m"]
    found = merged(base, over)
    assert found["nb"]["delta"] == -9.7
    assert found["nb"]["tasks"]["summary"]["delta"] == -1.0
    assert found["nb"]["tasks"]["chat"] == {"delta": -9.7}
    assert "delta" not in found["se"]


def test_the_catalogues_file_is_current_and_sound() -> None:
    table = catalogue.quality()
    assert table.newest == "2026-04-20"
    assert {row.model for row in table.rows} <= set(catalogue.names())
    assert {row.status for row in table.rows} <= {status.value for status in EvidenceStatus} | {evidence.NONE}


def fleet_with(tmp_path: Path, rows: str) -> Path:
    (tmp_path / "own.tsv").write_text(HEAD + rows, encoding="utf-8")
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET, encoding="utf-8")
    return path


def test_a_fleets_own_evidence_stands_above_the_catalogues(tmp_path: Path) -> None:
    rows = line("gemma-2-9b-it", "nb", "summary", "-2", "-5", "1", "measured", "our own prompts")
    rows += line("google/gemma-2-9b-it", "ja", "mean", "-8", "", "", "own", "x") + line(
        "eurollm-9b-instruct", "ja", "mean", "-8", "", "", "own", "a model of the catalogue that is not in the fleet"
    )
    quality = load(fleet_with(tmp_path, rows)).model("gemma-2-9b-it").card.quality
    summary = quality["nb"].tasks[Task.SUMMARY]
    assert (summary.delta, summary.low, summary.status) == (-2, -5, EvidenceStatus.OWN)
    assert summary.source == "our own prompts"
    assert quality["nb"].delta == -9.7
    assert quality["nb"].tasks[Task.CHAT].status is EvidenceStatus.MEASURED
    assert quality["ja"].delta == -8


def test_what_is_wrong_in_a_fleets_evidence_names_file_line_and_field(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError) as caught:
        load(fleet_with(tmp_path, line("gemma", "nb", "mean", "1", "", "", "own", "")))
    assert "evidence[0] (own.tsv) line 4, model: 'gemma': a model of this fleet (gemma-2-9b-it, google/" in str(
        caught.value
    )
    with pytest.raises(DescriptionError) as caught:
        load(fleet_with(tmp_path, line("gemma-2-9b-it", "nb", "mean", "much", "", "", "own", "")))
    assert "evidence[0] (own.tsv) line 4, delta: 'much': a number, or nothing" in str(caught.value)
    path = fleet_with(tmp_path, "")
    (tmp_path / "own.tsv").unlink()
    with pytest.raises(DescriptionError, match=r"evidence\[0\]: 'own.tsv': cannot be read: .*No such file"):
        load(path)


def test_a_fleet_knows_how_old_its_evidence_is(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET.replace("evidence: [own.tsv]\n", ""))
    assert load(path).evidence_date == catalogue.quality().newest
    path.write_text(FLEET)
    (tmp_path / "own.tsv").write_text(HEAD)
    assert load(path).evidence_date == "2026-06-01"
