"""How good a model is known to be in a language, against the reference model; None where nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serve.fleet.card import EvidenceStatus, Quality
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

    `delta` is the lowest evidence among them, None when one of them has none. `covered`: every one is declared or has
    evidence; those that are neither stand in `missing`.
    """

    delta: float | None
    status: str
    covered: bool
    missing: tuple[str, ...] = ()


def evidence(model: Model, tag: str) -> Quality | None:
    """The card's evidence in one language; what is said of a macrolanguage (`no`) holds for its members."""
    found = model.card.quality.get(tag)
    if found is None and tag in _PARENT:
        found = model.card.quality.get(_PARENT[tag])
    if found is None and tag in MACRO:
        parts = [model.card.quality[part] for part in members(tag) if part in model.card.quality]
        found = min(parts, key=lambda q: q.delta) if len(parts) == len(members(tag)) else None
    return found


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
    """The model in all of these languages at once."""
    deltas: list[float] = []
    statuses: list[str] = []
    missing: list[str] = []
    unknown = False
    for tag in tags:
        if model.id == reference:
            known = declares(model, tag) or tag in measured or tag in model.card.quality
            deltas.append(0.0)
            statuses.append(REFERENCE)
            if not known:
                missing.append(tag)
            continue
        quality = evidence(model, tag)
        if quality is not None:
            deltas.append(quality.delta)
            statuses.append(quality.status.value)
            continue
        unknown = True
        if not declares(model, tag):
            missing.append(tag)
    if unknown or not deltas:
        status = NONE if missing or not tags else EvidenceStatus.DECLARED.value
        return Standing(None, status, not missing, tuple(missing))
    worst = min(range(len(deltas)), key=deltas.__getitem__)
    return Standing(deltas[worst], statuses[worst], not missing, tuple(missing))


def passes(standing: Standing, floor: float, proven: bool) -> bool:
    """Whether a model that covers the languages is good enough. `proven`: some model of the fleet is known to be
    covered there by more than a claim (then a claim alone is not enough)."""
    if standing.delta is not None:
        return standing.delta >= floor
    return not proven and floor <= DECLARED_PASSES


def is_proven(standings: Iterable[Standing]) -> bool:
    """Whether any of the models covers the languages with evidence, the reference included."""
    return any(one.covered and one.delta is not None for one in standings)
