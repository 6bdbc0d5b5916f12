"""What the rules of other autoscalers share: each looks at one model by itself, and holds without data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoscaling.demand import weights
from autoscaling.history import History, ModelHistory
from autoscaling.plan import Code, ModelPlan, Plan, Reason, scaled
from autoscaling.snapshot import Cause, Replicas, Seen, Snapshot
from serve.fleet import Fleet
from serve.fleet.autoscaling import Autoscaling


@dataclass(frozen=True, slots=True)
class Case:
    """One model in one round, whose replicas are known.

    `current` is the target without the warm spares that `autoscaling.bounds` adds: a rule that counted them would take
    them for its own, and add as many again.
    """

    now: float
    model: str
    seen: Seen
    replicas: Replicas
    past: ModelHistory
    settings: Autoscaling
    least: int
    spare: int

    @property
    def current(self) -> int:
        """Replicas that the rule has called for."""
        return self.own(self.replicas.target)

    @property
    def ready(self) -> int:
        """Those of them that serve; a replica above the target is one that is about to go."""
        return min(self.replicas.running, self.current)

    def own(self, target: int) -> int:
        """A target without the spares; one replica of a target above none is never a spare."""
        return max(target - self.spare, min(target, 1))

    def blind(self, name: str, cause: Cause) -> ModelPlan:
        """No plan, for lack of the reading `name`."""
        return ModelPlan(self.model, None, Reason(Code.BLIND, f"{name}: {cause.words}"), blind=cause)

    def plan(self, needed: int, wanted: int, reason: Reason) -> ModelPlan:
        """`needed` by the rule, `wanted` by its pace."""
        return ModelPlan(self.model, wanted, reason, needed=needed, arriving=self._arriving())

    def _arriving(self) -> float | None:
        """Work that arrives, in output tokens a second: for readers of the plan, and the rounds to come."""
        arrivals = self.seen.arrivals.value
        if arrivals is None:
            return None
        measured = self.seen.work_per_request(weights(self.settings)).value
        return arrivals * (measured or self.past.work_per_request or self.settings.work.request_tokens)


def each(
    name: str, now: float, snapshot: Snapshot, history: History, fleet: Fleet, rule: Callable[[Case], ModelPlan]
) -> Plan:
    """The rule's plan of every model; where nobody tells of its replicas, none."""
    settings = fleet.autoscaling
    models = {}
    for model in scaled(fleet):
        assert model.engine is not None
        seen = snapshot.model(model.id)
        if seen.replicas is None:
            cause = seen.replicas_cause or Cause.MISSING
            reason = Reason(Code.BLIND, f"replicas: {cause.words}")
            models[model.id] = ModelPlan(model.id, None, reason, blind=cause)
            continue
        past, bounds = history.model(model, settings), model.engine.replicas
        models[model.id] = rule(Case(now, model.id, seen, seen.replicas, past, settings, bounds.min, bounds.spare))
    return Plan(now, name, models)
