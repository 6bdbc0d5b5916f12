"""A follower tells the leader's plan, and says what is wrong where it cannot."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from autoscaling.controller import Controller
from autoscaling.fetch import Unreachable
from autoscaling.kubernetes.api import url_of
from autoscaling.relay import OWN, Relay
from autoscaling.server import App
from serve.fleet import loader

pytestmark = pytest.mark.unit

URL = f"http://10.0.0.1:8082{OWN}"
PLAN = json.dumps({"leader": True, "models": {"m": {}}, "problems": []}).encode()


class Another:
    """Another process leads."""

    def leads(self) -> bool:
        return False

    def resign(self) -> None: ...


class Leader:
    """What answers at the leader's address, and how often it was asked."""

    def __init__(self, status: int = 200, body: bytes = PLAN, gone: str = "") -> None:
        self.status, self.body, self.gone = status, body, gone
        self.asked: list[str] = []

    def __call__(self, url: str) -> tuple[int, bytes]:
        self.asked.append(url)
        if self.gone:
            raise Unreachable(self.gone)
        return self.status, self.body


async def get(app: App, path: str, method: str = "GET") -> tuple[int, bytes]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("nothing is read of a request without a body")

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "method": method, "path": path}, receive, send)
    assert int(dict(sent[0]["headers"])[b"content-length"]) > 0
    return sent[0]["status"], sent[1]["body"]


def follower(leader: Leader | None, url: str | None = URL) -> App:
    relay = Relay(lambda: url, leader) if leader is not None else None
    return App(Controller(loader.laptop(), Another(), None), relay)


def plan(app: App, path: str = "/plan") -> dict[str, Any]:
    status, body = asyncio.run(get(app, path))
    assert status == 200
    told: dict[str, Any] = json.loads(body)
    return told


def test_a_follower_tells_the_leader_s_plan_as_it_stands() -> None:
    leader = Leader()
    assert asyncio.run(get(follower(leader), "/plan")) == (200, PLAN)
    assert leader.asked == [URL]


def test_its_own_is_told_without_asking_anybody() -> None:
    leader = Leader()
    told = plan(follower(leader), OWN)
    assert (told["leader"], told["models"], leader.asked) == (False, {}, [])


def test_a_leader_asks_nobody() -> None:
    leader = Leader()
    app = follower(leader)
    app._controller.leads = True
    assert plan(app)["leader"] is True
    assert leader.asked == []


@pytest.mark.parametrize(
    ("leader", "words"),
    [
        (Leader(gone="no whole answer within 1.5 s"), "no whole answer"),
        (Leader(status=404), "status 404"),
        (Leader(body=b"<html>"), "no plan"),
        (Leader(body=b"[]"), "no plan"),
        (Leader(body=b'{"leader": false}'), "leads no more, or not yet"),
    ],
)
def test_what_is_wrong_with_the_leader_is_said(leader: Leader, words: str) -> None:
    told = plan(follower(leader))
    assert (told["leader"], told["age_s"], told["models"], told["shifts"]) == (False, None, {}, [])
    (problem,) = told["problems"]
    assert problem.startswith("the leader does not tell its plan: ")
    assert words in problem


@pytest.mark.parametrize("app", [follower(None), follower(Leader(), url=None)])
def test_where_no_leader_is_known_there_is_no_plan_and_no_problem(app: App) -> None:
    told = plan(app)
    assert (told["leader"], told["age_s"], told["problems"]) == (False, None, [])


def test_those_who_ask_at_once_get_one_answer_and_later_ones_a_new_one() -> None:
    answers, go = iter((PLAN, b'{"leader": true, "later": 1}')), threading.Event()

    def fetch(url: str) -> tuple[int, bytes]:
        body = next(answers)  # a third question would have no answer
        assert go.wait(10)
        return 200, body

    async def ask() -> list[bytes | None]:
        relay = Relay(lambda: URL, fetch)
        hung_up = asyncio.create_task(relay.plan())
        both = asyncio.gather(relay.plan(), relay.plan())
        await asyncio.sleep(0)
        hung_up.cancel()
        await asyncio.gather(hung_up, return_exceptions=True)
        go.set()
        return [*await both, await relay.plan()]

    first, second, later = asyncio.run(ask())
    assert first == second == PLAN
    assert json.loads(later or b"") == {"leader": True, "later": 1}


def test_only_get_is_answered() -> None:
    leader = Leader()
    assert asyncio.run(get(follower(leader), "/plan", "POST"))[0] == 405
    assert asyncio.run(get(follower(leader), "/plan", "HEAD")) == (200, b"")
    assert asyncio.run(get(follower(leader), "/nothing"))[0] == 404


@pytest.mark.parametrize(
    ("address", "url"),
    [("10.1.2.3", "http://10.1.2.3:8082/plan/own"), ("fd00::1", "http://[fd00::1]:8082/plan/own"), ("", None)],
)
def test_a_pod_says_where_it_is_found(address: str, url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_IP", address)
    assert url_of(8082, OWN) == url
