"""Which of the candidates answers, in which order the others follow, and the code of the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serve.routing.candidates import Weighed
from serve.routing.records import Rejection, Shift

CHEAPEST = "cheapest"
ONLY_CANDIDATE = "only_candidate"
EXACT = "exact"
ALIAS = "alias"
SHIFTED = "shifted"
LANGUAGE_UNKNOWN = "language_unknown"
LANGUAGE_FALLBACK = "language_fallback"
LAST_RESORT = "last_resort"
UNKNOWN_MODEL = "unknown_model"
NOT_ALLOWED = "not_allowed"
NO_SUITABLE_MODEL = "no_suitable_model"
UNHEALTHY = "unhealthy"
NO_CAPACITY = "no_capacity"

# Every code that `Decision.reason_code` can have, with its meaning. The first eight come with a model.
REASONS = {
    CHEAPEST: "the cheapest of several models that are good enough",
    ONLY_CANDIDATE: "the only model that is good enough",
    EXACT: "asked for by its id",
    ALIAS: "asked for by an alias",
    SHIFTED: "good enough, and the autoscaler's plan moves a share of the cheapest one's load here",
    LANGUAGE_UNKNOWN: "the language is not known: the reference model, or the strongest that is up",
    LANGUAGE_FALLBACK: "no model that may answer covers the language: the reference model",
    LAST_RESORT: "nothing that covers the language is there, nor the reference model: the strongest that is up",
    UNKNOWN_MODEL: "no model has this id or alias",
    NOT_ALLOWED: "the key may use none of the models",
    NO_SUITABLE_MODEL: "every model was rejected for a lasting reason",
    UNHEALTHY: "a model could answer, and is not up",
    NO_CAPACITY: "a model could answer, and has no capacity",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the policy says: the models best first (empty: none), the code, and whether a rule had to be given up.

    A fallback names one model: the others stay rejected, and the record shows why.
    """

    ranking: tuple[str, ...]
    code: str
    fallback: bool = False
    shift: Shift | None = None


def choose(weighed: Sequence[Weighed], reference: str, floor: float, language_known: bool) -> Choice:
    """The choice among all models.

    1. Models that were not rejected, cheapest first (waiting is a cost), then least loaded, then by id.
    2. Where the language is unknown, cost says nothing of fitness: the reference model first, then by strength (mean
       evidence over a model's languages).
    3. Where none is left: the reference model, if language is all that speaks against it.
    4. Where that is not there: the strongest that only language speaks against, unless a model is known to be below
       the floor: what is unknown is not better than that.
    """
    able = [one for one in weighed if one.candidate.rejection is None]
    if able and not language_known:
        ranking = _by_strength(able, reference)
        return Choice(ranking, LANGUAGE_UNKNOWN, fallback=ranking[0] != reference)
    if able:
        able.sort(key=lambda one: (one.price_usd, one.in_flight, one.candidate.model))
        ranking = tuple(one.candidate.model for one in able)
        return Choice(ranking, CHEAPEST if len(ranking) > 1 else ONLY_CANDIDATE)
    uncovered = [
        one for one in weighed if one.candidate.rejection is Rejection.LANGUAGE_NOT_COVERED and one.obstacle is None
    ]
    known_below = any(one.candidate.rejection is Rejection.BELOW_FLOOR for one in weighed)
    if floor > 0:  # better than the reference was asked for: nothing unproven can be
        uncovered = []
    ranking = _by_strength(uncovered, reference)
    if ranking and ranking[0] == reference:
        return Choice(ranking[:1], LANGUAGE_FALLBACK, fallback=True)
    if ranking and not known_below:
        return Choice(ranking[:1], LAST_RESORT, fallback=True)
    return Choice((), _why_none(weighed, reference))


def _by_strength(models: Sequence[Weighed], reference: str) -> tuple[str, ...]:
    ordered = sorted(
        models,
        key=lambda one: (
            one.candidate.model != reference,
            -one.view.entry.strength,
            one.price_usd,
            one.in_flight,
            one.candidate.model,
        ),
    )
    return tuple(one.candidate.model for one in ordered)


def _why_none(weighed: Sequence[Weighed], reference: str) -> str:
    reasons = {one.candidate.rejection for one in weighed}
    # The reference would have stood in, had it been up.
    reasons |= {
        one.obstacle
        for one in weighed
        if one.candidate.model == reference and one.candidate.rejection is Rejection.LANGUAGE_NOT_COVERED
    }
    if Rejection.NO_CAPACITY in reasons:
        return NO_CAPACITY
    if Rejection.UNHEALTHY in reasons:
        return UNHEALTHY
    if reasons <= {Rejection.NOT_ALLOWED}:
        return NOT_ALLOWED
    return NO_SUITABLE_MODEL
