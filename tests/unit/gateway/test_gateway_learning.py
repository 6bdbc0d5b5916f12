"""From finished requests to decisions: what is learnt, what is left out, what metrics and the state file show."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import time
from typing import Any

import pytest
from msgspec.structs import replace

from serve.errors import Unavailable
from serve.fleet import Fleet
from serve.fleet.loader import resolve
from serve.gateway.auth import Caller
from serve.gateway.choice import Chosen
from serve.gateway.instruments import Instruments
from serve.gateway.learning import Learning
from serve.gateway.moments import Moments
from serve.gateway.record import Finished
from serve.gateway.state_file import NAME
from serve.gateway.stream import Usage
from serve.routing.decide import decide_observed
from serve.routing.metered import WINDOW_S
from serve.routing.observe import observe
from serve.routing.records import Endpoint, ModelState, Request

pytestmark = pytest.mark.unit

TEXT = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."

GPUS = {"gpu": "H100-SXM-80GB", "tensor_parallel": 4}
ELSEWHERE = {"base_url": "http://127.0.0.1:9"}


def fleet() -> Fleet:
    return resolve(
        {
            "clusters": {"a": {}},
            "models": [
                {
                    "use": "llama-3.3-70b-instruct",
                    "id": "big",
                    "engine": {"gpu": "H100-SXM-80GB", "tensor_parallel": 4},
                },
                {
                    "use": "suzume-llama-3-8b-multilingual",
                    "id": "small",
                    "upstream": {"base_url": "http://127.0.0.1:9"},
                },
            ],
            "routing": {"reference": "big", "quality_floor": -100},
        },
        "test",
    )


class Gateway:
    """The parts that learning touches, without a network."""

    def __init__(self, path: Path | None = None, alone: bool = True) -> None:
        self.fleet = fleet()
        self.live = {model.id: ModelState() for model in self.fleet.models}
        self.instruments = Instruments(self.fleet)
        self.learning = Learning(self.fleet, self.live, self.instruments, alone, path)

    def done(self, usage: Usage | None, model: str = "small", text: str = TEXT, **over: Any) -> Finished:
        request = Request(text=text, characters=len(text), model=model, max_output_tokens=over.pop("cap", None))
        observed = observe(request)
        decision = decide_observed(observed, request, self.fleet, self.live, 0.0)
        chosen = Chosen(decision, over.pop("request", request), observed, {}, 0.0)
        caller = Caller(over.pop("tenant", "acme"), "k", None)
        finished = Finished(
            time(), "r", "d", Endpoint.CHAT, 200, caller, 1, model, chosen, Moments(0.0, ended=1.0), usage, 0, None
        )
        return replace(finished, **over)

    def value(self, name: str, **labels: str) -> float | None:
        return self.instruments.registry.get_sample_value(name, labels)


def kind(done: Finished) -> tuple[str, str]:
    """What the length of its answer is kept under."""
    assert done.decision is not None
    return done.decision.language.answer, done.decision.task or ""


def expected(done: Finished, model: str = "small") -> int:
    assert done.decision is not None
    return next(one.input_tokens for one in done.decision.candidates if one.model == model)


def test_usage_corrects_the_next_expectation() -> None:
    gateway = Gateway()
    before = expected(gateway.done(None))
    done = gateway.done(Usage(round(before * 1.5), 0, 40))
    for _ in range(400):
        gateway.learning.observe(done)
    gateway.learning.publish(time())
    assert expected(gateway.done(None)) == pytest.approx(before * 1.5, rel=0.03)
    assert gateway.value("parlance_token_ratio", model="small", language="de") == pytest.approx(1.5, rel=0.03)
    assert gateway.value("parlance_learnt_observations_total", kind="token_ratio") == 400
    done = gateway.done(Usage(round(before * 1.5), 0, 40))
    for _ in range(400):  # expectations that are corrected already teach the same ratio, not its square
        gateway.learning.observe(done)
    gateway.learning.publish(time())
    assert expected(gateway.done(None)) == pytest.approx(before * 1.5, rel=0.03)


def test_answer_lengths_reach_decisions_and_metrics() -> None:
    gateway = Gateway()
    done = gateway.done(Usage(30, 0, 60))
    for _ in range(200):
        gateway.learning.observe(done)
    gateway.learning.publish(time())
    for model in ("small", "big"):
        assert gateway.live[model].answer_tokens[kind(done)] == pytest.approx(60, rel=0.25), "of the same tokenizer"
    labels = {"model": "big", "language": "de", "task": kind(done)[1] or "none", "statistic": "mean"}
    assert gateway.value("parlance_answer_tokens", **labels) == gateway.live["big"].answer_tokens[kind(done)]
    after = gateway.done(None).decision
    assert after is not None
    assert all(one.output_tokens == pytest.approx(60, rel=0.25) for one in after.candidates)


@pytest.mark.parametrize(
    "over",
    [
        {"status": 499},
        {"error": Unavailable("gone")},
        {"usage": Usage(900, 0, 900, estimated=True)},
        {"usage": None},
        {"chosen": None},
        {"endpoint": Endpoint.COMPLETIONS},
    ],
)
def test_what_was_broken_off_or_not_counted_teaches_nothing(over: dict[str, Any]) -> None:
    gateway = Gateway()
    done = replace(gateway.done(Usage(900, 0, 900)), **over)
    for _ in range(50):
        gateway.learning.observe(done)
    gateway.learning.publish(time())
    assert gateway.live["small"].token_ratios == {}
    assert gateway.live["small"].answer_tokens == {}


def test_tools_teach_no_token_ratio() -> None:
    gateway = Gateway()
    request = Request(text=TEXT, characters=5000, structured_characters=4900)
    done = gateway.done(Usage(900, 0, 90), request=request)
    for _ in range(50):
        gateway.learning.observe(done)
    gateway.learning.publish(time())
    assert gateway.live["small"].token_ratios == {}


def test_one_tenant_of_several_moves_little() -> None:
    gateway = Gateway(alone=False)
    calm = gateway.done(None).decision
    assert calm is not None
    done = gateway.done(Usage(10_000, 0, 16_000), tenant="attacker")
    for _ in range(3000):
        gateway.learning.observe(done)
    gateway.learning.publish(time())
    assert 1 < gateway.live["small"].token_ratios["de"] < 1.05
    bent = gateway.done(None).decision
    assert bent is not None
    for before, after in zip(calm.candidates, bent.candidates, strict=True):
        assert after.output_tokens == pytest.approx(before.output_tokens, rel=0.05)
        assert after.input_tokens == pytest.approx(before.input_tokens, rel=0.07), "5%, and a token of rounding"


def test_gpu_hours_become_prices_of_engines_only() -> None:
    gateway = Gateway()
    now = time() - 3600
    for at in range(0, 3601, 10):
        gateway.live["big"].in_flight = at < 1800
        gateway.learning.sample(now + at)
    gateway.learning.observe(gateway.done(Usage(100_000, 0, 20_000), model="big"))
    gateway.learning.observe(gateway.done(Usage(100_000, 0, 20_000), model="small"))
    gateway.learning.publish(time())
    measured = gateway.live["big"].measured
    assert measured is not None
    usd = measured.average_input_usd * 100_000 + measured.average_output_usd * 20_000
    assert usd == pytest.approx(4 * 3.97, rel=0.01), "four H100s for an hour"
    assert measured.marginal_input_usd == pytest.approx(measured.average_input_usd / 2, rel=0.01)
    assert measured.average_output_usd / measured.average_input_usd == pytest.approx(0.75 / 0.59)
    assert gateway.live["small"].measured is None
    shown = gateway.value("parlance_price_usd_per_token", model="big", basis="marginal", direction="output")
    assert shown == measured.marginal_output_usd
    gateway.learning.publish(time() + WINDOW_S + 60)
    assert gateway.live["big"].measured is None
    assert gateway.value("parlance_price_usd_per_token", model="big", basis="marginal", direction="output") is None
    assert gateway.value("parlance_price_usd_per_token", model="small", basis="list", direction="input") == 0.045e-6


def test_it_is_kept_across_restarts(tmp_path: Path) -> None:
    before = Gateway(tmp_path / NAME)
    done = before.done(Usage(40, 0, 60))
    for _ in range(300):
        before.learning.observe(done)
    before.learning.publish(time())
    asyncio.run(before.learning.save())
    after = Gateway(tmp_path / NAME)
    assert after.live["small"].token_ratios["de"] == pytest.approx(before.live["small"].token_ratios["de"], rel=1e-3)
    kept, was = after.live["big"].answer_tokens, before.live["big"].answer_tokens
    assert kept[kind(done)] == pytest.approx(was[kind(done)], rel=1e-3)


def test_a_disk_that_fails_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    gateway = Gateway(tmp_path / "file" / NAME)
    asyncio.run(gateway.learning.save())
    assert "cannot be written" in caplog.text
