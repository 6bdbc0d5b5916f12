"""The language that an answer is asked for in: "svar på nynorsk", "Translate to Thai:", a system prompt that says so.

Found by tables, not by code: names of languages in each other (`data/languages.tsv`, `data/unspaced.tsv`) and the
words around them (`data/requests.tsv`). A name counts when a preposition stands before it (or it is an adverb by
itself) and a word that asks for text stands in the same clause. Only the start and the end of a text are looked at:
that is where people put what they want.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from serve.routing.sample import WORD
from serve.routing.tags import rows

HEAD = 200
TAIL = 100
# Where words are not spaced every character may begin one: less is searched, and it says as much (three times the words
# of a Latin text).
UNSPACED_END = 100
# Words between the asking word and the language's name: "write a short poem about the sea in Finnish" has seven.
REACH = 8
# Fillers between preposition and name: "in plain simple English".
FILLERS = 2

_TOKEN = re.compile(WORD.pattern + r"|[.!?;\n।。！？]")
# Cut at by the quick test: a fifth of the time of _TOKEN, for the many texts that name no language.
_CUTS = ".,:;!?'\"’”“«»()-/*_।。"
# English and Scandinavian names of languages, before which "a" and "en" are articles.
_ARTICLED = ("ish", "ese", "ian", "man", "ench", "eek", "thai", "nese", "norsk", "sk", "ska")
_END = frozenset(".!?;\n।。！？")
_NOT_SPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class _Tables:
    quick: frozenset[str]  # what the quick test makes of the first word of each name
    first: frozenset[str]  # first words of all names
    names: Mapping[tuple[str, ...], tuple[str, bool]]  # words of a name -> tag, whether it needs no preposition
    longest: int
    into: frozenset[str]
    article: frozenset[str]
    filler: frozenset[str]
    cue: frozenset[str]
    negation: frozenset[str]
    unspaced: re.Pattern[str]
    unspaced_tags: Mapping[str, str]


def asked_for(text: str, instructions: str = "") -> str | None:
    """The tag of the language that the text, or else the system prompt, asks the answer to be in; None: neither says.

    The last request of a text wins: "Oversett til tysk. Nei, til nynorsk".
    """
    found = _search(text) if text else None
    if found is None and instructions:
        found = _instructed(instructions)
    return found


@lru_cache(maxsize=512)
def _instructed(instructions: str) -> str | None:
    # System prompts repeat from request to request.
    return _search(instructions)


def _search(text: str) -> str | None:
    if len(text) > HEAD + TAIL:
        text = f"{text[:HEAD]}\n{text[-TAIL:]}"
    tables = _tables()
    if not text.isascii() and _NOT_SPACED.search(text):
        ends = text if len(text) <= 2 * UNSPACED_END else f"{text[:UNSPACED_END]}\n{text[-UNSPACED_END:]}"
        requests = list(tables.unspaced.finditer(ends))
        if requests:
            return tables.unspaced_tags[next(group for group in requests[-1].groups() if group)]
    text = text.lower()
    if tables.quick.isdisjoint(_cut(text)):
        return None
    words = _TOKEN.findall(text)
    found = None
    for at, word in enumerate(words):
        if word in tables.first and (tag := _request_at(words, at, tables)):
            found = tag
    return found


def _request_at(words: list[str], at: int, tables: _Tables) -> str | None:
    for length in range(min(tables.longest, len(words) - at), 0, -1):
        entry = tables.names.get(tuple(words[at : at + length]))
        if entry is not None:
            break
    else:
        return None
    tag, adverb = entry
    before = at - 1
    for _ in range(FILLERS):
        if before >= 0 and words[before] in tables.filler and words[before] not in tables.into:
            before -= 1
    if not adverb:
        word = words[before] if before >= 0 else ""
        name = words[at + length - 1]
        if word not in tables.into and (word not in tables.article or name.endswith(_ARTICLED)):
            return None
    return tag if _cued(words, before, at + length, tables) else None


def _cued(words: list[str], before: int, after: int, tables: _Tables) -> bool:
    """Whether an asking word stands within reach in the same clause, and nothing turns it round."""
    for step in range(min(REACH + 1, before + 1)):
        word = words[before - step]
        if word in _END:
            break
        if word in tables.cue:
            start = max(before - step - 2, 0)
            return tables.negation.isdisjoint(words[start : before - step]) and tables.negation.isdisjoint(
                words[before - step + 1 : before + 1]
            )
    for word in words[after : after + REACH]:
        if word in _END:
            break
        if word in tables.cue:
            return True
    return False


def _cut(text: str) -> list[str]:
    for mark in _CUTS:
        text = text.replace(mark, " ")
    return text.split()


@cache
def _tables() -> _Tables:
    names: dict[tuple[str, ...], tuple[str, bool]] = {}
    for tag, _, spellings in rows("languages.tsv"):
        for spelling in spellings.split("|"):
            adverb = spelling.startswith("*")
            key = tuple(spelling.lstrip("*").lower().split("_"))
            names.setdefault(key, (tag, adverb))
            if adverb:  # the same word can be a noun elsewhere: the reading that asks for less wins
                names[key] = (names[key][0], True)
    groups: dict[str, frozenset[str]] = {}
    patterns: list[str] = []
    for kind, words in rows("requests.tsv"):
        if kind == "unspaced":
            patterns = words.split("|")
        else:
            groups[kind] = frozenset(words.lower().split("|"))
    tags = {spelling: tag for tag, spellings in rows("unspaced.tsv") for spelling in spellings.split("|")}
    alternatives = "|".join(re.escape(spelling) for spelling in sorted(tags, key=len, reverse=True))
    unspaced = "|".join(pattern.replace("{}", f"({alternatives})") for pattern in patterns)
    return _Tables(
        quick=frozenset(_cut(key[0])[0] for key in names),
        first=frozenset(key[0] for key in names),
        names=names,
        longest=max(map(len, names)),
        into=groups["into"],
        article=groups["article"],
        filler=groups["filler"],
        cue=groups["cue"],
        negation=groups["not"],
        unspaced=re.compile(unspaced),
        unspaced_tags=tags,
    )
