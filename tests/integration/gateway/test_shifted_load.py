"""The autoscaler's plan, read over HTTP, moves conversations between models, and nothing else does."""

import json
import math
import time

import pytest

from serve.fleet import loader
from serve.routing.log import parse
from serve.routing.replay import Replay
from tests.integration.gateway.conftest import fleet
from tests.integration.gateway.test_budgets import TURN
from tests.integration.gateway.test_console_http import Autoscaler
from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.integration

# A model of two hundred in German: `small`, the cheapest, is the first choice of both.
SETTINGS = {"interval_s": 0.1, "stale_after_s": 3}
DEADLINE_S = 20


def plan(*shifts, **fields):
    told = {"leader": True, "dry_run": False, "interval_s": 15, "at": time.time(), "age_s": 0.0, "models": {}}
    return json.dumps({**told, "shifts": list(shifts), **fields}).encode()


def shift(share, source="small", to="big", language="de"):
    return {"language": language, "from": source, "to": to, "share": share}


@pytest.fixture
def autoscaler():
    started = Autoscaler()
    started.body = plan()
    yield started
    started.stop()


@pytest.fixture
def follows(tmp_path, pair, autoscaler):
    """Starts gateways that follow the autoscaler's plan."""
    made = []

    def start(**gateway):
        directory = tmp_path / str(len(made))
        directory.mkdir()
        url = f"http://127.0.0.1:{autoscaler.server.server_port}/plan"
        made.append(GatewayProcess(directory, fleet(*pair, plan_url=url, **{"shifts": SETTINGS, **gateway})))
        until(lambda: made[-1].metric("parlance_model_healthy") == 2, "both models are up")
        return made[-1]

    yield start
    for gateway in made:
        gateway.stop()


def until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def in_force(gateway, count):
    until(lambda: gateway.metric("parlance_plan_shifts") == count, f"{count} shifts are in force")


def route(gateway, **fields):
    body = {"model": "auto", "messages": TURN, **fields}
    return gateway.post("/v1/route", body).json


def test_a_request_is_shifted_told_so_logged_and_replayed(follows, autoscaler, tmp_path):
    gateway = follows(state_dir=str(tmp_path / "state"))
    assert gateway.chat(TURN[0]["content"]).headers["x-parlance-model"] == "small"
    autoscaler.body = plan(shift(1.0))
    in_force(gateway, 1)
    got = gateway.chat(TURN[0]["content"])
    assert (got.headers["x-parlance-model"], got.headers["x-parlance-reason"]) == ("big", "shifted")
    shown = route(gateway)
    assert (shown["model"], shown["reason_code"], shown["ranking"]) == ("big", "shifted", ["big", "small"])
    assert shown["shift"] == {"from": "small", "to": "big", "share": 1.0}
    assert "the autoscaler's plan moves 100% of what would go to small in German there" in shown["reason"]
    named = gateway.post("/v1/chat/completions", {"model": "small", "messages": TURN})
    assert (named.headers["x-parlance-model"], named.headers["x-parlance-reason"]) == ("small", "exact")
    assert route(gateway, parlance={"models": ["small", "big"]})["model"] == "small"
    assert gateway.chat("Hva er en fjord, og hvordan ble den til?").headers["x-parlance-reason"] != "shifted"
    assert gateway.metric("parlance_requests_total", model="big", reason="shifted", language="de") == 1
    assert abs(gateway.metric("parlance_input_timestamp_seconds", input="plan") - time.time()) < 60
    assert gateway.stop() == 0
    lines = (tmp_path / "state" / "decisions.jsonl").read_bytes().splitlines()
    entries = [parse(line) for line in lines]
    assert [entry.reason for entry in entries] == ["cheapest", "shifted", "exact", "cheapest"]
    replay = Replay(loader.load(tmp_path / "0" / "fleet.yaml"))
    for entry in entries:
        replay.add(entry)
    assert replay.changed == 0
    assert replay.reasons_would == {"cheapest": 2, "shifted": 1, "exact": 1}


def test_conversations_keep_their_models_in_every_process(follows, autoscaler):
    autoscaler.body = plan(shift(0.4))
    one, other = follows(), follows()
    in_force(one, 1)
    in_force(other, 1)
    sessions = [f"session-{number}" for number in range(150)]

    def models(gateway):
        return {name: route(gateway, parlance={"session": name})["model"] for name in sessions}

    before = models(one)
    assert before == models(other)
    moved = sum(model == "big" for model in before.values())
    assert abs(moved - 60) <= 5 * math.sqrt(150 * 0.4 * 0.6)
    autoscaler.body = plan(shift(0.7))
    gone = {"session": next(name for name, model in before.items() if model == "big")}
    until(lambda: route(one, parlance=gone)["shift"]["share"] == 0.7, "the next plan is in force")
    after = models(one)
    assert all(after[name] == "big" for name, model in before.items() if model == "big")
    # Without a session it is the first turn that tells conversations apart, whatever was said since.
    turns = [*TURN, {"role": "assistant", "content": "Weil das Licht gestreut wird."}]
    for number in range(20):
        first = {"role": "user", "content": f"{TURN[0]['content']} Das ist Frage {number}."}
        later = [first, turns[1], {"role": "user", "content": "Und warum ist er am Mittag dann nicht auch rot?"}]
        assert route(one, messages=[first])["model"] == route(one, messages=later)["model"]


def test_a_plan_that_goes_wrong_or_silent_moves_nothing(follows, autoscaler):
    autoscaler.body = plan(shift(1.0))
    gateway = follows()
    in_force(gateway, 1)
    autoscaler.body = plan(shift(1.0, to="gone"))
    in_force(gateway, 0)
    assert route(gateway)["model"] == "small"
    assert gateway.metric("parlance_plan_flaws_total", flaw="unknown_model") > 0
    autoscaler.body = plan(shift(1.0), dry_run=True)
    time.sleep(1.1)
    assert gateway.metric("parlance_plan_shifts") == 0
    autoscaler.body = plan(shift(1.0))
    in_force(gateway, 1)
    autoscaler.stop()
    until(lambda: gateway.metric("parlance_plan_flaws_total", flaw="unreachable") > 0, "it is seen")
    in_force(gateway, 0)
    assert gateway.metric("parlance_plan_flaws_total", flaw="stale") > 0
    assert gateway.chat(TURN[0]["content"]).headers["x-parlance-model"] == "small"
    log = gateway.log.read_text()
    for words in ("unknown_model: shifts[0].to: 'gone'", "is unreachable", "is stale: it is", "plan is read again"):
        assert log.count(words) == 1, (words, log)


def test_a_fleet_may_show_plans_without_following_them(follows, autoscaler):
    autoscaler.body = plan(shift(1.0))
    gateway = follows(shifts={"enabled": False})
    shown = json.loads(gateway.admin("/console/data/plan").body)
    assert shown["plan"]["shifts"] == [shift(1.0)]
    assert route(gateway)["model"] == "small"
    assert gateway.metric("parlance_plan_shifts") == 0
