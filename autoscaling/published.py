"""The last round as `/plan` shows it, and `--once` prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoscaling.instruments import Outcome
from autoscaling.plan import Joined, ModelPlan, Plan
from autoscaling.snapshot import Seen, Snapshot


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a model's plan, and what went wrong in words."""

    outcome: Outcome
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """One whole round. `at` is in seconds since the epoch; `problems` say what did not answer."""

    at: float
    plan: Plan
    snapshot: Snapshot
    done: Mapping[str, Done]
    seconds: float
    problems: tuple[str, ...] = field(default=())


def as_json(
    last: Published | None,
    *,
    leads: bool,
    dry_run: bool,
    interval_s: float,
    wall: float,
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """The answer of /plan. `models` is empty where no round ended so far, or another process leads; `problems` say why
    that one's plan cannot be told."""
    head: dict[str, Any] = {"leader": leads, "dry_run": dry_run, "interval_s": interval_s}
    if last is None:
        return {
            **head,
            "at": None,
            "age_s": None,
            "policy": None,
            "problems": list(problems),
            "shifts": [],
            "joint": None,
            "budget": {},
            "models": {},
        }
    return {
        **head,
        "at": last.at,
        "age_s": round(max(wall - last.at, 0.0), 3),
        "policy": last.plan.policy,
        "seconds": round(last.seconds, 3),
        "problems": list(last.problems),
        "shifts": [
            {"language": one.language, "from": one.source, "to": one.to, "share": _rounded(one.share)}
            for one in last.plan.shifts
        ],
        "joint": _joined(last.plan.joined),
        "budget": {
            kind: {"gpus": one.budget, "held": one.held, "planned": one.planned} for kind, one in last.plan.gpus.items()
        },
        "models": {
            name: _model(plan, last.snapshot.model(name), last.done[name]) for name, plan in last.plan.models.items()
        },
    }


def _joined(told: Joined | None) -> dict[str, Any] | None:
    if told is None:
        return None
    gap = _rounded(told.gap)
    return {"found": told.way, "gap": gap, "usd_per_hour": _rounded(told.usd_per_hour), "problem": told.why}


def _model(plan: ModelPlan, seen: Seen, done: Done) -> dict[str, Any]:
    replicas = seen.replicas
    return {
        "wanted": plan.wanted,
        "needed": plan.needed,
        "target": plan.target,
        "running": replicas.running if replicas else None,
        "starting": replicas.starting if replicas else None,
        "draining": replicas.draining if replicas else None,
        "bounds": {"min": plan.least, "max": plan.most},
        "reason": {"code": plan.reason.code.value, "words": plan.reason.words},
        "blind": plan.blind.value if plan.blind else None,
        "outcome": done.outcome.value,
        "problem": done.problem,
        "arriving_tokens_per_s": _rounded(plan.arriving),
        "expected_tokens_per_s": _rounded(plan.expected),
        "replica_tokens_per_s": _rounded(plan.capacity),
        "readings": {
            name: {
                "value": _rounded(reading.value),
                "age_s": _rounded(reading.age_s),
                "cause": reading.cause.value if reading.cause else None,
            }
            for name, reading in seen.readings().items()
        },
    }


def _rounded(value: float | None) -> float | None:
    """Six significant digits: enough for people, and no noise."""
    return None if value is None else float(f"{value:.6g}")
