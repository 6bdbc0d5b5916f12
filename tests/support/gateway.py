"""A gateway process of its own, started by the command that users start it by."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.stack import free_ports


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class GatewayProcess:
    """`parlance gateway` on free ports, ready when its admin port says that it is alive."""

    def __init__(
        self,
        directory: Path,
        fleet: dict[str, Any],
        ready: bool = True,
        environ: dict[str, str] | None = None,
        ports: tuple[int, int] | None = None,
    ) -> None:
        self.port, self.admin_port = ports or ports_of(fleet.get("gateway", {}).get("workers", 1))
        path = directory / "fleet.yaml"
        path.write_text(yaml.safe_dump(fleet))
        self.log = directory / "gateway.log"
        self.journal = directory / "gateway.jsonl"
        with self.log.open("wb") as err, self.journal.open("wb") as out:
            command = [sys.executable, "-m", "serve.cli", "gateway", "--fleet", str(path)]
            where = ["--port", str(self.port), "--admin-port", str(self.admin_port)]
            self.process = subprocess.Popen(
                [*command, *where], stdout=out, stderr=err, start_new_session=True, env=os.environ | (environ or {})
            )
        self._wait("/readyz" if ready else "/healthz")

    def _wait(self, path: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the gateway stopped: {self.log.read_text()}")
            try:
                if self.admin(path).status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"the gateway is not ready: {self.log.read_text()}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def admin(self, path: str) -> Answer:
        return self._request(self.admin_port, "GET", path, None, {})

    def get(self, path: str, **headers: str) -> Answer:
        return self._request(self.port, "GET", path, None, headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._request(self.port, "POST", path, data, {"content-type": "application/json", **headers})

    def chat(self, content: str = "Kva er fjord?", **fields: Any) -> Answer:
        body = {"model": "auto", "messages": [{"role": "user", "content": content}], **fields}
        return self.post("/v1/chat/completions", body)

    def _request(self, port: int, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def raw(self, data: bytes, wait_s: float = 5) -> bytes:
        """What comes back for these bytes until the gateway closes, or nothing more comes for `wait_s`."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait_s) as s:
            s.sendall(data)
            out = b""
            try:
                while part := s.recv(65536):
                    out += part
            except TimeoutError:
                pass
            except ConnectionResetError:
                pass
            return out

    def records(self) -> list[dict[str, Any]]:
        """The journal's lines so far."""
        time.sleep(0.3)  # it is written in batches
        return [json.loads(line) for line in self.journal.read_text().splitlines()]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name with these labels."""
        total = 0.0
        for line in self.admin("/metrics").body.decode().splitlines():
            if (
                line.startswith(name)
                and line[len(name)] in "{ "
                and all(f'{k}="{v}"' in line for k, v in labels.items())
            ):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def resident_mib(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096 / 2**20

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


def ports_of(workers: int) -> tuple[int, int]:
    """A free port for clients, and one for operators with as many free ones behind it as there are workers more."""
    while True:
        port, admin = free_ports(2)
        if workers > 1:
            admin = random.randint(20_000, 30_000)  # below the ports that connections are given while this one starts
        if port not in range(admin, admin + workers) and all(_free(p) for p in range(admin, admin + workers)):
            return port, admin


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
