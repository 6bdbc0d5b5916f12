"""What `parlance up` says at its end: where everything answers, and how to get Prometheus where it is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve.commands.up import summary, unobserved
from serve.fleet.loader import LAPTOP
from serve.local import prometheus_process
from serve.local.plan import plan
from serve.local.state import Ports, State

pytestmark = pytest.mark.unit

PORTS = Ports(**{name: 1 + index for index, name in enumerate(Ports.model_fields)})


def state(**changes: str | None) -> State:
    values = {
        "marker": "feedface",
        "fleet": str(LAPTOP),
        "digest": "d",
        "models": ("gemma-2-9b-it",),
        "ports": PORTS,
        "ray_dir": "r",
        "serve_url": "http://127.0.0.1:8000",
        "dashboard_url": "http://127.0.0.1:8265",
        "gateway_url": "http://127.0.0.1:8080",
        "admin_url": "http://127.0.0.1:8081",
        "prometheus_url": "http://127.0.0.1:9090",
        "autoscaler_url": "http://127.0.0.1:8082",
        "started_at": 0.0,
    }
    return State.model_validate(values | changes)


def test_every_address_is_said(tmp_path: Path) -> None:
    said = "\n".join(summary(state(), plan(LAPTOP, (), {}, tmp_path), tmp_path))
    for address in ("8080/v1", "8081", "9090/alerts", "8082/plan", "8265"):
        assert f"http://127.0.0.1:{address}" in said


def test_without_prometheus_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = state(prometheus_url=None, autoscaler_url=None)
    monkeypatch.setattr(prometheus_process, "program", lambda: None)
    (line,) = unobserved(bare)
    assert "`apt-get install prometheus`" in line
    assert unobserved(state()) == []
    assert unobserved(state(gateway_url=None, prometheus_url=None)) == [], (
        "engines only: it would have nothing to watch"
    )


def test_who_wanted_none_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_process, "program", lambda: "/usr/bin/prometheus")
    assert unobserved(state(prometheus_url=None, autoscaler_url=None)) == []
