"""A text's character n-grams as rows of a hashed table: 1 to 5 characters, whole words and pairs of words.

All of it is arithmetic on arrays: with P[i] the sum of `character x BASE^j` over j < i, the n-gram from s to e is
(P[e] - P[s]) x BASE^-s modulo 2^64, wherever it stands (a Rabin-Karp hash, https://doi.org/10.1147/rd.312.0249). The
training (bench/languages/train.py) and the gateway call the same function: a change here makes every model void.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt

LONGEST = 5
# Characters that are read; what comes after is ignored. `sample` gives fewer.
MOST_CHARACTERS = 600

_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_MIX = np.uint64(0xD6E8FEB86659FD93)
_FOLD = np.uint64(32)
_BREAKS = re.compile(r"[\s.,!?:;\"()…–—−\-«»„“”‚‘‹›/·•¡。、，！？：；（）「」『』《》।॥؟،؛]+")


def _powers(base: int) -> npt.NDArray[np.uint64]:
    values, power = [], 1
    for _ in range(MOST_CHARACTERS + 3):
        power = power * base % 2**64
        values.append(power)
    return np.array(values, dtype=np.uint64)


_POWERS = _powers(_BASE)
_INVERSES = _powers(pow(_BASE, -1, 2**64))


@lru_cache(maxsize=MOST_CHARACTERS + 4)
def _windows(size: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.uint64]]:
    """Where the n-grams of a text of `size` characters start and end, and BASE^-start for each."""
    begins = [np.arange(max(size - n + 1, 0)) for n in range(1, LONGEST + 1)]
    starts = np.concatenate(begins)
    return starts, np.concatenate([begin + n for n, begin in enumerate(begins, 1)]), _INVERSES[starts]


def normal_form(text: str) -> str:
    """Lower case, punctuation as single spaces, a space at either end; empty for a text without words."""
    text = _BREAKS.sub(" ", text[:MOST_CHARACTERS].lower()).strip()[:MOST_CHARACTERS]
    if "’" in text:
        text = text.replace("’", "'")
    if "¿" in text:
        text = text.replace("¿", "¿ ")[:MOST_CHARACTERS]
    return f" {text} " if text else ""


def rows(text: str, bits: int) -> npt.NDArray[np.intp]:
    """Row numbers, each below 2^bits, of all n-grams, words and pairs of words of `text`, repeated as they repeat."""
    text = normal_form(text)
    if not text:
        return np.empty(0, dtype=np.intp)
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    size = len(points)
    prefix = np.zeros(size + 1, dtype=np.uint64)
    np.cumsum(points * _POWERS[:size], out=prefix[1:])
    starts, ends, inverses = _windows(size)
    spaces = (points == 32).nonzero()[0]
    first, last = spaces[:-1], spaces[1:] + 1
    if len(spaces) > 2:
        first, last = np.concatenate((first, first[:-1])), np.concatenate((last, last[1:]))
    count = len(starts)
    hashes = np.empty(count + len(first), dtype=np.uint64)
    np.subtract(prefix.take(ends), prefix.take(starts), out=hashes[:count])
    hashes[:count] *= inverses
    hashes[count:] = (prefix.take(last) - prefix.take(first)) * _INVERSES.take(first)
    hashes ^= hashes >> _FOLD
    hashes *= _MIX
    hashes >>= np.uint64(64 - bits)
    return hashes.view(np.int64)
