"""How people ask for the language of an answer, as tables: each language's own grammar, compiled once.

`data/names.tsv` has the names of languages with their inflected forms, `data/requests.tsv` the frames that names stand
in ("in {0}", "po {1}", "{0} keeles") with the words around them. Scripts without spaces have patterns of their own:
`serve.routing.unspaced`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from serve.routing.tags import rows

# A run of letters with their vowel signs and accents, or a mark that may end a clause.
TOKEN = re.compile(
    r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963'’-])*"
    r"|[.!?;,:\n()…।،؟؛·—–]"
)
NEWLINE = "¶"
_MARKS = frozenset(".!?;,:()…।،؟؛·—–" + NEWLINE)
_APART = (*((mark, f" {mark} ") for mark in sorted(_MARKS)), ("\n", f" {NEWLINE} "))
_DROPPED = '"“”„«»*_`[]{}<>#|/\\+=~¶'
_EDGES = "'’-0123456789"
# What the quick test splits words at, besides white space.
CUTS = ".,:;!?'\"’”“„«»()[]-/*_`।،؟؛"
# Languages whose writers leave accents out when they are in a hurry, and those that write ae for ä and aa for å.
_UNACCENTED = frozenset(
    "ca cs da el en es et fi fr ga gl hr hu it lt lv mt nb nn pl pt ro se sk sl sv tr".split()  # noqa: SIM905
)
_DIGRAPHS = {
    "de": str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"}),
    **dict.fromkeys(("da", "nb", "nn"), str.maketrans({"æ": "ae", "ø": "oe", "å": "aa"})),
}
_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "ŧ": "t", "ŋ": "n"})
# A name as short as "ír" is another word without its accent.
SHORT = 3
_TASHKEEL = re.compile(r"[\u064b-\u0652]+")
Fold = Callable[[str], str]
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
    subject: tuple[
        str, ...
    ]  # endings of whom a sentence tells of: it is a report, though its verb looks like a command
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
        """Whether a word that asks for text stands here, pronouns aside ("parle-moi", "prepara'm", "escríbelas")."""
        if self.cue.at(words, index):
            return True
        word = words[index]
        if any(mark in word and word.partition(mark)[0] in self.cue.single for mark in "-'’"):
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
class Tables:
    """Everything, compiled."""

    quick: frozenset[str]  # pieces of words, one of which is in every request
    phrases: Mapping[str, tuple[Phrase, ...]]  # by the last word of the name


def cut(text: str) -> list[str]:
    """The words of a lower-case text, roughly: a fifth of the time of `TOKEN`, for the many that name no language."""
    for mark in CUTS:
        text = text.replace(mark, " ")
    return text.split()


def tokens(text: str) -> list[str]:
    """Words and marks of a lower-case text, as `TOKEN` finds them, a line break as `NEWLINE`: a third of its time."""
    for mark in _DROPPED:
        if mark in text:
            text = text.replace(mark, " ")
    for mark, apart in _APART:
        if mark in text:
            text = text.replace(mark, apart)
    found = []
    for word in text.split():
        if word[0].isalpha() or word in _MARKS:
            found.append(word)
        elif (rest := word.lstrip(_EDGES)) and rest[0].isalpha():  # what is neither a word nor a mark says nothing
            found.append(rest)
    return found


def lowered(text: str) -> str:
    """Lower case, composed, with the Turkish dotted capital as a plain i and Catalan ll without its dot."""
    text = text.lower()
    if text.isascii():
        return text
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return text.replace("i̇", "i").replace("ё", "е").replace("l·l", "ll")


def unmarked(text: str) -> str:
    """The text without the vowel signs that Arabic may be written with or without."""
    return text if text.isascii() else _TASHKEEL.sub("", text)


@cache
def tables() -> Tables:
    """The tables. The first call takes about 0.4 s."""
    grammars, frames = _grammars()
    phrases: dict[str, dict[Phrase, None]] = {}
    for ui, tag, listed in rows("names.tsv"):
        if ui not in grammars:  # Chinese, Japanese, Thai
            continue
        forms = listed.split("|")
        for trigger, phrase in _phrases(grammars[ui], frames[ui], tag, forms, _folds(ui)):
            phrases.setdefault(trigger, {})[phrase] = None
        if ui == "ar":
            plain = [re.sub("[أإآ]", "ا", form) for form in forms]
            for trigger, phrase in _phrases(grammars[ui], frames[ui], tag, plain, ()):
                phrases.setdefault(trigger, {})[phrase] = None
    return Tables(
        quick=_quick({(*phrase.name, trigger) for trigger, found in phrases.items() for phrase in found}),
        phrases={trigger: tuple(found) for trigger, found in phrases.items()},
    )


def _quick(names: set[tuple[str, ...]]) -> frozenset[str]:
    """Of each name the piece that the fewest others have, and no short one: "north" is in many, "de" in every text."""
    pieces = [cut(" ".join(name)) for name in names]
    count = Counter(piece for parts in pieces for piece in set(parts))
    return frozenset(min(parts, key=lambda piece: (len(piece) <= SHORT, count[piece], piece)) for parts in pieces)


@dataclass(slots=True)
class _Kinds:
    words: dict[str, list[str]] = field(default_factory=dict)

    def of(self, kind: str) -> list[str]:
        return self.words.get(kind, [])


def _grammars() -> tuple[dict[str, Grammar], dict[str, list[_Frame]]]:
    kinds: dict[str, _Kinds] = {}
    frames: dict[str, list[_Frame]] = {}
    for languages, kind, listed in rows("requests.tsv"):
        for ui in languages.split():
            if kind == "frame":
                frames.setdefault(ui, [_Frame.of("{0}", bare=True)]).extend(map(_Frame.of, listed.split("|")))
                continue
            words = [unmarked(lowered(word)) for word in listed.split("|")]
            if kind != "not":
                words += [plain for fold in _folds(ui) for word in words if (plain := fold(word)) != word]
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
        subject=tuple(kinds.of("subject")),
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


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame taken apart: words before the slot, what is glued to the name ("l'", "-ya"), and the words after."""

    form: int
    before: tuple[str, ...]
    glued_before: str
    glued_after: str
    after: tuple[str, ...]
    ambiguous: bool
    bare: bool

    @classmethod
    def of(cls, text: str, bare: bool = False) -> _Frame:
        slot = _SLOT.search(text)
        assert slot is not None, text
        left, right = text[: slot.start()], text[slot.end() :].rstrip("!")
        before, _, glued_before = left.rpartition(" ")
        glued_after, _, after = right.partition(" ")
        words, following = tuple(TOKEN.findall(before)), tuple(TOKEN.findall(after))
        return cls(int(slot[1]), words, glued_before, glued_after, following, text.endswith("!"), bare)

    def folded(self, fold: Fold) -> _Frame:
        """The same, spelt otherwise."""
        before, after = tuple(map(fold, self.before)), tuple(map(fold, self.after))
        return _Frame(
            self.form, before, self.glued_before, self.glued_after, after, ambiguous=self.ambiguous, bare=self.bare
        )


def _phrases(
    grammar: Grammar, frames: list[_Frame], tag: str, forms: list[str], folds: Iterable[Fold]
) -> Iterable[tuple[str, Phrase]]:
    """Each phrase of a name in a language, by the name's last word, and as each of `folds` spells it."""
    spellings = [lowered(form) for form in forms]
    found = [(frames, spellings)]
    found += [([frame.folded(fold) for frame in frames], [fold(form) for form in spellings]) for fold in folds]
    for number, (framed, spelled) in enumerate(found):
        words = [TOKEN.findall(form) for form in spelled]
        for frame in framed:
            if frame.form >= len(words) or not words[frame.form]:
                continue
            *name, last = words[frame.form]
            if number and len(last) <= SHORT and last != TOKEN.findall(spellings[frame.form])[-1]:
                continue
            if name:
                name[0] = frame.glued_before + name[0]
            else:
                last = frame.glued_before + last
            last += frame.glued_after
            before, after = frame.before, frame.after
            yield last, Phrase(grammar, tag, before, tuple(name), after, frame.ambiguous, frame.bare)


def _folds(ui: str) -> list[Fold]:
    """How hurried writers of a language spell it."""
    digraphs = _DIGRAPHS.get(ui)
    found: list[Fold] = [_unaccented] if ui in _UNACCENTED else []
    return found if digraphs is None else [*found, lambda text: text.translate(digraphs)]


def _unaccented(text: str) -> str:
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFD", text.translate(_LETTERS)) if not unicodedata.combining(c))
