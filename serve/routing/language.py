"""The language of a request: what its text says, under what else is known. It never defaults to English.

Rules, in order:
1. A hint wins over everything. `no` stands for Bokmål and Nynorsk: the text may tell which, else both are kept.
2. What the text itself says, where its most probable language is probable enough (a script that one language alone
   writes settles it, be it a single word).
3. Else the earlier turns, newest first; then the tenant's mix, or the fleet's `routing.prior`; failing these the
   language is `other`.
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
    if own is not None and _tag(own, min_confidence) != OTHER:
        return own, LanguageSource.SCRIPT if observed.by_script else LanguageSource.TEXT, False
    if earlier is not None and _tag(earlier, min_confidence) != OTHER:
        return earlier, LanguageSource.EARLIER, True
    if mix:
        return mix, LanguageSource.PRIOR, True
    if prior:
        total = max(sum(prior.values()), 1.0)
        return tuple(settled({tag: share / total for tag, share in prior.items()})), LanguageSource.PRIOR, True
    return (own, LanguageSource.TEXT, True) if own is not None else (NOTHING, LanguageSource.NONE, True)


def _tag(posterior: Posterior, min_confidence: float) -> str:
    tag, probability = posterior[0]
    if tag in _NORWEGIAN:
        probability = sum(p for t, p in posterior if t in _NORWEGIAN)
    elif probability < min_confidence:
        norwegian = [entry for entry in posterior if entry[0] in _NORWEGIAN]
        if norwegian:
            tag, probability = norwegian[0][0], sum(p for _, p in norwegian)
    return tag if tag != OTHER and probability >= min_confidence else OTHER
