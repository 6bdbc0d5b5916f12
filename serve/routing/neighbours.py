"""Words that tell a language from its larger neighbour where the models know little of the smaller one.

Croatian, Bosnian and Serbian in Latin letters: the models know that a text is one of the three, and little more. The
reflex of yat (vreme, vrijeme) tells Serbian from the others; words such as tisuća and hiljada tell Croatian from them.
Afrikaans, Luxembourgish, Macedonian, Serbian in Cyrillic letters: function words that Dutch, German, Bulgarian, Russian
do not have.
"""

from __future__ import annotations

import re
from functools import cache

from serve.routing.tags import rows

SERBO_CROATIAN = ("hr", "bs", "sr-Latn")

# Nats that a word of a kind adds to each of SERBO_CROATIAN, and to a smaller language against its neighbour; at most
# `MOST` different words of a kind count. Judgements: one word of the other standard is about as likely as a slip, a
# name or a quotation.
NATS = {
    "ekavian": (0.0, -2.0, 3.0),
    "ijekavian": (0.0, 0.4, -3.0),
    "western": (0.0, -2.0, -2.0),
    "eastern": (0.0, 1.6, 1.6),
}
SMALLER_NATS = 2.5
MOST = 2
# What a smaller language is given before its words are counted, where the models gave it less.
LEAST = 0.01


def serbo_croatian(text: str) -> tuple[float, float, float]:
    """What the words of a text add to the log-likelihood of each of SERBO_CROATIAN."""
    text = text.lower()
    hr = bs = sr = 0.0
    for kind, pattern in _kinds().items():
        found = min(len(set(pattern.findall(text))), MOST)
        if found:
            worth = NATS[kind]
            hr += found * worth[0]
            bs += found * worth[1]
            sr += found * worth[2]
    return hr, bs, sr


def smaller(text: str, larger: str) -> list[tuple[str, float]]:
    """The smaller neighbours of a language whose words a text has, each with the nats that it gains."""
    found = []
    for tag, pattern in _smaller().get(larger, ()):
        words = min(len(set(pattern.findall(text.lower()))), MOST)
        if words:
            found.append((tag, SMALLER_NATS * words))
    return found


def load() -> None:
    """Reads the tables, so that no request waits for them."""
    _kinds()
    _smaller()


@cache
def _kinds() -> dict[str, re.Pattern[str]]:
    return {kind: _pattern(words) for kind, words in rows("serbocroatian.tsv")}


@cache
def _smaller() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for larger, tag, words in rows("neighbours.tsv"):
        found.setdefault(larger, []).append((tag, _pattern(words)))
    return found


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile("|".join(map(_alternative, words.split("|"))))


def _alternative(word: str) -> str:
    start = "" if word.startswith("*") else r"\b"
    end = r"\b" if word.endswith("_") else ""
    return f"{start}{re.escape(word.strip('*_').replace('_', ' '))}{end}"
