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
def _windows(size: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where the n-grams of a text of `size` characters start and end."""
    starts = [np.arange(max(size - n + 1, 0)) for n in range(1, LONGEST + 1)]
    ends = [start + n for n, start in enumerate(starts, 1)]
    return np.concatenate(starts), np.concatenate(ends)


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
    starts, ends = _windows(size)
    spaces = np.flatnonzero(points == 32)
    if len(spaces) > 2:
        starts = np.concatenate((starts, spaces[:-1], spaces[:-2]))
        ends = np.concatenate((ends, spaces[1:] + 1, spaces[2:] + 1))
    else:
        starts = np.concatenate((starts, spaces[:-1]))
        ends = np.concatenate((ends, spaces[1:] + 1))
    hashes = (prefix[ends] - prefix[starts]) * _INVERSES[starts]
    hashes ^= hashes >> _FOLD
    hashes *= _MIX
    hashes >>= np.uint64(64 - bits)
    return hashes.view(np.int64)
