"""Start, keys, drain: what an operator does to a gateway."""

import subprocess
import sys
import threading
import time

import pytest
import yaml

from serve.gateway.auth import new_key
from tests.integration.gateway.conftest import fleet
from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.integration


def parlance(*args):
    return subprocess.run([sys.executable, "-m", "serve.cli", *args], capture_output=True, text=True, timeout=60)


def test_keys_decide_who_may_use_what(tmp_path, pair):
    keys = tmp_path / "keys.yaml"
    everything = parlance("keys", "add", "--file", str(keys), "--name", "all", "--tenant", "acme").stdout.strip()
    small = parlance(
        "keys", "add", "--file", str(keys), "--name", "s", "--tenant", "beta", "--models", "small"
    ).stdout.strip()
    assert everything not in keys.read_text()
    assert keys.stat().st_mode & 0o077 == 0
    gateway = GatewayProcess(tmp_path, fleet(*pair, keys_file="keys.yaml"))
    try:
        body = {"model": "big", "messages": [{"role": "user", "content": "x"}]}
        refused = gateway.post("/v1/chat/completions", body)
        assert (refused.status, refused.json["error"]["code"]) == (401, "missing_api_key")
        assert refused.headers["www-authenticate"] == "Bearer"
        for path in ("/v1/models", "/v1/models/big"):
            assert gateway.get(path).status == 401
        assert gateway.post("/v1/route", body, authorization="Bearer nope").status == 401

        def call(key, model="big"):
            return gateway.post("/v1/chat/completions", body | {"model": model}, authorization=f"Bearer {key}")

        assert call(everything).status == 200
        assert call(small).status == 403
        assert call(small, "auto").headers["x-parlance-model"] == "small"
        listed = gateway.get("/v1/models", authorization=f"Bearer {small}").json["data"]
        assert [m["id"] for m in listed] == ["auto", "small"]
        salts = {r.json["cache_salt"] for e in pair for r in e.requests}
        assert len(salts) == 2, "tenants must not share a prefix cache"
        assert not any(everything in str(r.headers) for e in pair for r in e.requests)
        log = gateway.log.read_text() + str(gateway.records())
        assert everything not in log
        assert "acme" in log
    finally:
        gateway.stop()


def test_without_keys_it_listens_to_this_machine_only(tmp_path, pair):
    path = tmp_path / "fleet.yaml"
    path.write_text(yaml.safe_dump(fleet(*pair, host="0.0.0.0")))
    done = parlance("gateway", "--fleet", str(path))
    assert done.returncode == 1
    assert "no API keys are configured" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_one_sentence(tmp_path, pair):
    gateway = GatewayProcess(tmp_path, fleet(*pair))
    try:
        done = parlance("gateway", "--fleet", str(tmp_path / "fleet.yaml"), "--port", str(gateway.port))
        assert done.returncode == 1
        assert f"127.0.0.1:{gateway.port} cannot be listened on: Address already in use" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    finally:
        gateway.stop()


def test_a_bad_port_or_fleet_names_the_field(tmp_path):
    done = parlance("gateway", "--port", "99999")
    assert (done.returncode, "gateway.port: 99999" in done.stderr) == (1, True)
    path = tmp_path / "fleet.yaml"
    path.write_text("models:\n  - use: llama-4\n  - id: x\n")
    done = parlance("gateway", "--fleet", str(path))
    assert done.returncode == 1
    assert "models[0].use" in done.stderr
    assert "models[1]" in done.stderr


def test_a_stop_lets_open_answers_end(tmp_path, pair):
    async def slowly(request, reply):
        import asyncio

        await reply.start_stream()
        for index in range(20):
            await reply.token(str(index))
            await asyncio.sleep(0.1)
        await reply.end()

    pair[0].handle = slowly
    gateway = GatewayProcess(tmp_path, fleet(*pair))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(gateway.chat(model="big", stream=True)))
    thread.start()
    while not pair[0].requests:
        time.sleep(0.02)
    assert gateway.stop() == 0
    thread.join(5)
    assert answers[0].body.endswith(b"data: [DONE]\n\n")


def test_it_is_ready_when_a_model_answers_and_not_before(tmp_path, pair):
    for engine in pair:
        engine.health = 503
    gateway = GatewayProcess(tmp_path, fleet(*pair), ready=False)
    try:
        time.sleep(0.5)
        assert gateway.admin("/readyz").status == 503
        assert gateway.chat(model="big").status == 503
        pair[1].health = 200
        gateway._wait("/readyz")
        models = gateway.admin("/readyz").json["models"]
        assert (models["small"]["healthy"], models["big"]["healthy"]) == (True, False)
        assert "503" in models["big"]["reason"]
    finally:
        gateway.stop()


def test_the_operators_port_shows_the_fleet_and_both_metric_formats(tmp_path, pair):
    gateway = GatewayProcess(tmp_path, fleet(*pair))
    try:
        seen = gateway.admin("/fleet").json
        assert seen["reference"] == "big"
        assert seen["keys"] is None
        assert b"parlance_candidate_rejections_total" in gateway.admin("/metrics").body
        assert gateway.admin("/nope").status == 404
        assert gateway.get("/metrics").status == 404
    finally:
        gateway.stop()


def test_a_digest_is_all_that_a_keys_file_needs():
    key, digest = new_key()
    assert len(digest) == 64
    assert key.startswith("pk-")
