"""The language of a request: what its text says, under what else is known. It never defaults to English.

Rules, in order:
1. A hint wins over everything. `no` stands for Bokmål and Nynorsk: the text may tell which, else both are kept.
2. A text that is certain of its language settles it (a script that one language alone writes, be it a single word).
3. Else Bayes: what the text says times what was known before, which is the earlier turns, newest first; failing these
   the tenant's mix; failing that the fleet's `routing.prior`. Where the text alone leaves the language open, it
   abstains, and what was known stands if the product leaves it open too.
4. Nothing known before: what the text says, and `other` where it says too little.
Bokmål and Nynorsk are one language for the threshold and two in the posterior: an uncertain one is never `other`.
"""

from __future__ import annotations

from collections.abc import Mapping

from serve.routing.identify import settled
from serve.routing.observe import observe
from serve.routing.records import Language, LanguageSource, Observed, Posterior, Request
from serve.routing.scripts import SCRIPT_OF
from serve.routing.tags import OTHER, members, normal

_NORWEGIAN = frozenset(("nb", "nn"))

# A text that is this certain of its language needs nothing else to settle it.
SETTLED = 0.95
# From this probability of no language on (names, letters at random, a language nobody knows), a text says nothing.
NO_LANGUAGE = 0.5
# How far what was known before is believed, the rest being even over so many languages. People stay in the language of
# a conversation more than a tenant stays in the languages of yesterday. Judgements: with half, a language of the turns
# before is 41 times likelier than another.
EARLIER_WEIGHT = 0.5
EXPECTED_WEIGHT = 0.3
LANGUAGES = 40

NOTHING: Posterior = ((OTHER, 1.0),)


def detect(request: Request, prior: Mapping[str, float], min_confidence: float) -> Language:
    """The language of a request's text and of the answer that it asks for. Never raises."""
    return resolve(observe(request), request.hints.language, request.mix, prior, min_confidence)


def resolve(
    observed: Observed, hint: str | None, mix: Posterior | None, prior: Mapping[str, float], min_confidence: float
) -> Language:
    """The language that follows from an observation.

    `hint` is the caller's tag, `mix` the tenant's languages of late, `prior` the fleet's, `min_confidence` the least
    probability of the most probable language.
    """
    hinted = normal(hint) if hint else None
    if hinted is not None:
        posterior, source, abstained = _hinted(hinted, observed.own), LanguageSource.HINT, False
    else:
        posterior, source, abstained = _unhinted(observed, mix, prior, min_confidence)
    tag = _tag(posterior, min_confidence)
    asked = observed.asked
    if asked == "no":
        asked = tag if tag in _NORWEGIAN else "nb"
    return Language(tag, posterior, tag if asked is None else asked, source, abstained)


def script_of_language(observed: Observed, language: Language) -> str:
    """ISO 15924 of the text, or where it has no letters, of its language; empty when neither is known."""
    return observed.script or SCRIPT_OF.get(language.tag, "")


def _hinted(tag: str, own: Posterior | None) -> Posterior:
    parts = members(tag)
    if len(parts) == 1:
        return ((tag, 1.0),)
    seen = dict(own or ())
    weights = {part: seen.get(part, 0.0) for part in parts}
    total = sum(weights.values())
    if total < 0.1:  # the text is in none of them, or says nothing
        return tuple((part, 1.0 / len(parts)) for part in parts)
    return tuple(settled({part: weight / total for part, weight in weights.items()}))


def _unhinted(
    observed: Observed, mix: Posterior | None, prior: Mapping[str, float], min_confidence: float
) -> tuple[Posterior, LanguageSource, bool]:
    own, earlier = observed.own, observed.earlier
    source = LanguageSource.SCRIPT if observed.by_script else LanguageSource.TEXT
    if own is not None and own[0][1] >= SETTLED and own[0][0] != OTHER:
        return own, source, False
    if earlier is not None and _tag(earlier, min_confidence) == OTHER:
        earlier = None
    known = earlier or mix or (tuple(settled(_shares(prior))) if prior else None)
    if known is None:
        if own is None:
            return NOTHING, LanguageSource.NONE, True
        return own, source, _tag(own, min_confidence) == OTHER
    other_source = LanguageSource.EARLIER if earlier is not None else LanguageSource.PRIOR
    if own is None or _probability(own, OTHER) >= NO_LANGUAGE:
        return known, other_source, True
    weighed = _weighed(own, known, EARLIER_WEIGHT if earlier is not None else EXPECTED_WEIGHT)
    if _tag(own, min_confidence) != OTHER:
        return weighed, source, False
    # The text alone leaves it open: the answer rests on the rest of the conversation, or on the others' languages.
    return (weighed if _tag(weighed, min_confidence) != OTHER else known), other_source, True


def _weighed(own: Posterior, known: Posterior, weight: float) -> Posterior:
    """Bayes: what the text says (its posterior had an even prior) times what was known before, a mixture of the
    languages known and of all languages evenly."""
    even = (1.0 - weight) / LANGUAGES
    before = dict(known)
    products = {tag: p * (even + weight * before.get(tag, 0.0)) for tag, p in own if tag != OTHER}
    rest = _probability(own, OTHER) * even
    total = sum(products.values()) + rest
    return tuple(settled({tag: product / total for tag, product in products.items()}))


def _shares(prior: Mapping[str, float]) -> dict[str, float]:
    total = max(sum(prior.values()), 1.0)
    return {tag: share / total for tag, share in prior.items()}


def _probability(posterior: Posterior, tag: str) -> float:
    return next((p for one, p in posterior if one == tag), 0.0)


def _tag(posterior: Posterior, min_confidence: float) -> str:
    tag, probability = posterior[0]
    if tag in _NORWEGIAN:
        probability = sum(p for t, p in posterior if t in _NORWEGIAN)
    elif probability < min_confidence:
        norwegian = [entry for entry in posterior if entry[0] in _NORWEGIAN]
        if norwegian:
            tag, probability = norwegian[0][0], sum(p for _, p in norwegian)
    return tag if tag != OTHER and probability >= min_confidence else OTHER
