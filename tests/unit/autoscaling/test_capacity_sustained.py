"""What a replica sustains: within the objectives, and less of it where anything is scarcer."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autoscaling.capacity.sustained import Mix, at_objectives, roofline_of, sustained
from serve.fleet import loader
from serve.fleet.loader import LAPTOP
from serve.fleet.slo import Slo

pytestmark = pytest.mark.unit

FLEET = loader.load(LAPTOP.with_name("8xh100.yaml"))
LARGE = FLEET.model("llama-3.3-70b-instruct")
ROOF = roofline_of(LARGE)
MIXES = st.builds(Mix, prompt=st.floats(1, 100_000), output=st.floats(1, 20_000), cached=st.floats(0, 50_000))


@given(MIXES)
def test_the_objectives_are_kept_by_whatever_serves_more_than_one_request(mix: Mix) -> None:
    assert ROOF is not None
    found = at_objectives(ROOF, mix, Slo(), kv_tokens=400_000)
    assert found.requests_per_s > 0
    assert found.sequences >= 1
    if found.sequences > 1:
        assert found.itl_s <= Slo().itl_s
        assert found.ttft_s <= Slo().ttft_s
        assert found.sequences * (mix.prompt + mix.output / 2) <= 400_000 * 1.001


@example(Mix(3392, 55), 2.0)  # a batch of four, found from two sides
@given(MIXES, st.floats(1.1, 4))
def test_longer_prompts_and_stricter_objectives_leave_fewer_requests(mix: Mix, factor: float) -> None:
    assert ROOF is not None
    base = at_objectives(ROOF, mix, Slo(), 400_000).requests_per_s
    longer = Mix(mix.prompt * factor, mix.output, mix.cached)
    assert at_objectives(ROOF, longer, Slo(), 400_000).requests_per_s <= base * 1.01
    assert at_objectives(ROOF, mix, Slo(itl_s=0.03), 400_000).requests_per_s <= base * 1.01
    assert at_objectives(ROOF, mix, Slo(), 200_000).requests_per_s <= base * 1.01


def test_what_keeps_it_from_more_is_named() -> None:
    assert ROOF is not None
    assert at_objectives(ROOF, Mix(500, 500), Slo(), 20_000).bound == "kv"
    assert at_objectives(ROOF, Mix(500, 500), Slo(itl_s=0.03), 10**7).bound == "itl"
    assert at_objectives(ROOF, Mix(60_000, 200), Slo(itl_s=2.5, ttft_s=1.0), 10**7).bound == "ttft"
    assert at_objectives(ROOF, Mix(10, 10), Slo(itl_s=2.5, ttft_s=120), 10**7).bound == "sequences"


def test_a_model_without_a_gpu_has_no_roofline() -> None:
    assert sustained(loader.laptop().models[0], Mix(100, 100), Slo()) is None


def test_every_engine_of_the_gpu_examples_has_one() -> None:
    for model in FLEET.models:
        if model.engine is not None:
            found = sustained(model, Mix(360, 290), Slo())
            assert found is not None
            assert found.itl_s <= Slo().itl_s
