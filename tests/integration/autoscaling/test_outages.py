"""Servers that hang, drip, lie or are not there: every one of them is a cause, in time, and never an exception."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaling import fetch
from autoscaling.leader import FileLock
from autoscaling.prometheus import PATIENCE, Prometheus, Reader
from autoscaling.ray_serve import Failed, RayServe
from autoscaling.server import LOCK
from autoscaling.snapshot import Cause
from serve.fleet import Fleet
from serve.fleet.engine import Cluster
from serve.fleet.loader import resolve
from tests.support.stack import free_ports

pytestmark = pytest.mark.integration

TIMEOUT_S = 1.5  # a busy machine answers late
MODEL = "gemma-2-9b-it"
ENGINE = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 50_331_648}
Handler = Callable[[socket.socket, bytes], None]


class Server:
    """Answers each connection with a handler: what it does with the socket is up to it."""

    def __init__(self, handler: Handler) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        self._handler = handler
        self._stop = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            data = b""
            while b"\r\n\r\n" not in data and (part := connection.recv(65536)):
                data += part
            self.requests.append(data)
            with contextlib.suppress(OSError):
                self._handler(connection, data)

    def stop(self) -> None:
        self._stop.set()
        self._listener.close()


@pytest.fixture
def serving() -> Iterator[Callable[[Handler], Server]]:
    servers: list[Server] = []

    def start(handler: Handler) -> Server:
        servers.append(Server(handler))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def says(body: bytes, status: str = "200 OK", length: int | None = None, *headers: str) -> Handler:
    head = "".join(f"{line}\r\n" for line in headers)
    start = f"HTTP/1.1 {status}\r\ncontent-length: {len(body) if length is None else length}\r\n{head}\r\n"
    return lambda connection, _: connection.sendall(start.encode() + body)


def hangs(connection: socket.socket, _: bytes) -> None:
    connection.recv(1)  # until the other side gives up


def drips(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    for _ in range(1000):
        connection.sendall(b" ")
        time.sleep(0.05)


def drips_headers(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(1000):
        connection.sendall(b"x")  # http.client takes 64 KiB for one header
        time.sleep(0.05)


def closes(connection: socket.socket, _: bytes) -> None:
    connection.close()


def vector(*series: dict[str, Any]) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": list(series)}}).encode()


def fleet(url: str) -> Fleet:
    settings = {"prometheus_url": url, "timeout_s": TIMEOUT_S}
    return resolve({"models": [{"use": MODEL, "engine": ENGINE}], "autoscaling": settings}, "test")


BROKEN: dict[str, Handler] = {
    "hangs": hangs,
    "drips": drips,
    "closes": closes,
    "is no HTTP": lambda connection, _: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "answers 500": says(b'{"status": "error", "error": "storage"}', "500 Internal Server Error"),
    "answers a proxy's 502": says(b"<html>Bad Gateway</html>", "502 Bad Gateway"),
    "redirects": says(b"", "302 Found", None, "location: http://127.0.0.1:1/"),
    "is empty": says(b""),
    "is no JSON": says(b"hello"),
    "is another JSON": says(b"[1, 2]"),
    "has no result": says(b'{"status": "success", "data": {}}'),
    "is a matrix": says(b'{"status": "success", "data": {"resultType": "matrix", "result": []}}'),
    "has series of nothing": says(vector({"metric": {}, "value": []})),
    "has series of words": says(vector({"metric": {}, "value": [1, "many"]})),
    "has labels that are none": says(vector({"metric": [], "value": [1, "1"]})),
    "is nested": says(b"[" * 100_000),
    "is cut off": says(b'{"status": "succ', length=1000),
    "is not UTF-8": says(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_prometheus_is_unreachable_in_time(how: str, serving: Callable[[Handler], Server]) -> None:
    described = fleet(serving(BROKEN[how]).url)
    began = time.monotonic()
    answers = Prometheus(described).ask()
    assert time.monotonic() - began < 30 * PATIENCE * TIMEOUT_S  # and not for ever
    assert answers.problem
    seen = Reader(described).seen(MODEL, answers, ("a",), Cause.UNREACHABLE)
    assert {reading.cause for reading in seen.readings().values()} == {Cause.UNREACHABLE}


def test_nobody_listens() -> None:
    (port,) = free_ports(1)
    answers = Prometheus(fleet(f"http://127.0.0.1:{port}")).ask()
    assert "refused" in answers.problem


def test_when_nobody_answers_the_rest_is_not_asked(serving: Callable[[Handler], Server]) -> None:
    server = serving(hangs)
    Prometheus(fleet(server.url)).ask()
    assert len(server.requests) == 1


def test_one_bad_query_blinds_for_no_other(serving: Callable[[Handler], Server]) -> None:
    def answer(connection: socket.socket, request: bytes) -> None:
        bad = b"deriv" in request
        handler = says(b'{"status": "error", "error": "bad_data"}', "400 Bad Request") if bad else says(vector())
        handler(connection, request)

    described = fleet(serving(answer).url)
    answers = Prometheus(described).ask()
    assert "400" in answers.problem
    assert answers.answers["growth"] is None
    assert answers.answers["finished"] == ()


def test_values_that_json_cannot_hold_are_invalid(serving: Callable[[Handler], Server]) -> None:
    at = time.time()

    def answer(connection: socket.socket, request: bytes) -> None:
        text = f"{at:.3f}" if b"timestamp" in request else "NaN"
        says(vector({"metric": {"model": MODEL}, "value": [at, text]}))(connection, request)

    described = fleet(serving(answer).url)
    seen = Reader(described).seen(MODEL, Prometheus(described).ask(), (), Cause.MISSING)
    assert seen.finished.cause is Cause.INVALID


@pytest.mark.parametrize("handler", [drips, drips_headers], ids=["body", "headers"])
def test_a_call_has_one_deadline_for_all_of_it(handler: Handler, serving: Callable[[Handler], Server]) -> None:
    began = time.monotonic()
    with pytest.raises(fetch.Unreachable):
        fetch.call(serving(handler).url, timeout_s=TIMEOUT_S)
    assert time.monotonic() - began < 20  # 50 s of drops would have come


def test_an_endless_answer_is_not_kept(serving: Callable[[Handler], Server]) -> None:
    def endless(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        while True:
            connection.sendall(b"x" * 1_000_000)

    with pytest.raises(fetch.Unreachable, match="larger than"):
        fetch.call(serving(endless).url, timeout_s=30)


APPLICATIONS = json.dumps(
    {
        "applications": {
            MODEL: {
                "status": "RUNNING",
                "deployments": {
                    "vllm": {
                        "name": "vllm",
                        "status": "HEALTHY",
                        "target_num_replicas": 2,
                        "replicas": [{"replica_id": "a", "state": "RUNNING"}],
                    }
                },
            }
        }
    }
).encode()


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_dashboard_fails_with_words(how: str, serving: Callable[[Handler], Server]) -> None:
    server = serving(BROKEN[how])
    with pytest.raises(Failed) as failed:
        RayServe(Cluster(dashboard_url=server.url), TIMEOUT_S).applications()
    assert server.url in str(failed.value)


def test_the_token_goes_along(
    serving: Callable[[Handler], Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serving(says(APPLICATIONS))
    monkeypatch.setenv("RAY_TOKEN", "from-the-environment")
    found = RayServe(Cluster(dashboard_url=server.url, token_env="RAY_TOKEN"), 5).applications()
    assert found[MODEL].replicas.target == 2
    assert b"Bearer from-the-environment\r\n" in server.requests[-1]
    token = tmp_path / "token"
    token.write_text("from-a-file\n")
    by_file = RayServe(Cluster(dashboard_url=server.url, token_file=str(token)), 5)
    by_file.applications()
    assert b"Bearer from-a-file\r\n" in server.requests[-1]
    token.write_text("renewed")
    by_file.scale(found[MODEL], 3)
    assert b"Bearer renewed\r\n" in server.requests[-1]
    assert f"POST /api/v1/applications/{MODEL}/deployments/vllm/scale ".encode() in server.requests[-1]


@pytest.mark.parametrize("content", [None, b"", b"a\r\nx-evil: 1", b"\xff"])
def test_a_token_that_cannot_be_sent(
    content: bytes | None, serving: Callable[[Handler], Server], tmp_path: Path
) -> None:
    server = serving(says(APPLICATIONS))
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content)
    with pytest.raises(Failed, match="token"):
        RayServe(Cluster(dashboard_url=server.url, token_file=str(token)), 5).applications()
    assert server.requests == []


def test_a_refused_token_says_where_it_comes_from(serving: Callable[[Handler], Server]) -> None:
    server = serving(says(b"no", "401 Unauthorized"))
    with pytest.raises(Failed, match="token_env or token_file"):
        RayServe(Cluster(dashboard_url=server.url), 5).applications()


def described(directory: Path) -> Path:
    prometheus, dashboard, port = free_ports(3)
    file = {
        "clusters": {"local": {"dashboard_url": f"http://127.0.0.1:{dashboard}"}},
        "models": [{"use": MODEL, "engine": ENGINE}],
        "autoscaling": {
            "prometheus_url": f"http://127.0.0.1:{prometheus}",
            "port": port,
            "state_dir": "state",
            "timeout_s": 1,
        },
    }
    path = directory / "fleet.yaml"
    path.write_text(yaml.safe_dump(file))
    return path


def once(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "serve.cli", "autoscaler", "--fleet", str(path), "--once", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_round_while_everything_is_down(tmp_path: Path) -> None:
    path = described(tmp_path)
    ended = once(path)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert len(told["problems"]) == 2
    model = told["models"][MODEL]
    assert (model["wanted"], model["target"], model["blind"]) == (None, None, "unreachable")
    assert (tmp_path / "state" / "history.json").is_file()


def test_a_round_beside_a_leader_is_refused(tmp_path: Path) -> None:
    path = described(tmp_path)
    leader = FileLock(tmp_path / "state" / LOCK)
    assert leader.leads()
    ended = once(path)
    assert ended.returncode == 1
    assert "another autoscaler leads" in ended.stderr
    leader.resign()
