"""What is wanted, and why: the records that policies make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from autoscaling.snapshot import Cause
from serve.fleet import Fleet, Model


class Code(StrEnum):
    """The main reason for a number of replicas. What was needed, as a policy says it, or what kept it from that."""

    WORK = "work"  # expected work
    BACKLOG = "backlog"  # expected work, and requests that wait
    KV_CACHE = "kv_cache"  # room in the KV cache
    REFUSED = "refused"  # requests were refused and there was no replica
    IDLE = "idle"  # nothing is expected
    STATIC = "static"  # the policy keeps a number
    AT_LEAST = "at_least"  # less is needed, the description allows no less
    AT_MOST = "at_most"  # more is needed, the description allows no more
    PACE_UP = "pace_up"  # more is needed, a period may add no more
    PACE_DOWN = "pace_down"  # less is needed, a period may take no more
    WINDOW = "window"  # less is needed, a plan within the scale-down window asked for more
    BLIND = "blind"  # data is missing: the replicas are kept
    RISK = "risk"  # requests that would be late cost more than a replica
    SPARE = "spare"  # warm replicas above the need, as the description asks
    SHIFTED = "shifted"  # another model takes load of this one, which costs less than a replica
    BUDGET = "budget"  # more is needed, the GPUs are given to others


@dataclass(frozen=True, slots=True)
class Reason:
    """A code for metrics, and the sentence for people."""

    code: Code
    words: str


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """One model's part of a plan.

    `needed` is what the policy asks for before bounds and pace, None where it could not see; `wanted` what is to run,
    None where nobody knows how many there are: a policy gives it only where it has its own pace. `arriving`, `expected`
    and `capacity` are work in output tokens a second: measured, planned for, and done by one replica; `usable` is as
    much of the last as it is planned to do, None: all of it. `blind` says which data is missing. `away`: requests a
    second that shifts in force take to other models, less those that they bring: `arriving` and `expected` are what
    would come without them.
    """

    model: str
    wanted: int | None
    reason: Reason
    needed: int | None = None
    target: int | None = None
    least: int = 0
    most: int = 1
    arriving: float | None = None
    expected: float | None = None
    capacity: float | None = None
    blind: Cause | None = None
    usable: float | None = None
    away: float = 0.0


@dataclass(frozen=True, slots=True)
class Shift:
    """`share` (above 0, at most 1) of the requests to `auto` in `language` (BCP-47) that would go to `source` are to go
    to `to`, which is above the floor in that language too."""

    language: str
    source: str
    to: str
    share: float


@dataclass(frozen=True, slots=True)
class Hold:
    """One kind of GPU under a budget: how many there may be, are held now, and are planned for."""

    budget: int
    held: int
    planned: int


@dataclass(frozen=True, slots=True)
class Joined:
    """How the plan across models was found: `way` is optimum, incumbent (the best in time) or greedy; `gap` is how far
    above the best one it may be, a share of its cost, None where nobody knows; `why` there is no better one, if so.

    `usd_per_hour` is its cost: replicas, what moves, and what may be missed."""

    way: str
    gap: float | None
    usd_per_hour: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What should run at `at` (the controller's clock), for every model with an engine; what the router moves; the GPUs
    under a budget, by kind; and how all of it was found where models were planned together."""

    at: float
    policy: str
    models: Mapping[str, ModelPlan] = field(default_factory=dict)
    shifts: tuple[Shift, ...] = ()
    gpus: Mapping[str, Hold] = field(default_factory=dict)
    joined: Joined | None = None


def scaled(fleet: Fleet) -> tuple[Model, ...]:
    """The models whose replicas are the autoscaler's: those with an engine."""
    return tuple(model for model in fleet.models if model.engine is not None)
