"""What dashboards ask is accepted by a real Prometheus, and what it answers is drawn."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from observability import dashboards
from observability.metric import Exporter
from tests.support.prometheus import PrometheusProcess, installed
from tests.support.stack import free_ports

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not installed(), reason="Prometheus is not installed (Debian's package `prometheus`)"),
]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusProcess]:
    """One that scrapes itself, under the gateway's name: `up` has a sample."""
    (port,) = free_ports(1)
    jobs = {Exporter.GATEWAY.value: (f"127.0.0.1:{port}",)}
    process = PrometheusProcess(tmp_path_factory.mktemp("prometheus"), jobs, port=port)
    try:
        deadline = time.monotonic() + 30
        while not process.query("up == 1"):
            assert time.monotonic() < deadline, process.log.read_text()
            time.sleep(0.2)
        yield process
    finally:
        process.stop()


def test_every_query_is_accepted(prometheus: PrometheusProcess) -> None:
    end = time.time()
    for asked in dashboards.queries():
        prometheus.query_range(asked.expression, end - 60, end, 15)


def test_a_panel_that_has_samples_is_drawn(prometheus: PrometheusProcess, tmp_path: Path) -> None:
    asked = [one.expression for one in dashboards.queries() if (one.dashboard, one.panel) == ("ray", "up")]
    assert [series["metric"]["job"] for series in prometheus.query(asked[0])] == ["parlance-gateway"]
    out = tmp_path / "ray.png"
    words = ["dashboards", "picture", "ray", "--prometheus", prometheus.url, "--out", str(out), "--minutes", "1"]
    subprocess.run([sys.executable, "-m", "serve.cli", *words], check=True, timeout=240)
    assert out.read_bytes().startswith(b"\x89PNG")
