"""Common words of the catalogue's languages with the tokens that each has in four tokenizers, counted beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from serve.errors import DescriptionError, Problem

FILE = Path(__file__).with_name("catalogue") / "lexicon.tsv"
# The tokenizers that the file has figures of, in its order; the others of fertility.tsv name one of them as their base.
BASES = ("llama3", "nemo", "mistral7b", "gemma2")
# Characters that stand for themselves, in scripts without spaces between words: Thai, kana, Han.
SINGLE = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff66-\uff9f"

# Counts are kept in hundredths of a token, one field of so many bits a tokenizer: a text's sum is one sum of integers.
SCALE = 100
BITS = 24
_MOST = 99.0


def packed(tokens: tuple[float, ...], english: bool = False) -> int:
    """A word as one integer that can be added to others: its tokens in each of `BASES`, then 1, then whether it is a
    common word of English."""
    figures = (*(round(value * SCALE) for value in tokens), 1, int(english))
    return sum(value << (BITS * at) for at, value in enumerate(figures))


@cache
def lexicon() -> Mapping[str, int]:
    """The shipped words, packed. Raises DescriptionError when the file is damaged."""
    return parse(FILE.read_text(encoding="utf-8"), str(FILE))


def parse(text: str, source: str) -> Mapping[str, int]:
    """Words by their tokens: a line has the figures in the order of `BASES`, `en` where the words are English ones, a
    tab, and words separated by spaces."""
    words: dict[str, int] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        figures, _, members = line.partition("\t")
        english = figures.endswith(" en")
        try:
            tokens = tuple(map(float, figures.removesuffix(" en").split(" ")))
        except ValueError:
            tokens = ()
        if len(tokens) != len(BASES) or not all(0 <= value <= _MOST for value in tokens):
            problems.append(Problem(f"line {number}", figures, f"{len(BASES)} numbers between 0 and {_MOST:g}"))
            continue
        words |= dict.fromkeys(members.split(" "), packed(tokens, english))
    if problems:
        raise DescriptionError(source, problems)
    return words
