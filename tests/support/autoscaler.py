"""An autoscaler process of a test's own, started by the command that users start it by."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.stack import free_ports


class AutoscalerProcess:
    """`parlance autoscaler` on a free port, ready when it answers. `env` goes over this process's environment."""

    def __init__(
        self,
        fleet: Path,
        prometheus_url: str,
        state_dir: Path | None,
        log: Path,
        *words: str,
        env: Mapping[str, str] | None = None,
    ) -> None:
        (self.port,) = free_ports(1)
        self.log = log
        command = [sys.executable, "-m", "serve.cli", "autoscaler", "--fleet", str(fleet)]
        command += ["--prometheus", prometheus_url, "--port", str(self.port), *words]
        command += ["--state-dir", str(state_dir)] if state_dir is not None else []
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True, env={**os.environ, **(env or {})}
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the autoscaler stopped: {self.log.read_text()}")
            try:
                if self.get("/healthz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the autoscaler is not ready: {self.log.read_text()}")

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def plan(self) -> dict[str, Any]:
        """What /plan says."""
        status, body = self.get("/plan")
        assert status == 200
        plan: dict[str, Any] = json.loads(body)
        return plan

    @property
    def leads(self) -> bool:
        """Whether it says that it is the one that applies plans."""
        return bool(json.loads(self.get("/healthz")[1])["leader"])

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of `parlance_autoscaler_<name>` with these labels."""
        total = 0.0
        for line in self.get("/metrics")[1].decode().splitlines():
            family, _, rest = line.partition("{") if "{" in line else line.partition(" ")
            if family == f"parlance_autoscaler_{name}" and all(f'{k}="{v}"' in rest for k, v in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def kill(self) -> None:
        """As a machine that loses power ends it."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode
