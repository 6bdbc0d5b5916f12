"""What the gateway keeps of its decisions, and what waiting does to them."""

import asyncio
import subprocess
import sys
import time

import pytest
import yaml

from serve.routing.log import parse
from tests.integration.gateway.conftest import fleet
from tests.integration.gateway.test_reply_language import whole
from tests.support.engine import answer
from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.integration
SECRET = "Skriv ein løyndom om fjordane ved Ålesund, er du snill."


def test_the_decision_log_is_replayed_and_holds_no_prompt(tmp_path, pair):
    gateway = GatewayProcess(tmp_path, fleet(*pair, state_dir="state"))
    try:
        for model in ("auto", "big", "gpt-4o", "nobody"):
            gateway.chat(SECRET, model=model, stream=model == "auto")
        answers = gateway.chat(SECRET, parlance={"task": "code", "session": "s"})
        assert answers.status == 200
    finally:
        gateway.stop()
    log = tmp_path / "state" / "decisions.jsonl"
    assert "fjordane" not in log.read_text()
    entries = [parse(line) for line in log.read_bytes().splitlines()]
    assert [one.reason for one in entries] == ["cheapest", "exact", "alias", "unknown_model", "cheapest"]
    assert [one.outcome.status for one in entries] == [200, 200, 200, 404, 200]
    assert [one.task for one in entries][-1] == "code"
    assert entries[0].id.startswith("req-")
    assert entries[0].outcome.prompt_tokens == 10
    assert entries[0].outcome.nano_usd > 0

    same = replay(log, tmp_path / "fleet.yaml")
    assert "0 (0.0%) would go elsewhere" in same
    description = yaml.safe_load((tmp_path / "fleet.yaml").read_text())
    description["models"][1]["price"] = {"input_usd_per_mtok": 900, "output_usd_per_mtok": 900}
    (tmp_path / "dear.yaml").write_text(yaml.safe_dump(description))
    assert "2 (40.0%) would go elsewhere" in replay(log, tmp_path / "dear.yaml")


def replay(log, description):
    command = [sys.executable, "-m", "serve.cli", "replay", str(log), "--fleet", str(description)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_the_prompt_is_kept_only_where_the_owner_wants_it(tmp_path, pair):
    gateway = GatewayProcess(tmp_path, fleet(*pair, state_dir="state", decision_log={"texts": True}))
    try:
        assert gateway.chat(SECRET).status == 200
    finally:
        gateway.stop()
    (line,) = (tmp_path / "state" / "decisions.jsonl").read_bytes().splitlines()
    assert parse(line).text == SECRET


def test_a_reply_in_a_wrong_language_stands_in_the_log(tmp_path, pair):
    pair[1].handle = whole("In the evening the light of the sun travels a long way through the air. " * 3)
    gateway = GatewayProcess(tmp_path, fleet(*pair, state_dir="state"))
    try:
        assert gateway.chat(SECRET, model="small").status == 200
    finally:
        gateway.stop()
    (line,) = (tmp_path / "state" / "decisions.jsonl").read_bytes().splitlines()
    assert parse(line).outcome.wrong_language == "en"


def test_a_disk_that_fails_stops_no_request(tmp_path, pair):
    gateway = GatewayProcess(tmp_path, fleet(*pair, state_dir="state"))
    try:
        assert gateway.chat(SECRET).status == 200
        log = tmp_path / "state" / "decisions.jsonl"
        time.sleep(0.4)
        log.unlink()  # somebody cleaned up
        assert gateway.chat(SECRET).status == 200
        time.sleep(0.4)
    finally:
        assert gateway.stop() == 0


def test_an_unknown_task_is_refused_with_what_is_allowed(tmp_path, pair):
    gateway = GatewayProcess(tmp_path, fleet(*pair))
    try:
        refused = gateway.chat(SECRET, parlance={"task": "cooking"})
        assert refused.status == 400
        assert refused.json["error"]["param"] == "parlance.task"
        assert "translation" in refused.json["error"]["message"]
    finally:
        gateway.stop()


def test_a_second_of_waiting_has_its_price(tmp_path, pair):
    """The cheaper model answers late: when waiting costs more than the difference, the other one is chosen."""
    big, small = pair
    described = fleet(big, small)
    described["routing"]["waiting_usd_per_s"] = 0.002
    gateway = GatewayProcess(tmp_path, described)

    async def late(request, reply):
        await asyncio.sleep(1)
        await answer(request, reply)

    def chosen():
        return gateway.post("/v1/route", {"model": "auto", "messages": [{"role": "user", "content": SECRET}]}).json[
            "model"
        ]

    try:
        for _ in range(12):
            assert gateway.chat(SECRET, model="small", stream=True).status == 200
        time.sleep(0.3)
        assert chosen() == "small"
        small.handle = late
        for _ in range(4):
            gateway.chat(SECRET, model="small", stream=True)
        time.sleep(0.3)
        assert chosen() == "big"
    finally:
        gateway.stop()
