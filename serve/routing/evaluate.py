"""How good the choice is on prompts of known language and task: beside always the reference, always the cheapest,
and an oracle that is told both.

Cost and quality are expectations: the same formula and the same evidence for every policy, in the true language and for
the true task. What is compared is the choosing, not the evidence.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from serve.fleet.description import Fleet
from serve.fleet.tasks import Task
from serve.routing.decide import decide_observed
from serve.routing.observe import observe
from serve.routing.records import Candidate, Decision, Rejection, Request
from serve.routing.sums import Sums
from serve.routing.tags import normal

AUTO, ORACLE, REFERENCE, CHEAPEST = "auto", "oracle", "always the reference", "always the cheapest"
POLICIES = (AUTO, ORACLE, REFERENCE, CHEAPEST)

# What the evidence says against a model, as against what nothing can change.
_UNFIT = frozenset((Rejection.LANGUAGE_NOT_COVERED, Rejection.BELOW_FLOOR))


@dataclass(slots=True)
class Result(Sums):
    """What a policy came to over the prompts. `below` counts choices that the evidence speaks against."""

    below: int = 0
    models: Counter[str] = field(default_factory=Counter)

    def choose(self, chosen: Candidate | None, fallback: bool) -> None:
        """One prompt: the chosen model as the truth sees it. `fallback`: nothing was good enough in truth either."""
        if chosen is None:
            self.add(None, 0.0, None)
            return
        self.add(chosen.model, chosen.cost_usd, chosen.quality)
        self.models[chosen.model] += 1
        self.below += chosen.rejection in _UNFIT and not fallback

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return Sums.as_dict(self) | {"below_floor": self.below, "models": dict(sorted(self.models.items()))}


class Evaluation:
    """Evaluates prompts against a fleet whose models are all up."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.results = {name: Result() for name in POLICIES}
        self.by_language: dict[str, dict[str, Result]] = {}
        self.language_right = 0
        self.task_right = 0
        self.task_given = 0

    def add(self, request: Request, language: str, task: Task | None) -> None:
        """One prompt, whose text is in `language` (a BCP-47 tag) and asks for `task` (None: not known, not told)."""
        observed = observe(request)
        auto = decide_observed(observed, request, self._fleet, {}, 0.0)
        told = replace(request, hints=replace(request.hints, language=language, task=task))
        truth = decide_observed(observed, told, self._fleet, {}, 0.0)
        chosen = {
            AUTO: auto.model,
            ORACLE: truth.model,
            REFERENCE: self._fleet.reference,
            CHEAPEST: _cheapest(truth),
        }
        in_truth = {one.model: one for one in truth.candidates}
        groups = self.by_language.setdefault(language, {name: Result() for name in POLICIES})
        for name, model in chosen.items():
            candidate = in_truth.get(model) if model is not None else None
            self.results[name].choose(candidate, truth.fallback)
            groups[name].choose(candidate, truth.fallback)
        self.language_right += auto.language.tag == normal(language)
        if task is not None:
            self.task_given += 1
            self.task_right += auto.task == task

    @property
    def above_oracle(self) -> float | None:
        """How much more `auto` costs than the oracle, as a share; None: the oracle costs nothing."""
        oracle = self.results[ORACLE].cost_usd
        return self.results[AUTO].cost_usd / oracle - 1 if oracle > 0 else None

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        count = self.results[AUTO].decisions
        return {
            "prompts": count,
            "language_accuracy": self.language_right / count if count else None,
            "task_accuracy": self.task_right / self.task_given if self.task_given else None,
            "auto_above_oracle": self.above_oracle,
            "policies": {name: result.as_dict() for name, result in self.results.items()},
            "languages": {
                tag: {name: result.as_dict() for name, result in group.items()}
                for tag, group in sorted(self.by_language.items())
            },
        }


def _cheapest(truth: Decision) -> str | None:
    """The cheapest model that can take the request at all, whatever it is worth in the language."""
    able = [one for one in truth.candidates if one.rejection is None or one.rejection in _UNFIT]
    return min(able, key=lambda one: (one.cost_usd, one.model)).model if able else None
