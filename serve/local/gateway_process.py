"""The gateway of the local stack: `parlance gateway`."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Collection
from pathlib import Path

from serve.local import child
from serve.local.state import Ports, loopback

PART = "gateway"


def start(
    fleet: Path, ports: Ports, marker: str, log: Path, state_dir: Path, plan_url: str | None = None
) -> child.Child:
    """The started gateway; its state goes to `state_dir`. `plan_url` is where the autoscaler tells of its plan."""
    command = [sys.executable, "-m", "serve.cli", "gateway", "--fleet", str(fleet)]
    command += ["--port", str(ports.gateway), "--admin-port", str(ports.admin), "--state-dir", str(state_dir)]
    if plan_url is not None:
        command += ["--plan-url", plan_url]
    return child.start(PART, command, marker, log, ready_url(loopback(ports.admin)))


def ready_url(admin_url: str) -> str:
    """What answers 200 when the gateway takes requests."""
    return f"{admin_url}/readyz"


def sees(admin_url: str, models: Collection[str]) -> bool:
    """Whether the gateway's own probes have found every one of these models healthy."""
    try:
        with urllib.request.urlopen(f"{admin_url}/fleet", timeout=5) as response:  # noqa: S310 - loopback
            known = json.loads(response.read())["models"]
    except (OSError, ValueError):
        return False
    return all(known.get(name, {}).get("healthy") for name in models)
