"""Requests for a language where words are not spaced: Chinese, Japanese and Thai, by patterns of what stands around a
language's name in its clause (`data/unspaced.tsv`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from serve.routing.tags import rows

# Characters read of a text: one says two to three times as much as a Latin letter.
HEAD, TAIL = 160, 100
# An earlier turn that is nothing but a request is no longer than this.
SHORT_TURN = 16

QUOTED = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\"[^\"\n]{0,600}\"|“[^”\n]{0,600}”|„[^“”\n]{0,600}[“”]|«[^»\n]{0,600}»|»[^«\n]{0,600}«"
    r"|「[^」\n]{0,600}」|『[^』\n]{0,600}』",
    re.DOTALL,
)
QUOTES = re.compile(r"[`\"“„«»「『]")


@dataclass(frozen=True, slots=True)
class _Rules:
    """The patterns of one language: (before, after) pairs that ask, what turns them round, and what lets them last."""

    clause: re.Pattern[str]
    asks: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]
    negation: re.Pattern[str]
    lasting: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class _Tables:
    tags: Mapping[str, str]  # by name
    han: re.Pattern[str]  # the names in Chinese and Japanese
    thai: re.Pattern[str]
    rules: Mapping[str, _Rules]


def search(text: str, han: bool, lasting: bool = False) -> str | None:
    """The tag of the language that is asked for, None where none is. `han`: it has Chinese or Japanese letters."""
    table = _tables()
    if len(text) > HEAD + TAIL:
        text = f"{text[:HEAD]}\n\n{text[-TAIL:]}"
    pattern = table.han if han else table.thai
    names = list(pattern.finditer(text))
    if not names:
        return None
    if QUOTES.search(text):
        text = QUOTED.sub("\n", text)
        names = list(pattern.finditer(text))
    for found in reversed(names):
        name = found[0] if han else found[1]
        for ui in ("ja", "zh") if han else ("th",):
            rules = table.rules[ui]
            if lasting and len(text) > SHORT_TURN and not rules.lasting.search(text):
                continue
            if _asks(text, found.start(), found.end(), rules):
                return table.tags[name]
    return None


def _asks(text: str, start: int, stop: int, rules: _Rules) -> bool:
    first = max((mark.end() for mark in rules.clause.finditer(text, 0, start)), default=0)
    end = rules.clause.search(text, stop)
    before, after = text[first:start], text[stop : end.start() if end else len(text)]
    if rules.negation.search(before) or rules.negation.search(after):
        return False
    return any(ask.search(before) and then.search(after) for ask, then in rules.asks)


@cache
def _tables() -> _Tables:
    names: dict[str, dict[str, str]] = {ui: {} for ui in ("ja", "th", "zh")}
    for ui, tag, forms in rows("names.tsv"):
        if ui in names:
            names[ui].update(dict.fromkeys(forms.split("|"), tag))
    single: dict[tuple[str, str], re.Pattern[str]] = {}
    asks: dict[str, list[tuple[re.Pattern[str], re.Pattern[str]]]] = {}
    for ui, kind, before, *after in rows("unspaced.tsv"):
        if kind == "ask":
            asks.setdefault(ui, []).append((re.compile(before), re.compile(after[0] if after else "")))
        else:
            single[ui, kind] = re.compile(before)
    return _Tables(
        tags=names["zh"] | names["ja"] | names["th"],
        han=re.compile(_longest_first((*names["zh"], *names["ja"]))),
        thai=re.compile(f"(?:ภาษา|(?<=เป็น))({_longest_first(names['th'])})"),
        rules={
            ui: _Rules(single[ui, "clause"], tuple(found), single[ui, "not"], single[ui, "lasting"])
            for ui, found in asks.items()
        },
    )


def _longest_first(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(set(words), key=lambda word: (-len(word), word)))
