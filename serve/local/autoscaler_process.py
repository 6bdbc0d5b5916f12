"""The autoscaler of the local stack: `parlance autoscaler`, which reads Prometheus and tells Ray Serve."""

from __future__ import annotations

import sys
from pathlib import Path

from serve.local import child
from serve.local.state import Ports, loopback

PART = "autoscaler"


def start(fleet: Path, ports: Ports, marker: str, log: Path, state_dir: Path) -> child.Child:
    """The started autoscaler; what it has learnt goes to `state_dir`. Both of its ports are not None."""
    command = [sys.executable, "-m", "serve.cli", "autoscaler", "--fleet", str(fleet)]
    command += ["--prometheus", loopback(ports.prometheus), "--port", str(ports.autoscaler)]
    command += ["--state-dir", str(state_dir)]
    return child.start(PART, command, marker, log, ready_url(loopback(ports.autoscaler)))


def ready_url(url: str) -> str:
    """What answers 200 while the autoscaler lives."""
    return f"{url}/healthz"
