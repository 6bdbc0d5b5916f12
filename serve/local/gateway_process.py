"""The gateway of the local stack: `parlance gateway` as a child of its own session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Collection
from pathlib import Path

from serve.errors import LocalError
from serve.local.processes import MARKER
from serve.local.serve_api import status_of
from serve.local.state import Ports


def start(fleet: Path, ports: Ports, marker: str, log: Path, state_dir: Path) -> subprocess.Popen[bytes]:
    """The started process; its output goes to `log`, its state to `state_dir`."""
    with log.open("wb") as output:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "serve.cli",
                "gateway",
                "--fleet",
                str(fleet),
                "--port",
                str(ports.gateway),
                "--admin-port",
                str(ports.admin),
                "--state-dir",
                str(state_dir),
            ],
            env={**os.environ, MARKER: marker, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def check(process: subprocess.Popen[bytes], log: Path) -> None:
    """Raises LocalError with the end of its log when the process has ended."""
    if process.poll() is not None:
        lines = log.read_text(errors="replace").strip().splitlines()
        raise LocalError(f"the gateway ended: {lines[-1] if lines else 'no output'} (whole log: {log})")


def ready(admin_url: str) -> bool:
    """Whether the gateway takes requests."""
    return status_of(f"{admin_url}/readyz") == 200


def sees(admin_url: str, models: Collection[str]) -> bool:
    """Whether the gateway's own probes have found every one of these models healthy."""
    try:
        with urllib.request.urlopen(f"{admin_url}/fleet", timeout=5) as response:  # noqa: S310 - loopback
            known = json.loads(response.read())["models"]
    except (OSError, ValueError):
        return False
    return all(known.get(name, {}).get("healthy") for name in models)
