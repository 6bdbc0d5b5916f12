"""promtool's word on the rules: they are clean, and each alert fires when it should and not before."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from observability.rules import DEFAULT_FLEET, render
from observability.rules.render import alerts
from serve.fleet import load
from tests.support.alerts import CASES
from tests.support.alerts.case import Fires, Quiet
from tests.support.alerts.promtool import play, play_all, promtool

pytestmark = pytest.mark.integration

FLEET = load(DEFAULT_FLEET)
BATCHES = sorted({(case.alert, case.interval) for case in CASES})


def _check(*files: Path) -> subprocess.CompletedProcess[str]:
    command = [promtool(), "check", "rules", "--lint=all", "--lint-fatal", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_promtool_finds_nothing_to_warn_of(tmp_path: Path) -> None:
    for name, text in render(FLEET).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    verdict = _check(*tmp_path.iterdir())
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert "SUCCESS" in verdict.stdout


def test_promtool_would_find_a_template_that_fails(tmp_path: Path) -> None:
    content = yaml.safe_load(render(FLEET)["alerts.yaml"])
    content["groups"][0]["rules"][0]["annotations"]["summary"] = "{{ $labels.model | unknown }}"
    file = tmp_path / "alerts.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert _check(file).returncode != 0


@pytest.mark.parametrize(("alert", "interval"), BATCHES, ids=lambda value: value)
def test_an_alert_fires_when_it_should_and_not_before(alert: str, interval: str, tmp_path: Path) -> None:
    cases = [case for case in CASES if (case.alert, case.interval) == (alert, interval)]
    verdict = play(cases, FLEET, tmp_path)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


def test_a_case_that_is_wrong_fails(tmp_path: Path) -> None:
    (right,) = (case for case in CASES if case.alert == "ParlanceLedgerLagging" and isinstance(case, Fires))
    late = Fires(right.alert, right.why, right.inputs, "11m", right.fires)
    quiet = Quiet(right.alert, right.why, right.inputs, ("20m",))
    for wrong in (late, quiet):
        assert play([wrong], FLEET, tmp_path).returncode != 0


def test_without_any_data_only_absence_alerts(tmp_path: Path) -> None:
    loud = {"ParlanceGatewayDown", "ParlanceScrapeMissing", "ParlanceAutoscalerStopped", "ParlanceRayHeadDown"}
    names = {alert.name for group in alerts(FLEET).values() for alert in group}
    # Not even waiting to fire: ten minutes are enough to see that.
    silent = [Quiet(name, "nothing is scraped", (), ("10m",), interval="5m") for name in sorted(names - loud)]
    verdict = play_all(silent, FLEET, tmp_path)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    for name in sorted(loud):
        assert play([Quiet(name, "nothing is scraped", (), ("10m",))], FLEET, tmp_path).returncode != 0, name
