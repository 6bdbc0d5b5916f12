"""Whether a reply is in the language that was wanted: right, wrong (and which), or unknown, from its first words.

It says `wrong` only where it is nearly certain, for what follows from it (a penalty, a second model) costs more than a
miss: code, JSON, tables, names, numbers and short replies are unknown, and so is every reply to a request whose own
language was not clear.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from serve.routing.mixed import posterior_of
from serve.routing.records import Language, LanguageSource
from serve.routing.sample import WORD, sample
from serve.routing.scripts import UNSPACED, script_of
from serve.routing.tags import OTHER, members

# Characters of prose after which a reply is judged, and of all that are read at most (the rest may be code).
ENOUGH = 200
MOST = 1500
# Fewer words (letters where words are not spaced) say too little: "Oslo." is right in any language.
LEAST_WORDS = 6
LEAST_UNSPACED = 12
# Of a reply's characters so many must be left when code, links, digits and markup are gone.
LEAST_PROSE = 0.5
# A language is the reply's when it has this probability, and it is wrong only if the wanted ones have next to none.
SURE = 0.95
NEXT_TO_NONE = 0.02
# A language of the request that has this probability beside the first may be answered in as well.
EITHER_FROM = 0.05
# A text this clearly in one Norwegian standard is answered in it; else both are right.
CLEARLY = 0.95

# Written so alike that a reply in the one is no wrong answer to the other: they are told apart by single words.
# Serbian in Cyrillic letters is another script, and the same language. Bokmål is wrong for whoever certainly wants
# Nynorsk; Nynorsk is never wrong for Norwegian.
_ALIKE = (frozenset(("nb", "nn")), frozenset(("hr", "bs", "sr", "sr-Latn", "sr-Cyrl")), frozenset(("id", "ms")))
_STRICT = "nn"


class Verdict(StrEnum):
    """What is known of a reply's language."""

    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "unknown"


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """The language that a reply should be in: `tag`, and every tag that is right."""

    tag: str
    right: frozenset[str]


class Judged(msgspec.Struct, frozen=True, gc=False):
    """The verdict on a reply; `tag` is the language it is in, None when it is not known."""

    verdict: Verdict
    tag: str | None = None


UNKNOWN = Judged(Verdict.UNKNOWN)


def wanted_of(language: Language) -> Wanted | None:
    """What a reply to a request in this language should be in; None where that is not known well enough to judge."""
    tag = language.answer
    if tag in (OTHER, ""):
        return None
    named = tag != language.tag or language.source is LanguageSource.HINT
    right = set(members(tag))
    if not named:
        right.update(t for t, p in language.posterior if p >= EITHER_FROM and t != OTHER)
    for alike in _ALIKE:
        if tag in alike:
            clear = named or dict(language.posterior).get(tag, 0.0) >= CLEARLY
            if not (clear and tag == _STRICT):
                right |= alike
    right.add(tag)
    return Wanted(tag, frozenset(right))


class ReplyReader:
    """Reads a reply as it comes. `feed` says whether it wants more; `judge` may be called at any time.

    Only the first `MOST` characters are kept.
    """

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0

    def feed(self, text: str) -> bool:
        """Takes the next piece of the reply; False: it has seen enough."""
        if self._size < MOST:
            self._parts.append(text[: MOST - self._size])
            self._size += len(text)
        if self._size < ENOUGH:
            return True
        # Code is no prose: after it prose may follow.
        return self._size < MOST and len(_without_fences(self.text)) < ENOUGH

    @property
    def text(self) -> str:
        """What was read so far."""
        return "".join(self._parts)

    def judge(self, wanted: Wanted | None) -> Judged:
        """The verdict on what was read so far."""
        return judge(self.text, wanted)


def judge(text: str, wanted: Wanted | None) -> Judged:
    """The verdict on the beginning of a reply. Never raises."""
    if wanted is None:
        return UNKNOWN
    text = text[:MOST].strip()
    if not text or text[0] in "{[<":  # JSON, HTML, XML
        return UNKNOWN
    excerpt = sample(text)
    if len(excerpt) < LEAST_PROSE * min(len(_without_fences(text)), ENOUGH // 2):
        return UNKNOWN
    script = script_of(excerpt)
    if not script or not _long_enough(excerpt, script):
        return UNKNOWN
    posterior = posterior_of(excerpt, script)
    if posterior is None:
        return UNKNOWN
    tag, probability = posterior[0]
    if tag in wanted.right:
        return Judged(Verdict.RIGHT, tag)
    alike = next((group for group in _ALIKE if tag in group), frozenset((tag,)))
    if tag == OTHER or (probability < SURE and sum(p for t, p in posterior if t in alike) < SURE):
        return UNKNOWN
    if sum(p for t, p in posterior if t in wanted.right) > NEXT_TO_NONE:
        return UNKNOWN
    return Judged(Verdict.WRONG, tag)


def _without_fences(text: str) -> str:
    return "".join(text.split("```")[::2]) if "```" in text else text


def _long_enough(excerpt: str, script: str) -> bool:
    if script in UNSPACED:
        return sum(map(str.isalpha, excerpt)) >= LEAST_UNSPACED
    words = WORD.findall(excerpt)
    # Names are capitalised: a list of them has no language.
    return len(words) >= LEAST_WORDS and sum(word[0].isupper() for word in words) <= len(words) / 2
