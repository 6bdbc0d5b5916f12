"""`static`: each model keeps the number of replicas that it was described with."""

from __future__ import annotations

from autoscaling.history import History
from autoscaling.plan import Code, ModelPlan, Plan, Reason, scaled
from autoscaling.snapshot import Snapshot
from serve.fleet import Fleet


class Static:
    """Needs no data, and so is never blind for it."""

    name = "static"
    own_pace = False

    def plan(self, now: float, snapshot: Snapshot, history: History, fleet: Fleet) -> Plan:
        """`replicas.initial` of each model."""
        models = {}
        for model in scaled(fleet):
            assert model.engine is not None
            initial = model.engine.replicas.initial
            reason = Reason(Code.STATIC, f"the description starts it with {initial}")
            models[model.id] = ModelPlan(model.id, None, reason, needed=initial)
        return Plan(now, self.name, models)
