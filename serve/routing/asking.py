"""How people ask for the language of an answer, as tables: each language's own grammar, compiled once.

`data/names.tsv` has the names of languages with their inflected forms, `data/requests.tsv` the frames that names
stand in ("in {0}", "po {1}", "{0} keeles") with the words around them, `data/unspaced.tsv` the patterns of scripts
that put no spaces between words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from serve.routing.tags import rows

# A run of letters with their vowel signs and accents, or a mark that may end a clause.
TOKEN = re.compile(
    r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963'’-])*"
    r"|[.!?;,:\n()…।،؟؛·—–]"
)
# What the quick test splits words at, besides white space.
CUTS = ".,:;!?'\"’”“„«»()[]-/*_`।،؟؛"
# Languages whose writers leave accents out when they are in a hurry. (Elsewhere å and ä are other letters.)
_UNACCENTED = frozenset(
    (
        "ca",
        "cs",
        "el",
        "es",
        "fr",
        "ga",
        "gl",
        "hr",
        "hu",
        "it",
        "lt",
        "lv",
        "mt",
        "pl",
        "pt",
        "ro",
        "se",
        "sk",
        "sl",
        "tr",
    )
)
# A name as short as "ír" is another word without its accent.
SHORT = 3
_UNSPACED = frozenset(("ja", "th", "zh"))
_SLOT = re.compile(r"\{(\d)\}")


@dataclass(frozen=True, slots=True)
class Words:
    """A set of words and of phrases, asked for at a position of a list of words."""

    single: frozenset[str]
    phrases: Mapping[str, tuple[tuple[str, ...], ...]]  # by first word

    def at(self, words: list[str], index: int) -> bool:
        """Whether one of them begins here."""
        word = words[index]
        if word in self.single:
            return True
        return any(tuple(words[index : index + len(p)]) == p for p in self.phrases.get(word, ()))

    def length(self, words: list[str], index: int) -> int:
        """How many words the longest of its phrases has here; 0: none begins here."""
        found = self.phrases.get(words[index], ())
        return max((len(p) for p in found if tuple(words[index : index + len(p)]) == p), default=0)

    def within(self, words: list[str], start: int, stop: int) -> bool:
        """Whether one of them begins in words[start:stop]."""
        return any(self.at(words, index) for index in range(max(start, 0), min(stop, len(words))))


@dataclass(frozen=True, slots=True, eq=False)
class Grammar:
    """One language's ways to ask."""

    cue: Words
    led: Words  # words that ask only after a lead: "bi lahko napisal"
    courtesy: Words  # leads of several words, negative ones among them: "не мог бы ты"
    clitics: tuple[str, ...]  # pronouns that are written together with a command, longest first
    negation: Words
    but: Words
    please: Words
    lasting: Words
    lead: frozenset[str]
    filler: frozenset[str]
    follow: frozenset[str]
    joins: frozenset[str]
    final: bool  # the cue follows the name
    after: bool  # it may

    def asks(self, words: list[str], index: int) -> bool:
        """Whether a word that asks for text stands here, with its pronouns ("parle-moi", "escríbelas") or without."""
        if self.cue.at(words, index):
            return True
        word = words[index]
        if "-" in word and word.partition("-")[0] in self.cue.single:
            return True
        for clitic in self.clitics:
            if word.endswith(clitic) and _unaccented(word[: -len(clitic)]) in self.cue.single:
                return True
        return False


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that say "in a language": those before the name's last word, and after it."""

    grammar: Grammar
    tag: str
    before: tuple[str, ...]
    name: tuple[str, ...]  # its words before the last one
    after: tuple[str, ...]
    ambiguous: bool  # an adjective looks the same
    bare: bool  # the name alone: a request only beside "please"


@dataclass(frozen=True, slots=True)
class Unspaced:
    """The patterns of one language without spaces: (before, after) pairs that ask, and what turns them round."""

    clause: re.Pattern[str]
    asks: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]
    negation: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything, compiled."""

    quick: frozenset[str]  # pieces of words, one of which is in every request
    phrases: Mapping[str, tuple[Phrase, ...]]  # by the last word of the name
    tags: Mapping[str, str]  # of names in Chinese, Japanese and Thai
    han: re.Pattern[str]
    thai: re.Pattern[str]
    unspaced: Mapping[str, Unspaced]


def cut(text: str) -> list[str]:
    """The words of a lower-case text, roughly: a fifth of the time of `TOKEN`, for the many that name no language."""
    for mark in CUTS:
        text = text.replace(mark, " ")
    return text.split()


def lowered(text: str) -> str:
    """Lower case, composed, with the Turkish dotted capital as a plain i and Catalan ll without its dot."""
    text = text.lower()
    if text.isascii():
        return text
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return text.replace("i̇", "i").replace("ё", "е").replace("l·l", "ll")


@cache
def tables() -> Tables:
    """The tables. The first call takes about 0.1 s."""
    grammars, frames = _grammars()
    names = [(ui, tag, forms.split("|")) for ui, tag, forms in rows("names.tsv")]
    phrases: dict[str, dict[Phrase, None]] = {}
    for ui, tag, forms in names:
        if ui in _UNSPACED:
            continue
        for trigger, phrase in _phrases(grammars[ui], frames[ui], tag, forms, fold=ui in _UNACCENTED):
            phrases.setdefault(trigger, {})[phrase] = None
        if ui == "ar":
            plain = [re.sub("[أإآ]", "ا", form) for form in forms]
            for trigger, phrase in _phrases(grammars[ui], frames[ui], tag, plain, fold=False):
                phrases.setdefault(trigger, {})[phrase] = None
    tags = {form: tag for ui, tag, forms in names if ui in _UNSPACED for form in forms}
    return Tables(
        quick=_quick({(*phrase.name, trigger) for trigger, found in phrases.items() for phrase in found}),
        phrases={trigger: tuple(found) for trigger, found in phrases.items()},
        tags=tags,
        han=re.compile(_longest_first(form for ui, _, forms in names if ui in ("zh", "ja") for form in forms)),
        thai=re.compile("(?:ภาษา)(" + _longest_first(f for ui, _, forms in names if ui == "th" for f in forms) + ")"),
        unspaced=_unspaced(),
    )


def _quick(names: set[tuple[str, ...]]) -> frozenset[str]:
    """Of each name the piece that the fewest others have, and no short one: "north" is in many, "de" in every text."""
    pieces = [cut(" ".join(name)) for name in names]
    count = Counter(piece for parts in pieces for piece in set(parts))
    return frozenset(min(parts, key=lambda piece: (len(piece) <= SHORT, count[piece], piece)) for parts in pieces)


def _longest_first(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(set(words), key=lambda word: (-len(word), word)))


@dataclass(slots=True)
class _Kinds:
    words: dict[str, list[str]] = field(default_factory=dict)

    def of(self, kind: str) -> list[str]:
        return self.words.get(kind, [])


def _grammars() -> tuple[dict[str, Grammar], dict[str, list[str]]]:
    kinds: dict[str, _Kinds] = {}
    frames: dict[str, list[str]] = {}
    for languages, kind, listed in rows("requests.tsv"):
        for ui in languages.split():
            if kind == "frame":
                frames[ui] = listed.split("|")
                continue
            words = [lowered(word) for word in listed.split("|")]
            if ui in _UNACCENTED and kind != "not":
                words += [plain for word in words if (plain := _unaccented(word)) != word]
            kinds.setdefault(ui, _Kinds()).words.setdefault(kind, []).extend(words)
    return {ui: _grammar(found) for ui, found in kinds.items()}, frames


def _grammar(kinds: _Kinds) -> Grammar:
    cue, please, filler = _words(kinds.of("cue")), _words(kinds.of("please")), frozenset(kinds.of("filler"))
    courtesy = [word for word in kinds.of("lead") if " " in word]
    single = [word for word in kinds.of("lead") if " " not in word]
    lead = frozenset(part for word in (*single, *kinds.of("please"), *kinds.of("lasting")) for part in word.split())
    return Grammar(
        cue=cue,
        led=_words(kinds.of("led")),
        courtesy=_words(courtesy),
        clitics=tuple(sorted(kinds.of("clitic"), key=lambda word: (-len(word), word))),
        negation=_words(kinds.of("not")),
        but=_words(kinds.of("but")),
        please=please,
        lasting=_words(kinds.of("lasting")),
        lead=lead | filler,
        filler=filler,
        follow=frozenset(kinds.of("follow")),
        joins=frozenset(kinds.of("and")),
        final=bool(kinds.of("final")),
        after=bool(kinds.of("after")),
    )


def _words(listed: Iterable[str]) -> Words:
    phrases: dict[str, list[tuple[str, ...]]] = {}
    for entry in listed:
        parts = tuple(TOKEN.findall(entry))
        if len(parts) > 1:
            phrases.setdefault(parts[0], []).append(parts)
    return Words(
        frozenset(entry for entry in listed if len(TOKEN.findall(entry)) == 1),
        {first: tuple(found) for first, found in phrases.items()},
    )


def _phrases(
    grammar: Grammar, frames: list[str], tag: str, forms: list[str], *, fold: bool
) -> Iterable[tuple[str, Phrase]]:
    texts = [(form, "{0}", True) for form in forms[:1]] + [("", frame, False) for frame in frames]
    for _, frame, bare in texts:
        ambiguous = frame.endswith("!")
        frame = frame.rstrip("!")
        slot = _SLOT.search(frame)
        assert slot is not None
        number = int(slot[1])
        form = lowered(forms[number]) if number < len(forms) else ""
        if not form:
            continue
        whole = frame[: slot.start()] + form + frame[slot.end() :]
        plain = _unaccented(form)
        for spelled in {whole, _unaccented(whole)} if fold and len(plain) > SHORT else {whole}:
            # Accents aside, a form keeps its length: positions are the same.
            words = TOKEN.findall(spelled)
            last = len(TOKEN.findall(spelled[: slot.start() + len(form)])) - 1
            first = max(len(TOKEN.findall(frame[: slot.start()].rstrip("'’l") + " ")), 0)
            first = min(first, last)
            yield (
                words[last],
                Phrase(
                    grammar,
                    tag,
                    tuple(words[:first]),
                    tuple(words[first:last]),
                    tuple(words[last + 1 :]),
                    ambiguous,
                    bare,
                ),
            )


def _unaccented(text: str) -> str:
    text = (
        text.replace("ł", "l").replace("đ", "d").replace("ħ", "h").replace("ı", "i").replace("ŧ", "t").replace("ŋ", "n")
    )
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def _unspaced() -> dict[str, Unspaced]:
    clause: dict[str, str] = {}
    negation: dict[str, str] = {}
    asks: dict[str, list[tuple[re.Pattern[str], re.Pattern[str]]]] = {}
    for ui, kind, before, *after in rows("unspaced.tsv"):
        if kind == "clause":
            clause[ui] = before
        elif kind == "not":
            negation[ui] = before
        else:
            asks.setdefault(ui, []).append((re.compile(before), re.compile(after[0] if after else "")))
    return {ui: Unspaced(re.compile(clause[ui]), tuple(asks[ui]), re.compile(negation[ui])) for ui in clause}
