"""What of a round is told as an event: pure, from the records of this round and the one before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autoscaling.instruments import Outcome
from autoscaling.plan import ModelPlan
from autoscaling.published import Published


@dataclass(frozen=True, slots=True)
class Report:
    """One event: `reason` and `action` in CamelCase for machines, `note` for people. `model` None: of the process."""

    model: str | None
    reason: str
    action: str
    note: str
    warning: bool = False


def took_over(identity: str) -> Report:
    """A new leader."""
    return Report(None, "LeadershipTaken", "Lead", f"{identity} decides on replicas now")


def workers(words: str) -> Report:
    """A worker group was patched."""
    return Report(None, "WorkerGroupChanged", "ScaleWorkers", words)


def upgrade(words: str) -> Report:
    """The cluster of an upgrade was given replicas or pods."""
    return Report(None, "UpgradePrepared", "PrepareUpgrade", words)


def reports(before: Published | None, now: Published) -> Iterator[Report]:
    """Replicas that changed or could not be changed, and holds for lack of data that began or ended."""
    for name, plan in now.plan.models.items():
        old = before.plan.models.get(name) if before is not None else None
        yield from _hold(name, old, plan)
        done = now.done[name]
        words = f"{name}: {plan.target} -> {plan.wanted} replicas: {plan.reason.words}"
        if done.outcome is Outcome.APPLIED:
            up = plan.target is None or plan.wanted is None or plan.wanted > plan.target
            yield Report(name, "ScaledUp" if up else "ScaledDown", "Scale", words)
        elif done.outcome is Outcome.FAILED:
            yield Report(name, "ScaleFailed", "Scale", f"{words}; {done.problem}", warning=True)


def _hold(name: str, old: ModelPlan | None, plan: ModelPlan) -> Iterator[Report]:
    was = old is not None and old.blind is not None
    if plan.blind is not None and not was:
        yield Report(name, "BlindHoldBegan", "Hold", f"{name}: {plan.reason.words}", warning=True)
    elif plan.blind is None and was:
        yield Report(name, "BlindHoldEnded", "Hold", f"{name}: {plan.reason.words}")
