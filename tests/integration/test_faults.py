"""An engine killed under a trickle of requests, seen by clients of the gateway."""

from __future__ import annotations

import json
import time
import urllib.request

import pytest

from tests.support.stack import Stack
from tests.support.trickle import Trickle, engine_core

pytestmark = pytest.mark.integration

VICTIM = "gemma-2-9b-it"
BYSTANDER = "eurollm-9b-instruct"
GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."


def admin(stack: Stack, path: str) -> dict:
    with urllib.request.urlopen(f"{stack.admin_url}{path}", timeout=10) as response:
        return json.loads(response.read())


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
        deadline = time.monotonic() + 300
        time.sleep(3)
        while not admin(stack, "/readyz")["models"][VICTIM]["healthy"]:
            assert time.monotonic() < deadline, "the engine did not come back"
            time.sleep(0.5)
        time.sleep(3)
    finally:
        for trickle in trickles:
            trickle.stop()
    assert named.outcomes() <= {200, 503}, "503 without Retry-After is none of these"
    assert 503 in named.outcomes()
    assert max(took for _, _, took in named.answers) < 15, "no request may hang"
    assert named.answers[-1][1] == 200
    assert auto.outcomes() == {200}, "auto has another model that is good enough"
    assert auto.models() == {VICTIM, "llama-3.3-70b-instruct"}
    assert spared.outcomes() == {200}, "other models see nothing"
