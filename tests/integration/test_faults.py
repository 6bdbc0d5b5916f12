"""An engine killed under a trickle of requests, seen by clients of the gateway."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable

import pytest

from tests.support.stack import Stack
from tests.support.trickle import Trickle, engine_core

pytestmark = pytest.mark.integration

VICTIM = "gemma-2-9b-it"
BYSTANDER = "eurollm-9b-instruct"
GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."


def healthy(stack: Stack) -> bool:
    with urllib.request.urlopen(f"{stack.admin_url}/fleet", timeout=10) as response:
        return json.loads(response.read())["models"][VICTIM]["healthy"]


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


def test_a_killed_engine_is_an_answer_or_a_clean_503_and_auto_goes_elsewhere(stack: Stack) -> None:
    named, auto, spared = trickles = [
        Trickle.chat(stack.gateway_url, VICTIM, GERMAN),
        Trickle.chat(stack.gateway_url, "auto", GERMAN),
        Trickle.chat(stack.gateway_url, BYSTANDER, GERMAN),
    ]
    try:
        time.sleep(2)
        assert auto.models() == {VICTIM}, "the victim must be auto's choice, or this shows nothing"
        engine_core(stack, VICTIM).kill()
        wait_until(lambda: 503 in named.outcomes(), 30, "nobody noticed")
        wait_until(lambda: not healthy(stack), 30, "the gateway did not notice")
        wait_until(lambda: healthy(stack), 300, "the engine did not come back")
        wait_until(lambda: named.answers[-1][1] == 200, 30, "the model does not answer again")
    finally:
        for trickle in trickles:
            trickle.stop()
    assert named.outcomes() <= {200, 503}, "503 without Retry-After is none of these"
    assert max(took for _, _, took in named.answers) < 15, "no request may hang"
    assert auto.outcomes() == {200}, "auto has another model that is good enough"
    assert auto.models() == {VICTIM, "llama-3.3-70b-instruct"}
    assert spared.outcomes() == {200}, "other models see nothing"
