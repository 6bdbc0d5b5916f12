"""What Prometheus is told: promtool reads it, and every exporter is found under the job that queries name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from observability.metric import Exporter
from observability.scrape import LOCAL_INTERVAL_S, configuration

pytestmark = pytest.mark.unit

TARGETS = {Exporter.GATEWAY: ("127.0.0.1:8081", "127.0.0.1:8083"), Exporter.RAY: ("127.0.0.1:8090",)}


def test_a_job_for_each_exporter() -> None:
    config = yaml.safe_load(configuration(TARGETS))
    assert {job["job_name"]: job["static_configs"] for job in config["scrape_configs"]} == {
        "parlance-gateway": [{"targets": ["127.0.0.1:8081", "127.0.0.1:8083"]}],
        "ray": [{"targets": ["127.0.0.1:8090"]}],
    }
    assert config["global"]["scrape_interval"] == f"{LOCAL_INTERVAL_S}s"


def test_further_targets_and_rules_are_files(tmp_path: Path) -> None:
    config = yaml.safe_load(configuration(TARGETS, rules=[tmp_path / "*.yaml"], more=tmp_path))
    assert config["rule_files"] == [str(tmp_path / "*.yaml")]
    (gateway, _) = config["scrape_configs"]
    assert gateway["file_sd_configs"] == [{"files": [str(tmp_path / "parlance-gateway*.json")]}]


def test_nothing_to_scrape_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to scrape"):
        configuration({})


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing: apt-get install prometheus")
def test_promtool_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(configuration(TARGETS, more=tmp_path))
    done = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
