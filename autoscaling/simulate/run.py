"""A policy over traffic: every tick the world moves, every interval the policy looks and its plan is applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from autoscaling.policy import Policy
from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.outcome import Outcome
from autoscaling.simulate.traces import Trace
from serve.fleet import Fleet

World = Literal["fluid", "exact"]


def simulate(
    fleet: Fleet, traffic: Mapping[str, Trace], policy: Policy, conditions: Conditions, world: World = "fluid"
) -> Outcome:
    """What would have come of `policy` if `traffic` (by model) had come to `fleet`.

    Every model of `traffic` needs an engine on GPUs, whose roofline can be computed. Raises ValueError.
    """
    raise NotImplementedError
