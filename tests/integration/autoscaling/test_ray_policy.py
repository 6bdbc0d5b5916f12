"""`ray-default` beside the code of the pinned Ray: the same decisions for the same requests, round by round."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.serve import autoscaling_policy
from ray.serve._private.common import DeploymentID
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from autoscaling.bounds import Bounded
from autoscaling.history import History
from autoscaling.policies import RayDefault
from autoscaling.policies.ray_default import desired_replicas
from autoscaling.snapshot import Reading, Replicas, Seen, Snapshot
from serve.fleet import Fleet
from serve.fleet.autoscaling_rules import RayDefault as Rules
from serve.fleet.loader import resolve

pytestmark = pytest.mark.integration

MODEL = "gemma-2-9b-it"
INTERVAL_S = 15.0
BEGAN = 1000.0


def fleet(least: int, most: int, rules: Rules) -> Fleet:
    """One model, and requests that count as they are: averaging is not Ray's policy's business."""
    engine = {
        "device": "cpu",
        "weights": "tiny",
        "kv_cache_bytes": 50_331_648,
        "replicas": {"initial": least, "min": least, "max": most},
    }
    ray = {**rules.model_dump(), "look_back_period_s": 1}
    autoscaling = {"interval_s": INTERVAL_S, "rules": {"ray_default": ray}}
    return resolve({"models": [{"use": MODEL, "engine": engine}], "autoscaling": autoscaling}, "test")


class Ray:
    """Ray's default policy with its wrapper, its state and its bounds, on a clock of ours."""

    def __init__(self, least: int, most: int, rules: Rules) -> None:
        self.target = least
        self._config = AutoscalingConfig(
            min_replicas=least,
            max_replicas=most,
            target_ongoing_requests=rules.target_ongoing_requests,
            upscaling_factor=rules.upscaling_factor,
            downscaling_factor=rules.downscaling_factor,
            upscale_delay_s=rules.upscale_delay_s,
            downscale_delay_s=rules.downscale_delay_s,
            downscale_to_zero_delay_s=rules.downscale_to_zero_delay_s,
        )
        self._decide = autoscaling_policy._apply_autoscaling_config(autoscaling_policy.default_autoscaling_policy)
        self._state: dict[str, Any] = {}

    def round(self, running: int, requests: float) -> int:
        """The target that it sets."""
        config = self._config
        context = AutoscalingContext(
            deployment_id=DeploymentID(name="model"),
            deployment_name="model",
            app_name="app",
            current_num_replicas=running,
            target_num_replicas=self.target,
            running_replicas=[],
            total_num_requests=requests,
            total_queued_requests=None,
            aggregated_metrics=None,
            raw_metrics=None,
            capacity_adjusted_min_replicas=config.min_replicas,
            capacity_adjusted_max_replicas=config.max_replicas,
            policy_state=self._state,
            last_scale_up_time=None,
            last_scale_down_time=None,
            current_time=None,
            config=config,
        )
        decided, self._state = self._decide(context)
        self.target = max(config.min_replicas, min(config.max_replicas, decided))
        return self.target


def ours(least: int, most: int, rules: Rules) -> Generator[int, tuple[int, float], None]:
    """The target that our policy sets, for (running, requests) sent in."""
    described, history, policy = fleet(least, most, rules), History(), Bounded(RayDefault())
    now, target = BEGAN, least
    while True:
        running, requests = yield target
        state = Replicas(target, running, target - running)
        seen = replace(Seen(in_flight=Reading(requests, 1.0)), replicas=state, replicas_cause=None)
        snapshot = Snapshot(now, {MODEL: seen})
        plan = policy.plan(now, snapshot, history, described)
        history, _ = history.after(snapshot, plan, described)
        target = plan.models[MODEL].wanted or 0
        now += INTERVAL_S


FACTORS = st.sampled_from([0.1, 0.3, 0.5, 1.0, 1.5, 2.0])
RULES = st.builds(
    Rules,
    target_ongoing_requests=st.sampled_from([1.0, 2.0, 3.0, 7.5]),
    upscaling_factor=FACTORS,
    downscaling_factor=FACTORS,
    upscale_delay_s=st.sampled_from([0.0, 15.0, 30.0, 100.0]),
    downscale_delay_s=st.sampled_from([0.0, 30.0, 90.0, 600.0]),
    downscale_to_zero_delay_s=st.sampled_from([None, 0.0, 45.0, 300.0]),
)
# Long spells, so that delays run out, and requests of which the ratio is often a whole number.
SPELLS = st.lists(
    st.tuples(
        st.integers(1, 50),
        st.one_of(st.integers(0, 40).map(float), st.floats(0, 60)),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40)
@given(rules=RULES, spells=SPELLS, least=st.integers(0, 2), most=st.integers(2, 20))
def test_the_same_decisions_as_ray_s_own_code(
    rules: Rules, spells: list[tuple[int, float, int]], least: int, most: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        now = BEGAN
        patched.setattr(autoscaling_policy, "time", SimpleNamespace(time=lambda: now))
        theirs, mine = Ray(least, most, rules), ours(least, most, rules)
        target = next(mine)
        running = target
        for rounds, requests, late in spells:
            for number in range(rounds):
                # What was called for takes a while; a model that runs does not lose its last replica. (If it did, Ray
                # would go on with the delay that it had begun; ours begins anew.)
                least_running = min(running, target, 1)
                running = max(target - late, least_running) if number % 8 < 5 else target
                expected = theirs.round(running, requests)
                target = mine.send((running, requests))
                assert target == expected
                now += INTERVAL_S


@given(
    running=st.integers(1, 60),
    requests=st.floats(0, 1000),
    target=st.floats(0.1, 50),
    up=FACTORS,
    down=FACTORS,
)
def test_the_same_rounding(running: int, requests: float, target: float, up: float, down: float) -> None:
    rules = Rules(target_ongoing_requests=target, upscaling_factor=up, downscaling_factor=down)
    ray = Ray(0, 1000, rules)
    ray.target = running
    desired, _ = autoscaling_policy._core_replica_queue_length_policy(
        SimpleNamespace(
            current_num_replicas=running,
            target_num_replicas=running,
            total_num_requests=requests,
            config=ray._config,
        )
    )
    theirs = autoscaling_policy._apply_scaling_factors(desired, running, ray._config)
    assert desired_replicas(running, requests, rules) == max(theirs, 0)


def test_the_defaults_are_ray_s() -> None:
    theirs = AutoscalingConfig()
    rules = Rules()
    assert rules.target_ongoing_requests == theirs.target_ongoing_requests
    assert rules.look_back_period_s == theirs.look_back_period_s
    assert rules.upscaling_factor == theirs.get_upscaling_factor()
    assert rules.downscaling_factor == theirs.get_downscaling_factor()
    assert rules.upscale_delay_s == theirs.upscale_delay_s
    assert rules.downscale_delay_s == theirs.downscale_delay_s
    assert rules.downscale_to_zero_delay_s == theirs.downscale_to_zero_delay_s
