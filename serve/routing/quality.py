"""How good a model is known to be in a language, against the reference model; None where nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serve.fleet.card import EvidenceStatus, Quality, TaskQuality
from serve.fleet.description import Fleet, Model
from serve.fleet.tasks import Task
from serve.routing.tags import MACRO, members

REFERENCE = "reference"
NONE = "none"

# A model that only declares a language, where nobody measured any model in it, passes floors up to this one
# (`balanced`): a claim is enough to try it, not enough for a caller who wants the best.
DECLARED_PASSES = -15.0

_PARENT = {part: macro for macro, parts in MACRO.items() for part in parts}


@dataclass(frozen=True, slots=True)
class Standing:
    """A model in one or more languages, all of which a request needs.

    `delta` is the lowest evidence among them, None when one of them has none; `low` and `high` bound its 95% interval
    where one is known. `task`: whose column it was read from; None: the mean of the generative tasks. `covered`:
    every language is declared or has evidence; those that are neither stand in `missing`.
    """

    delta: float | None
    status: str
    covered: bool
    missing: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    task: Task | None = None


def evidence(model: Model, tag: str) -> Quality | None:
    """The card's evidence in one language; what is said of a macrolanguage (`no`) holds for its members, and of the
    macrolanguage what its members have in common."""
    found = model.card.quality.get(tag)
    if found is None and tag in _PARENT:
        found = model.card.quality.get(_PARENT[tag])
    if found is None and tag in MACRO:
        parts = [model.card.quality[part] for part in members(tag) if part in model.card.quality]
        if len(parts) == len(members(tag)) and all(part.delta is not None for part in parts):
            found = min(parts, key=lambda part: part.delta or 0.0)
    return found


def figure(model: Model, tag: str, task: Task | None) -> tuple[Quality | TaskQuality | None, Task | None]:
    """The evidence that counts for a task in one language, and the task whose column it stands in.

    The task's own figure; without one, the mean of the generative tasks (None as the task); without that, None.
    """
    found = evidence(model, tag)
    if found is None:
        return None, None
    own = found.tasks.get(task) if task is not None else None
    if own is not None:
        return own, task
    return (found, None) if found.delta is not None else (None, None)


def declares(model: Model, tag: str) -> bool:
    """Whether the maker claims the language, by itself or through its macrolanguage."""
    declared = model.card.languages_declared
    return tag in declared or _PARENT.get(tag) in declared


def measured_languages(fleet: Fleet) -> frozenset[str]:
    """Languages with measured evidence for any model. The reference was measured there too: a difference to it was
    taken. (A `declared` figure is a claim, and says nothing of the reference.)"""
    return frozenset(
        part
        for model in fleet.models
        for tag, quality in model.card.quality.items()
        if quality.status is not EvidenceStatus.DECLARED
        for part in (tag, *members(tag))
    )


def standing(
    model: Model, tags: Sequence[str], reference: str, measured: frozenset[str], task: Task | None = None
) -> Standing:
    """The model in all of these languages at once, for a task where one is known and has evidence."""
    if model.id == reference:
        missing = tuple(
            tag for tag in tags if not (declares(model, tag) or tag in measured or tag in model.card.quality)
        )
        if not tags:
            return Standing(None, NONE, covered=True)
        return Standing(0.0, REFERENCE, not missing, missing, 0.0, 0.0, task)
    found: list[Standing] = []
    missed: list[str] = []
    for tag in tags:
        quality, column = figure(model, tag, task)
        if quality is not None:
            found.append(Standing(quality.delta, quality.status.value, True, (), quality.low, quality.high, column))
        elif not declares(model, tag) and evidence(model, tag) is None:
            missed.append(tag)
    if len(found) < len(tags) or not tags:
        status = NONE if missed or not tags else EvidenceStatus.DECLARED.value
        return Standing(None, status, not missed, tuple(missed))
    return min(found, key=lambda one: one.delta or 0.0)


def passes(standing: Standing, floor: float, proven: bool) -> bool:
    """Whether a model that covers the languages is good enough. `proven`: some model of the fleet is known to be
    covered there by more than a claim (then a claim alone is not enough)."""
    if standing.delta is not None:
        return standing.delta >= floor
    return not proven and floor <= DECLARED_PASSES


def is_proven(standings: Iterable[Standing]) -> bool:
    """Whether any of the models covers the languages with evidence, the reference included."""
    return any(one.covered and one.delta is not None for one in standings)
