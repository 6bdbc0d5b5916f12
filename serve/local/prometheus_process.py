"""Prometheus of the local stack: it scrapes every part, evaluates our rules for this very fleet, and feeds the
autoscaler."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from observability import rules, scrape
from observability.metric import Exporter
from serve.fleet import Fleet
from serve.local import child
from serve.local.ports import admin_ports
from serve.local.state import Ports, loopback

PART = "Prometheus"
HOW_TO_INSTALL = "`apt-get install prometheus` (Debian, Ubuntu) or https://prometheus.io/download"

# A laptop's disk is not ours: two days of five models are some 100 MB.
RETENTION = ("--storage.tsdb.retention.time=2d", "--storage.tsdb.retention.size=1GB")


def program() -> str | None:
    """Where Prometheus is installed, or None."""
    return shutil.which("prometheus")


def targets(ports: Ports, fleet: Fleet) -> dict[Exporter, tuple[str, ...]]:
    """host:port of everything that exports metrics in a stack, by job."""
    found: dict[Exporter, tuple[int | None, ...]] = {
        Exporter.GATEWAY: tuple(admin_ports(fleet)) if ports.admin is not None else (),
        Exporter.AUTOSCALER: (ports.autoscaler,),
        # The node's own (with Serve and vLLM), Ray's autoscaler, and the dashboard.
        Exporter.RAY: (ports.metrics, ports.autoscaler_metrics, ports.dashboard_metrics),
        Exporter.HAPROXY: (ports.haproxy_metrics,),
    }
    there = {job: tuple(f"127.0.0.1:{port}" for port in ports if port is not None) for job, ports in found.items()}
    return {job: addresses for job, addresses in there.items() if addresses}


def write(directory: Path, jobs: Mapping[Exporter, tuple[str, ...]], fleet: Fleet) -> Path:
    """Writes configuration and rules below `directory` and returns the configuration's path.

    What an earlier stack measured is removed: its errors would fire this one's alerts, which look hours back. More
    targets may be listed in `targets/` while Prometheus runs (observability.scrape).
    """
    shutil.rmtree(directory, ignore_errors=True)
    rules_dir, more = directory / "rules", directory / "targets"
    for folder in (rules_dir, more):
        folder.mkdir(parents=True)
    for name, text in rules.render(fleet).items():
        (rules_dir / name).write_text(text, encoding="utf-8")
    config = directory / "prometheus.yml"
    config.write_text(scrape.configuration(jobs, rules=[rules_dir / "*.y*ml"], more=more), encoding="utf-8")
    return config


def command(binary: str, config: Path, port: int) -> list[str]:
    """Prometheus on loopback, its data beside its configuration."""
    return [
        binary,
        f"--config.file={config}",
        f"--storage.tsdb.path={config.parent / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--enable-feature={','.join(scrape.FEATURES)}",
        "--log.level=warn",
        *RETENTION,
    ]


def start(fleet: Fleet, ports: Ports, marker: str, log: Path, directory: Path) -> child.Child:
    """The started Prometheus; configuration, rules and data lie in `directory`. `ports.prometheus` is not None, and
    `program()` has found it."""
    binary, port = program(), ports.prometheus
    assert binary is not None
    assert port is not None
    config = write(directory, targets(ports, fleet), fleet)
    return child.start(PART, command(binary, config, port), marker, log, ready_url(loopback(port)))


def ready_url(url: str) -> str:
    """What answers 200 when Prometheus takes queries."""
    return f"{url}/-/ready"
