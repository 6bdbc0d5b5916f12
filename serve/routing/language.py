"""The language of a request, as a posterior that never defaults to English.

Rules, in order:
1. A hint wins over everything. `no` stands for Bokmål and Nynorsk: the text may tell which, else both are kept.
2. A script that one language alone writes settles it, be it a single word.
3. Three words or more (or four characters of an unspaced script): py3langid among the languages of the script.
4. Fewer, none, or no language that is probable enough: the text abstains, and the earlier turns are read, newest
   first, then the fleet's `routing.prior` is taken; failing these the language is `other`.
Bokmål and Nynorsk are one language for the threshold and two in the posterior: an uncertain one is never `other`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from serve.routing.answer import asked_for
from serve.routing.identify import scorer, settled
from serve.routing.records import Language, LanguageSource, Request
from serve.routing.sample import WORD, sample
from serve.routing.scripts import SCRIPT_OF, SOLE, UNSPACED, looks_japanese, script_of
from serve.routing.tags import OTHER, members, normal

# Fewer words than this say too little; of the short snippets of three words py3langid still gets most right.
LEAST_WORDS = 3
LEAST_UNSPACED = 4
# With so many spaces between what is left of a text, its words need not be counted.
CERTAIN_SPACES = 12
# How much of the earlier turns is read when the last one says too little.
EARLIER_CHARACTERS = 400

_NORWEGIAN = frozenset(("nb", "nn"))

Posterior = tuple[tuple[str, float], ...]
NOTHING: Posterior = ((OTHER, 1.0),)


@dataclass(frozen=True, slots=True)
class Reading:
    """A language with the script of the text it was read from (ISO 15924; empty: no letters)."""

    language: Language
    script: str


def detect(request: Request, prior: Mapping[str, float], min_confidence: float) -> Language:
    """The language of a request's text and of the answer that it asks for. Never raises."""
    return read(request, prior, min_confidence).language


def read(request: Request, prior: Mapping[str, float], min_confidence: float) -> Reading:
    """`detect`, with the script. `prior` is the fleet's mix, `min_confidence` the least top probability."""
    excerpt = sample(request.text)
    script = script_of(excerpt)
    hinted = normal(request.hints.language) if request.hints.language else None
    if hinted is not None:
        posterior, source, abstained = _hinted(hinted, excerpt, script), LanguageSource.HINT, False
    else:
        posterior, source, abstained = _unhinted(request, excerpt, script, prior, min_confidence)
    tag = _tag(posterior, min_confidence)
    asked = asked_for(request.text, request.instructions)
    answer = tag if asked is None or (asked == "nb" and tag == "nn" and _says_norwegian(request)) else asked
    return Reading(Language(tag, posterior, answer, source, abstained), script or SCRIPT_OF.get(tag, ""))


def _says_norwegian(request: Request) -> bool:
    """Whether "Norwegian" was asked for without saying Bokmål: a Nynorsk writer then gets Nynorsk."""
    return "bokmål" not in f"{request.text} {request.instructions}".lower()


def _hinted(tag: str, excerpt: str, script: str) -> Posterior:
    parts = members(tag)
    if len(parts) == 1:
        return ((tag, 1.0),)
    seen = dict(_scores(excerpt, script) or ())
    weights = {part: seen.get(part, 0.0) for part in parts}
    total = sum(weights.values())
    if total < 0.1:  # the text is in none of them, or says nothing
        return tuple((part, 1.0 / len(parts)) for part in parts)
    return tuple(settled({part: weight / total for part, weight in weights.items()}))


def _unhinted(
    request: Request, excerpt: str, script: str, prior: Mapping[str, float], min_confidence: float
) -> tuple[Posterior, LanguageSource, bool]:
    own = _scores(excerpt, script)
    if own is not None and _tag(own, min_confidence) != OTHER:
        return own, LanguageSource.SCRIPT if script in SOLE else LanguageSource.TEXT, False
    if request.earlier:
        joined, size = [], 0
        for turn in request.earlier[:16]:
            joined.append(turn[:EARLIER_CHARACTERS])
            size += len(joined[-1])
            if size >= EARLIER_CHARACTERS:
                break
        before = sample(" ".join(joined))
        earlier = _scores(before, script_of(before))
        if earlier is not None and _tag(earlier, min_confidence) != OTHER:
            return earlier, LanguageSource.EARLIER, True
    if prior:
        total = max(sum(prior.values()), 1.0)
        return tuple(settled({tag: share / total for tag, share in prior.items()})), LanguageSource.PRIOR, True
    return (own, LanguageSource.TEXT, True) if own is not None else (NOTHING, LanguageSource.NONE, True)


def _scores(excerpt: str, script: str) -> Posterior | None:
    """The posterior of a text alone; None when it says too little."""
    sole = SOLE.get(script)
    if sole is not None:
        return ((sole, 1.0),)
    if not script:
        return None
    if script in UNSPACED:
        if sum(map(str.isalpha, excerpt)) < LEAST_UNSPACED:
            return None
    elif excerpt.count(" ") < CERTAIN_SPACES and len(WORD.findall(excerpt)) < LEAST_WORDS:
        return None
    if script == "Hani" and looks_japanese(excerpt):
        return (("ja", 1.0),)
    return tuple(scorer()(excerpt, script))


def _tag(posterior: Posterior, min_confidence: float) -> str:
    tag, probability = posterior[0]
    if tag in _NORWEGIAN:
        probability = sum(p for t, p in posterior if t in _NORWEGIAN)
    elif probability < min_confidence:
        norwegian = [entry for entry in posterior if entry[0] in _NORWEGIAN]
        if norwegian:
            tag, probability = norwegian[0][0], sum(p for _, p in norwegian)
    return tag if tag != OTHER and probability >= min_confidence else OTHER
