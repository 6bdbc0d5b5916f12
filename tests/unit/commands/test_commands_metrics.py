"""`parlance metrics render` writes what a fleet's monitoring needs, and nothing where it was not asked to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from observability.rules import DEFAULT_FLEET
from serve.cli import main

pytestmark = pytest.mark.unit


def test_a_fleet_has_rules_and_dashboards_of_its_own(tmp_path: Path) -> None:
    fleet, out = tmp_path / "fleet.yaml", tmp_path / "out"
    text = DEFAULT_FLEET.read_text(encoding="utf-8")
    fleet.write_text(f"{text}\nslo: {{availability: 0.999}}\n", encoding="utf-8")
    (out / "rules").mkdir(parents=True)
    (out / "rules" / "gone.yaml").write_text("of an earlier rendering")
    words = ["metrics", "render", "--fleet", str(fleet), "--out", str(out), "--runbooks", "https://x.example/books"]
    assert main(words) == 0
    assert sorted(path.name for path in (out / "rules").iterdir()) == ["alerts.yaml", "recordings.yaml"]
    groups = yaml.safe_load((out / "rules" / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    first = groups[0]["rules"][0]
    assert "> 0.0144" in first["expr"]
    assert first["annotations"]["runbook_url"] == "https://x.example/books/ParlanceAvailabilityBurn.md"
    assert (out / "dashboards" / "parlance-overview.json").is_file()


def test_the_files_of_the_checkout_are_those_of_the_default_objectives(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "render", "--fleet", str(DEFAULT_FLEET)]) == 1
    assert "say --out DIR" in capsys.readouterr().err


def test_without_the_dashboards_library_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "observability.dashboards.build", raising=False)  # or it is not imported again
    monkeypatch.setitem(sys.modules, "grafana_foundation_sdk.builders", None)
    assert main(["metrics", "render", "--out", str(tmp_path / "out")]) == 1
    assert "grafana-foundation-sdk" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
