"""A program that the stack starts beside Ray: in a session of its own, marked, and ready when a URL of it says so."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.errors import LocalError
from serve.local.processes import MARKER
from serve.local.progress import Step
from serve.local.serve_api import status_of


@dataclass(frozen=True, slots=True)
class Child:
    """One running program. `ready_url` answers 200 when it is ready."""

    part: str
    process: subprocess.Popen[bytes]
    log: Path
    ready_url: str

    def step(self) -> Step:
        """Where it is. Raises LocalError with the end of its log when it has ended."""
        if self.process.poll() is not None:
            lines = self.log.read_text(errors="replace").strip().splitlines()
            raise LocalError(f"{self.part} ended: {lines[-1] if lines else 'no output'} (whole log: {self.log})")
        ready = status_of(self.ready_url) == 200
        return Step(self.part, "ready" if ready else "starting", ready=ready)


def start(part: str, command: Sequence[str], marker: str, log: Path, ready_url: str) -> Child:
    """The started program; its output goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, MARKER: marker, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Child(part, process, log, ready_url)
