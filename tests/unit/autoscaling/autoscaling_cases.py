"""A fleet of one model with every figure chosen here, snapshots of it, and rounds in which its plans are applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from autoscaling.bounds import Bounded
from autoscaling.history import History
from autoscaling.plan import ModelPlan, Plan
from autoscaling.policies import TokenWork
from autoscaling.policy import Policy
from autoscaling.snapshot import Cause, Reading, Replicas, Seen, Snapshot
from serve.fleet import Fleet
from serve.fleet.loader import resolve

MODEL = "gemma-2-9b-it"
# A request is 100 output tokens of work, and a replica does 100 a second, all of which is planned for.
WORK = {
    "cpu_tokens_per_s": 100,
    "target_utilisation": 1,
    "headroom": 1,
    "catch_up_s": 10,
    "cold_start_s": 60,
    "kv_target": 0.8,
}
INTERVAL_S = 15.0


def fleet(
    least: int = 1, most: int = 10, initial: int | None = None, work: Any = None, pace: Any = None, **settings: Any
) -> Fleet:
    """One model on CPUs."""
    replicas = {"initial": least if initial is None else initial, "min": least, "max": most}
    engine = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 50_331_648, "replicas": replicas}
    autoscaling = {"interval_s": INTERVAL_S, "work": {**WORK, **(work or {})}, "pace": pace or {}, **settings}
    return resolve({"models": [{"use": MODEL, "engine": engine}], "autoscaling": autoscaling}, "test")


def reading(value: float | None, cause: Cause = Cause.MISSING) -> Reading:
    return Reading(value, 1.0) if value is not None else Reading.without(cause)


def seen(
    requests: float | None = 0.0,
    target: int = 1,
    running: int | None = None,
    waiting: float | None = 0.0,
    kv_use: float | None = 0.1,
    worked: float | None = None,
    met: float | None = 1.0,
    refused: float = 0.0,
    starting: int = 0,
    draining: int = 0,
    cause: Cause = Cause.MISSING,
) -> Seen:
    """One model to which so many requests a second come, of 100 output tokens each."""
    up = target if running is None else running
    return Seen(
        finished=reading(requests, cause),
        in_flight=reading(requests, cause),
        growth=reading(0.0),
        refused=reading(refused),
        prompt_tokens=reading(0.0),
        cached_tokens=reading(0.0),
        output_tokens=reading(100.0),
        answered=reading(1.0),
        ttft_within=reading(met),
        itl_within=reading(met),
        running=reading(0.0),
        waiting=reading(waiting, cause),
        kv_use=reading(kv_use, cause),
        worked_prompt_tokens=reading(0.0),
        worked_output_tokens=reading(worked),
        replicas=Replicas(target, up, starting, draining),
        replicas_cause=None,
    )


def snapshot(at: float, model: Seen) -> Snapshot:
    return Snapshot(at, {MODEL: model})


def plan(now: float, model: Seen, history: History, described: Fleet, policy: Policy | None = None) -> ModelPlan:
    """The bounded plan of the only model."""
    return Bounded(policy or TokenWork()).plan(now, snapshot(now, model), history, described).models[MODEL]


def rounds(
    described: Fleet,
    seen_at: Callable[[int, int], Seen],
    count: int,
    policy: Policy | None = None,
    history: History | None = None,
    began: float = 0.0,
) -> Iterator[tuple[ModelPlan, History]]:
    """`count` rounds in which every plan is applied at once; `seen_at(round, target)` is what each sees."""
    known = history or History()
    target = described.models[0].engine.replicas.initial if described.models[0].engine else 1
    bounded = Bounded(policy or TokenWork())
    for number in range(count):
        now = began + number * described.autoscaling.interval_s
        shot = snapshot(now, seen_at(number, target))
        made: Plan = bounded.plan(now, shot, known, described)
        known, _ = known.after(shot, made, described)
        yield made.models[MODEL], known
        wanted = made.models[MODEL].wanted
        target = target if wanted is None else wanted


def without(model: Seen, *names: str, cause: Cause = Cause.MISSING) -> Seen:
    """The same with these readings gone."""
    return replace(model, **{name: Reading.without(cause) for name in names})


def settled(replicas: int) -> tuple[History, float]:
    """A past in which so many replicas were needed and ran for longer than any window, and when it ends."""
    described = fleet(1, 100, initial=replicas)
    *_, (_, last) = rounds(described, lambda _, target: seen(float(replicas), target), 41)
    return last, 41 * INTERVAL_S
