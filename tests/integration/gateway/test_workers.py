"""Several workers on one port: spread, death, drain, sums of metrics, one journal."""

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.integration.gateway.conftest import PATIENT, fleet
from tests.support.engine import answer
from tests.support.gateway import GatewayProcess, ports_of
from tests.support.stack import free_ports

pytestmark = pytest.mark.integration

GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."
BODY = {"model": "big", "messages": [{"role": "user", "content": GERMAN}]}


class Workers(GatewayProcess):
    """A gateway of two workers; `of` asks one of them on its operator's port."""

    def __init__(self, directory, engines, **gateway):
        super().__init__(directory, fleet(*engines, workers=2, **PATIENT, **gateway))
        self.wait(1)

    def of(self, number, path):
        return self._request(self.admin_port + number, "GET", path, None, {})

    def wait(self, number):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the gateway stopped: {self.log.read_text()}")
            try:
                if self.of(number, "/readyz").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"worker {number} is not ready: {self.log.read_text()}")

    def pids(self):
        """Of the workers that serve, the last of each number."""
        return {int(n): int(p) for n, p in re.findall(r"worker (\d+) serves \(pid (\d+)\)", self.log.read_text())}

    def counted(self, number):
        """Chat requests with status 200 that a worker counts."""
        lines = self.of(number, "/metrics").body.decode().splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in lines
            if line.startswith("parlance_requests_total{") and 'model="big"' in line and 'status="200"' in line
        )


@pytest.fixture
def workers(tmp_path, pair):
    gateway = Workers(tmp_path, pair, drain_s=10, state_dir="state")
    yield gateway
    gateway.stop()


def whole(gateway):
    """One request on a connection of its own: its status, or None where the connection failed."""
    try:
        return gateway.post("/v1/chat/completions", BODY).status
    except (OSError, http.client.HTTPException):
        return None


def test_requests_are_spread_and_metrics_add_up(workers):
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: whole(workers), range(200)))
    assert got == [200] * 200
    counts = [workers.counted(0), workers.counted(1)]
    assert sum(counts) == 200
    assert min(counts) >= 40, f"200 connections over two listeners: {counts}"
    records = workers.records()
    assert len(records) == len({r["decision_id"] for r in records}) == 200


def test_each_has_ports_and_state_of_its_own(workers, tmp_path):
    pids = workers.pids()
    assert set(pids) == {0, 1}
    assert workers.process.pid not in pids.values()
    for _ in range(40):
        whole(workers)
    assert workers.stop() == 0
    state = tmp_path / "state"
    logs = [state / "decisions.jsonl", state / "worker-1" / "decisions.jsonl"]
    assert sum(len(log.read_text().splitlines()) for log in logs) == 40
    assert all(log.read_text() for log in logs)
    assert (state / "learnt.json").exists()
    assert (state / "worker-1" / "learnt.json").exists()


def test_a_worker_that_is_killed_takes_only_its_own_connections(workers, pair):
    released = threading.Event()

    async def waits(request, reply):
        await reply.start_stream()
        while not released.is_set():
            await reply.token("a")
            await asyncio.sleep(0.1)
        await reply.end()

    pair[0].handle = waits
    streams = []
    for _ in range(16):
        connection = http.client.HTTPConnection("127.0.0.1", workers.port, timeout=20)
        connection.request("POST", "/v1/chat/completions", json.dumps(BODY | {"stream": True}))
        response = connection.getresponse()
        assert response.status == 200
        streams.append((connection, response))
    by_worker = {}
    for connection, response in streams:
        by_worker.setdefault(_worker_of(connection, workers.pids()), []).append(response)
    assert set(by_worker) == {0, 1}, "16 connections over two listeners"
    old = workers.pids()[1]
    os.kill(old, signal.SIGKILL)
    while "worker 1 ended (SIGKILL)" not in workers.log.read_text():  # all of its threads: the leader ends first
        time.sleep(0.01)
    # The other goes on, and takes what is new at once; the kernel forgets the dead one's listener with it.
    fresh = [workers.get("/v1/models").status for _ in range(30)]
    assert fresh == [200] * 30
    deadline = time.monotonic() + 60
    while workers.pids()[1] == old and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers.pids()[1] != old, "it is back"
    workers.wait(1)
    released.set()
    assert all(response.read().endswith(b"data: [DONE]\n\n") for response in by_worker[0])
    for response in by_worker[1]:
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            response.read()
    pair[0].handle = answer
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: whole(workers), range(100))) == [200] * 100
    assert workers.counted(1) > 0, "the new one takes its share"


def _worker_of(connection, pids):
    """Which worker holds the other end of this connection."""
    ours, theirs = (f":{name[1]:04X}" for name in (connection.sock.getsockname(), connection.sock.getpeername()))
    listing = Path(f"/proc/{pids[0]}/net/tcp").read_text().splitlines()[1:]
    inode = next(f[9] for f in map(str.split, listing) if f[1].endswith(theirs) and f[2].endswith(ours))
    for number, pid in pids.items():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if os.readlink(descriptor) == f"socket:[{inode}]":
                    return number
            except FileNotFoundError:
                continue
    raise AssertionError("nobody holds it")


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_sigterm_drains_both(workers, pair):
    async def slowly(request, reply):
        await reply.start_stream()
        for index in range(20):
            await reply.token(str(index))
            await asyncio.sleep(0.1)
        await reply.end()

    pair[0].handle = slowly
    pids = workers.pids()
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(workers.post, "/v1/chat/completions", BODY | {"stream": True}) for _ in range(12)]
        while len(pair[0].requests) < 12:
            time.sleep(0.02)
        in_flight = [workers.of(n, "/fleet").json["in_flight"] for n in (0, 1)]
        assert workers.stop() == 0
        answers = [a.result() for a in asked]
    assert min(in_flight) > 0
    assert all(a.body.endswith(b"data: [DONE]\n\n") for a in answers)
    assert not any(_alive(pid) for pid in pids.values())
    assert whole(workers) is None


def test_workers_end_when_their_supervisor_is_killed(workers):
    pids = workers.pids()
    workers.process.kill()
    workers.process.wait()
    deadline = time.monotonic() + 20
    while any(_alive(pid) for pid in pids.values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in pids.values())


def test_a_worker_that_cannot_start_is_a_failure_of_all(tmp_path, pair):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "worker-1").write_text("a file where a directory should be")
    with pytest.raises(RuntimeError, match="worker 1 did not start") as failed:
        Workers(tmp_path, pair, state_dir="state")
    assert "parlance gateway: worker 1: " in str(failed.value)
    assert "Traceback" not in str(failed.value)


@pytest.mark.parametrize("taken", ["clients", "operators"])
def test_a_taken_port_is_one_sentence(tmp_path, pair, workers, taken):
    port, admin = free_ports(2)
    port = workers.port if taken == "clients" else port
    admin = workers.admin_port if taken == "operators" else admin
    path = tmp_path / "second.yaml"
    path.write_text(yaml.safe_dump(fleet(*pair)))
    command = ["gateway", "--fleet", str(path), "--port", str(port), "--admin-port", str(admin), "--workers", "2"]
    done = subprocess.run([sys.executable, "-m", "serve.cli", *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    wrong = port if taken == "clients" else admin
    assert done.stderr.strip() == f"parlance gateway: 127.0.0.1:{wrong} cannot be listened on: Address already in use"


def test_lines_of_several_workers_never_run_into_each_other(tmp_path, pair):
    """Standard output is a pipe here, with a slow reader: lines are longer than what a pipe takes in one piece."""
    names = "m" * 128
    port, admin = ports_of(2)
    path = tmp_path / "fleet.yaml"
    path.write_text(yaml.safe_dump(fleet(*pair)))
    command = ["gateway", "--fleet", str(path), "--port", str(port), "--admin-port", str(admin), "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "serve.cli", *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    lines = []

    def read():
        assert process.stdout is not None
        rest = b""
        while part := os.read(process.stdout.fileno(), 1500):
            rest += part
            time.sleep(0.001)
        lines.extend(rest.splitlines())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in (0, 1):
            _answers(f"http://127.0.0.1:{admin + number}/readyz")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: _post(port, BODY | {"model": names}), range(400)))
    finally:
        process.terminate()
        process.wait(30)
        reader.join(30)
    records = [json.loads(line) for line in lines]
    assert len({r["decision_id"] for r in records}) == 400


def _answers(url):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(url)


def _post(port, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        return connection.getresponse().read()
    finally:
        connection.close()
