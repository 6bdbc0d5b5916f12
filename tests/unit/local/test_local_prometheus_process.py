"""Prometheus of the stack: every port that exports is a target, and nothing of an earlier stack is left."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from observability.metric import Exporter
from serve.fleet.loader import laptop
from serve.local import prometheus_process
from serve.local.state import Ports

pytestmark = pytest.mark.unit

NAMES = [name for name in Ports.model_fields if name not in ("gateway", "admin", "prometheus", "autoscaler")]
BASE = {name: 1 + index for index, name in enumerate(NAMES)}
WHOLE = Ports(gateway=8080, admin=8081, prometheus=9090, autoscaler=8082, **BASE)


def test_every_exporter_of_the_stack_is_scraped() -> None:
    assert prometheus_process.targets(WHOLE, laptop()) == {
        Exporter.GATEWAY: ("127.0.0.1:8081",),
        Exporter.AUTOSCALER: ("127.0.0.1:8082",),
        Exporter.RAY: tuple(
            f"127.0.0.1:{BASE[name]}" for name in ("metrics", "autoscaler_metrics", "dashboard_metrics")
        ),
        Exporter.HAPROXY: (f"127.0.0.1:{BASE['haproxy_metrics']}",),
    }


def test_every_worker_of_the_gateway_is_a_target() -> None:
    gateway = laptop().gateway.model_copy(update={"workers": 3})
    found = prometheus_process.targets(WHOLE, laptop().model_copy(update={"gateway": gateway}))
    assert found[Exporter.GATEWAY] == ("127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8083")


def test_a_part_that_is_not_there_is_not_scraped() -> None:
    without = prometheus_process.targets(Ports(gateway=None, admin=None, **BASE), laptop())
    assert set(without) == {Exporter.RAY, Exporter.HAPROXY}


def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    words = prometheus_process.command("prometheus", tmp_path / "prometheus.yml", 9090)
    assert "--web.listen-address=127.0.0.1:9090" in words
    assert f"--storage.tsdb.path={tmp_path / 'data'}" in words


def test_configuration_and_rules_of_this_fleet_replace_an_earlier_stack_s(tmp_path: Path) -> None:
    directory = tmp_path / "prometheus"
    old = directory / "data" / "wal"
    old.mkdir(parents=True)
    config = prometheus_process.write(directory, prometheus_process.targets(WHOLE, laptop()), laptop())
    assert not old.exists()
    (pattern,) = yaml.safe_load(config.read_text())["rule_files"]
    assert list(Path(pattern).parent.glob(Path(pattern).name)), "the rules are there"
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "config", config], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
