"""The shape of a text: what its tokens are counted from, in numbers that any tokenizer's coefficients apply to.

Most words of a text are common ones, whose tokens were counted beforehand (`serve.fleet.lexicon`): they are looked up.
Of the others, of digits, punctuation and line breaks only counts are kept. Code is counted apart from prose: its
punctuation comes in runs, its indentation is tokens. A shape holds no text, so that a decision log may keep it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial

from serve.fleet.fertility import FEATURES
from serve.fleet.lexicon import BASES, BITS, SINGLE, lexicon
from serve.routing.records import Counts, Shape

# How many characters of a segment are read; what is longer is scaled up from its start, its middle and its end.
MOST = 320
DENSE = 4  # a character of a script without spaces says as much as three or four letters
EARLIER = 250  # of an earlier turn; the newest two are read
EARLIER_TURNS = 2
PIECES = 16_384
SYSTEM_PROMPTS = 512  # an application's instructions come with every request: their shapes are kept

_EXCESS_FROM = 6

# Everything between spaces, digits and punctuation, vowel signs included; one character where no spaces are. It is
# spelt out in characters of the basic plane, which `re` makes one table of; emoji beyond it are found in words.
_BETWEEN = (
    r"\x00- !-/0-9:-@\[-`{-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f"
    r"\u00a1-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u2010-\u2bff\u3000-\u303f\ufe00-\ufe0f\uff01-\uff0f\uff1a-\uff20।؟،؛"
)
WORD = re.compile(rf"([{SINGLE}]|[^{_BETWEEN}{SINGLE}]+)")
_SINGLE = re.compile(f"[{SINGLE}]")
_SINGLES = re.compile(f"[{SINGLE}]+")
_DIGITS = re.compile(r"\d+")
_RUN = re.compile(r"[^\w\s]+|_+")
_EMOJI = re.compile("[\u2190-\u2bff\U0001f000-\U0001faff]")
_FIRST_SINGLE = "\u0e00"
_FIRST_EMOJI = "\U0001f000"
_EDGES = '.,:;!?()"'
_BREAKS = re.compile(r"[\r\n]+")
_INDENTS = re.compile(r"[ \t]{2,}|\t")

# Code: what programs, JSON and markup have much of and sentences do not. A text with less is not looked at by line.
_CODE = re.compile(r"[{}\[\]<>=;_\\|*&#\"/()$+]")
_CODE_SHARE = 0.04
_CODE_LINE = 0.07

_SHORT = 24  # a run of non-spaces up to so long is remembered

# Every count is a field of one large integer, above the lexicon's: a text's counts are one sum.
_UNIT = {name: 1 << (BITS * (len(BASES) + at)) for at, name in enumerate(FEATURES)}
_ABSENT, _LETTERS, _ACCENTS = _UNIT["words"], _UNIT["letters"], _UNIT["accents"]
_MARKS, _RUNS = _UNIT["marks"], _UNIT["runs"]
_CAPITALS, _EXCESS, _ONE = _UNIT["capitals"], _UNIT["excess"], _UNIT["singles"]
_MASK = (1 << BITS) - 1
_SHIFTS = range(0, BITS * (len(BASES) + len(FEATURES)), BITS)


def shape_of(text: str, instructions: str = "", earlier: tuple[str, ...] = ()) -> Shape:
    """The shape of a prompt's parts together, scaled up to their full length. Never raises."""
    segments = [_shape(text, MOST)]
    if instructions:
        segments.append(_kept(instructions))
    segments += [_shape(turn, EARLIER) for turn in earlier[:EARLIER_TURNS]]
    if len(segments) == 1:
        return segments[0]
    return Shape(_sum([s.prose for s in segments]), _sum([s.code for s in segments]))


def count(text: str, words: Mapping[str, int], pieces: Callable[[str], int] | None = None) -> Counts:
    """Counts of the whole of a text, with this lexicon; `pieces` counts what it does not have as it stands."""
    get = words.get
    if pieces is None:
        pieces = partial(_piece, words=words)
    total = sum([get(piece) or pieces(piece) for piece in text.split()])
    if "\n" in text:
        total += len(_BREAKS.findall(text)) * _UNIT["breaks"]
    if "  " in text or "\t" in text:
        total += len(_INDENTS.findall(text)) * _UNIT["indents"]
    total += _UNIT["starts"]
    counts = [total >> shift & _MASK for shift in _SHIFTS]
    return Counts(len(text), tuple(counts[: len(BASES)]), tuple(counts[len(BASES) :]))


def single(word: str) -> bool:
    """Whether it is of a script without spaces between words."""
    return _SINGLE.match(word) is not None


def _piece(piece: str, words: Mapping[str, int]) -> int:
    """The counts of a run of non-spaces: words with punctuation around them, numbers, words that the lexicon lacks."""
    core = piece.strip(_EDGES)
    edges = 0
    if core != piece:
        edges = (len(piece) - len(core)) * _MARKS + _RUNS * (
            (piece[-1] in _EDGES) + (piece[0] in _EDGES and core != "")
        )
        known = words.get(core)
        if known is not None:  # a common word with a comma or in brackets: most of what is not found at once
            return known + edges
    if core.isalpha() and (core.isascii() or max(core) < _FIRST_SINGLE):
        return _word(core, words) + edges
    total = 0
    if not piece.isascii() and _SINGLE.search(piece) is not None:
        characters = _SINGLE.findall(piece)
        values = [words.get(char) for char in characters]
        total = sum(filter(None, values)) + values.count(None) * _ONE
        if len(characters) == len(piece):
            return total
        piece = _SINGLES.sub(" ", piece)
    parts = WORD.split(piece)
    for word in parts[1::2]:
        total += words.get(word) or _word(word, words)
    for between in parts[::2]:
        if between and between != " ":
            total += _kept_separator(between) if len(between) <= _SHORT else _separator(between)
    return total


def _word(word: str, words: Mapping[str, int]) -> int:
    """The counts of a word that the lexicon does not have as it stands."""
    size = len(word)
    total = _ABSENT + size * _LETTERS
    lower = word.lower()
    if lower != word:
        known = words.get(lower)
        if known is not None:
            return known
        total += _CAPITALS
    if size > _EXCESS_FROM:
        total += (size - _EXCESS_FROM) * _EXCESS
    if not word.isascii():
        total += sum([char > "\x7f" for char in word]) * _ACCENTS
        if not word.isalpha() and max(word) >= _FIRST_EMOJI:
            total += len(_EMOJI.findall(word)) * _UNIT["emoji"]
    return total


def _separator(between: str) -> int:
    """The counts of what stands between two words."""
    digits = groups = marks = runs = symbols = emoji = 0
    for run in _DIGITS.findall(between):
        digits += len(run)
        groups += (len(run) + 2) // 3
    for run in _RUN.findall(between):
        runs += 1
        if run.isascii():
            marks += len(run)
            continue
        ascii_marks, faces = sum([char < "\x80" for char in run]), len(_EMOJI.findall(run))
        marks += ascii_marks
        emoji += faces
        symbols += len(run) - ascii_marks - faces
    unit = _UNIT
    return (
        digits * unit["digits"]
        + groups * unit["groups"]
        + marks * unit["marks"]
        + runs * unit["runs"]
        + symbols * unit["symbols"]
        + emoji * unit["emoji"]
    )


_kept_separator = lru_cache(maxsize=PIECES)(_separator)
_kept_piece = lru_cache(maxsize=PIECES)(lambda piece: _piece(piece, lexicon()))


def _remembered(piece: str) -> int:
    return _kept_piece(piece) if len(piece) <= _SHORT else _piece(piece, lexicon())


def _shape(segment: str, most: int) -> Shape:
    """The shape of one segment, from at most `most` of its characters."""
    size = len(segment)
    if size > most // DENSE and _SINGLE.match(segment[size // 2]):
        most //= DENSE
    if size > most:
        half, quarter = most // 2, most // 4
        middle = size // 2
        excerpt = f"{segment[:half]} {segment[middle : middle + quarter]} {segment[-quarter:]}"
    else:
        excerpt = segment
    prose, code = _split(excerpt)
    words = lexicon()
    counted = count(prose, words, _remembered) if prose else None
    programmed = count(code, words, _remembered) if code else None
    if size > most:
        factor = size / len(excerpt)
        counted, programmed = _scaled(counted, factor), _scaled(programmed, factor)
    return Shape(counted, programmed)


_kept = lru_cache(maxsize=SYSTEM_PROMPTS)(lambda instructions: _shape(instructions, MOST))


def _split(text: str) -> tuple[str, str]:
    """Prose and code of a text, by line."""
    if len(_CODE.findall(text)) < _CODE_SHARE * len(text):
        return text, ""
    prose: list[str] = []
    code: list[str] = []
    for line in text.splitlines(keepends=True):
        (code if len(_CODE.findall(line)) > _CODE_LINE * len(line.strip()) else prose).append(line)
    return "".join(prose), "".join(code)


def _scaled(counts: Counts | None, factor: float) -> Counts | None:
    if counts is None:
        return None
    *rest, starts = counts.rest
    return Counts(
        round(counts.characters * factor),
        tuple(round(value * factor) for value in counts.known),
        (*(round(value * factor) for value in rest), starts),
    )


def _sum(counts: list[Counts | None]) -> Counts | None:
    present = [one for one in counts if one is not None]
    if len(present) < 2:
        return present[0] if present else None
    return Counts(
        sum(one.characters for one in present),
        tuple(map(sum, zip(*(one.known for one in present), strict=True))),
        tuple(map(sum, zip(*(one.rest for one in present), strict=True))),
    )
