"""A real Prometheus on a free port, with a scrape configuration of the test's own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support.stack import free_ports

PROGRAM = "prometheus"


def installed() -> bool:
    """Whether there is a Prometheus on this machine (Debian's package `prometheus`)."""
    return shutil.which(PROGRAM) is not None


class Prometheus:
    """A running Prometheus, asked over its API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **words: str) -> Any:
        """`data` of an answer of /api/v1. Raises AssertionError with what Prometheus said against it."""
        try:
            with urllib.request.urlopen(
                f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(words)}", timeout=30
            ) as response:
                return json.loads(response.read())["data"]
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise AssertionError(f"{path} {words.get('query', '')}: {said}") from error

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The series of an instant query, now or at that time: `metric` (labels) and `value` ([when, text])."""
        when = {} if at is None else {"time": f"{at:.3f}"}
        data = self.get("query", query=expression, **when)
        assert data["resultType"] == "vector", f"{expression}: {data['resultType']}"
        result: list[dict[str, Any]] = data["result"]
        return result

    def query_range(self, expression: str, start: float, end: float, step_s: float) -> list[dict[str, Any]]:
        """The series of a range query: `metric` (labels) and `values` ([when, text] each)."""
        words = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step_s:g}"}
        result: list[dict[str, Any]] = self.get("query_range", query=expression, **words)["result"]
        return result

    def value(self, expression: str) -> float | None:
        """The only value of an instant query; None where there is no series."""
        series = self.query(expression)
        assert len(series) <= 1, f"{expression} has {len(series)} series"
        return float(series[0]["value"][1]) if series else None


class PrometheusProcess(Prometheus):
    """Prometheus, ready to be asked. `jobs` are targets (`host:port`) by the name of the scrape job.

    `rules` are files of recording and alerting rules. Ended by `stop`; `pause` and `resume` stop and continue the
    process as it stands (SIGSTOP, SIGCONT), so that connections are accepted and never answered.
    """

    def __init__(
        self,
        directory: Path,
        jobs: Mapping[str, Sequence[str]],
        interval_s: float = 1,
        rules: Sequence[Path] = (),
        port: int | None = None,
    ) -> None:
        self.port = port if port is not None else free_ports(1)[0]
        super().__init__(f"http://127.0.0.1:{self.port}")
        self.log = directory / "prometheus.log"
        interval = f"{round(interval_s * 1000)}ms"
        config = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": list(targets)}]} for job, targets in jobs.items()
            ],
        }
        path = directory / "prometheus.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        self._command = [
            PROGRAM,
            f"--config.file={path}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]
        self.start()

    def start(self) -> None:
        """Starts it, the first time or again with what it had stored."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"Prometheus stopped: {self.log.read_text()[-2000:]}")
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"Prometheus is not ready: {self.log.read_text()[-2000:]}")

    def pause(self) -> None:
        """It hangs: what connects gets no answer."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ends it; `start` begins anew."""
        if self.process.poll() is None:
            self.resume()
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
