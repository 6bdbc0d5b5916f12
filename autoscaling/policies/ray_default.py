"""`ray-default`: Ray Serve's own autoscaling policy, on requests in flight.

    ongoing = mean over look_back_period_s of the requests that replicas and their queues have
    desired = running x ongoing / (target_ongoing_requests x running)
    desired = ceil(running + factor x (desired - running)), and one less than that where a factor keeps it from sinking

A decision to add replicas counts when every decision of upscale_delay_s was to add some, one to remove them when every
one of downscale_delay_s was to remove some; an equal or opposite one begins anew. With no replica that runs, the first
request calls for max(ceil(upscaling_factor), target) at once. Zero comes after one only.

Source: Ray 2.60, ray/serve/autoscaling_policy.py (_core_replica_queue_length_policy, _apply_scaling_factors,
_apply_delay_logic, _get_cold_start_scale_up_replicas), whose code a test runs beside this. Ray decides ten times a
second and samples every two seconds; here it is once a round, with a line between the rounds' samples. What Ray keeps
of its decisions is read from the rounds before; where one was blind, or the last replica was lost, the delay begins
anew.
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil

from autoscaling.history import History, Round
from autoscaling.plan import Code, ModelPlan, Plan, Reason
from autoscaling.policies.each import Case, each
from autoscaling.snapshot import Cause, Snapshot
from serve.fleet import Fleet
from serve.fleet.autoscaling_rules import RayDefault as Rules

# As Ray has it: a delay of 400 s has elapsed after 399.9999999.
EPSILON_S = 1e-6


class RayDefault:
    """`autoscaling.rules.ray_default`."""

    name = "ray-default"
    own_pace = True

    def plan(self, now: float, snapshot: Snapshot, history: History, fleet: Fleet) -> Plan:
        """Each model by itself."""
        return each(self.name, now, snapshot, history, fleet, _rule)


def _rule(case: Case) -> ModelPlan:
    rules, reading = case.settings.rules.ray_default, case.seen.in_flight
    if reading.value is None:
        return case.blind("requests in flight", reading.cause or Cause.MISSING)
    ongoing = _ongoing(case, reading.value, rules.look_back_period_s)
    words = f"{ongoing:,.1f} requests are in flight, the target is {rules.target_ongoing_requests:g} of a replica"
    if not case.ready:
        # Ray's proxies hold what comes while no replica runs; a gateway may refuse it.
        if ongoing > 0 or (case.seen.refused.value or 0) > 0:
            first = max(ceil(rules.upscaling_factor), case.current)
            return case.plan(first, first, Reason(Code.WORK, f"no replica runs; {words}"))
        return case.plan(
            case.current, case.current, Reason(Code.IDLE, f"no replica runs, and no request waits; {words}")
        )
    desired = desired_replicas(case.ready, ongoing, rules)
    wanted, delay_s = _delayed(case, desired, rules)
    if wanted != case.current or desired == case.current:
        return case.plan(desired, wanted, Reason(Code.WORK if desired else Code.IDLE, words))
    code = Code.PACE_UP if desired > case.current else Code.WINDOW
    return case.plan(desired, wanted, Reason(code, f"{desired} are desired, not yet for {delay_s:g} s: {words}"))


def desired_replicas(running: int, ongoing: float, rules: Rules) -> int:
    """What Ray desires before delays and bounds, in its own order of operations: rounding depends on it."""
    desired = running * (ongoing / (rules.target_ongoing_requests * running))
    delta = desired - running
    factor = rules.upscaling_factor if delta > 0 else rules.downscaling_factor
    scaled = ceil(running + factor * delta)
    if ceil(desired) < running and scaled == running:
        scaled -= 1
    return max(scaled, 0)


def _ongoing(case: Case, value: float, look_back_s: float) -> float:
    """The mean of the line through the samples of the look-back period."""
    points = [(r.at, r.in_flight) for r in case.past.since(case.now - look_back_s) if r.in_flight is not None]
    points.append((case.now, value))
    seconds = points[-1][0] - points[0][0]
    if seconds <= 0:
        return value
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    return area / seconds


def _delayed(case: Case, desired: int, rules: Rules) -> tuple[int, float]:
    """`desired` once it has been asked for long enough, until then what is; and how long that is."""
    current = case.current
    if desired == current:
        return current, 0.0
    if desired > current:
        delay_s, sign = rules.upscale_delay_s, 1
    else:
        sign = -1
        delay_s = rules.downscale_delay_s
        if current == 1:
            to_zero = rules.downscale_to_zero_delay_s
            delay_s = to_zero if to_zero is not None else delay_s
        else:
            desired = max(desired, 1)
    elapsed = case.now - _asked_since(case, sign)
    return (desired if elapsed + EPSILON_S >= delay_s else current), delay_s


def _asked_since(case: Case, sign: int) -> float:
    """When the run of decisions in this direction began that ends now."""
    began = case.now
    for past in reversed(case.past.rounds):
        if not _asked(case, past, sign):
            break
        began = past.at
    return began


def _asked(case: Case, past: Round, sign: int) -> bool:
    """Whether a round desired a change in this direction, and did not get it yet."""
    if past.needed is None or past.before is None or past.target != past.before:
        return False
    return (past.needed - case.own(past.before)) * sign > 0
