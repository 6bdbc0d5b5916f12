"""Load in replicas: requests over what one sustains for requests like these."""

from __future__ import annotations

from dataclasses import replace

import pytest
from autoscaling_cases import fleet, reading, seen

from autoscaling.capacity.sustained import Mix, sustained
from autoscaling.demand import demand, limit, mix_of
from serve.fleet import loader
from serve.fleet.loader import LAPTOP

pytestmark = pytest.mark.unit

H100 = loader.load(LAPTOP.with_name("8xh100.yaml"))
LARGE = H100.model("llama-3.3-70b-instruct")


def of(requests: float, prompt: float, output: float) -> object:
    return replace(seen(requests), prompt_tokens=reading(prompt), output_tokens=reading(output), answered=reading(1.0))


def test_a_model_with_a_roofline_is_reckoned_by_it() -> None:
    for mix in (Mix(360, 290), Mix(2300, 60)):
        at_limit = sustained(LARGE, mix, H100.slo)
        assert at_limit is not None
        assert limit(LARGE, mix, H100.autoscaling, H100.slo) == pytest.approx(at_limit.requests_per_s, rel=0.03)
        told = demand(LARGE, of(3 * at_limit.requests_per_s, mix.prompt, mix.output), None, H100.autoscaling, H100.slo)  # type: ignore[arg-type]
        assert told is not None
        assert told.load == pytest.approx(3.0, rel=0.05)
        assert told.served == pytest.approx(told.load)


def test_one_on_a_cpu_by_what_the_description_says() -> None:
    described = fleet()  # 100 tokens/s; a request is 100
    told = demand(described.models[0], seen(2.5), None, described.autoscaling, described.slo)
    assert told is not None
    assert told.load == pytest.approx(2.5, rel=0.01)  # a prompt has a token at least


def test_without_arrivals_there_is_no_load_and_without_answers_the_last_mix() -> None:
    described = fleet()
    model, settings, slo = described.models[0], described.autoscaling, described.slo
    assert demand(model, seen(None), None, settings, slo) is None
    silent = replace(seen(2.0), answered=reading(0.0))
    told = demand(model, silent, Mix(10, 50), settings, slo)
    assert told is not None
    assert told.mix == Mix(10, 50)
    first = demand(model, silent, None, settings, slo)
    assert first is not None
    assert first.load > 0


def test_the_last_minute_counts_as_far_as_it_is_many_requests() -> None:
    def recent(requests_per_s: float) -> float:
        both = replace(
            of(1.0, 100, 100),  # type: ignore[type-var]
            recent_prompt_tokens=reading(500 * requests_per_s),
            recent_cached_tokens=reading(0.0),
            recent_output_tokens=reading(100 * requests_per_s),
            recent_answered=reading(requests_per_s),
        )
        mix = mix_of(both, 60, 600)  # type: ignore[arg-type]
        assert mix is not None
        return mix.prompt

    assert recent(100.0) == pytest.approx(500, rel=0.01)
    assert recent(0.5) == pytest.approx(300)  # thirty of them: half way
    assert recent(0.01) < 110
