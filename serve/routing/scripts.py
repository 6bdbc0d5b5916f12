"""Which script a text is written in, and which languages that leaves open."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter

# Blocks of letters in order of their first code point (Unicode 16, Blocks.txt); a gap counts as no letter.
_BLOCKS: tuple[tuple[int, int, str], ...] = (
    (0x0041, 0x024F, "Latn"),
    (0x0250, 0x02AF, "Latn"),
    (0x0370, 0x03FF, "Grek"),
    (0x0400, 0x052F, "Cyrl"),
    (0x0531, 0x058F, "Armn"),
    (0x0591, 0x05F4, "Hebr"),
    (0x0600, 0x06FF, "Arab"),
    (0x0750, 0x077F, "Arab"),
    (0x08A0, 0x08FF, "Arab"),
    (0x0900, 0x097F, "Deva"),
    (0x0980, 0x09FF, "Beng"),
    (0x0A00, 0x0A7F, "Guru"),
    (0x0A80, 0x0AFF, "Gujr"),
    (0x0B00, 0x0B7F, "Orya"),
    (0x0B80, 0x0BFF, "Taml"),
    (0x0C00, 0x0C7F, "Telu"),
    (0x0C80, 0x0CFF, "Knda"),
    (0x0D00, 0x0D7F, "Mlym"),
    (0x0D80, 0x0DFF, "Sinh"),
    (0x0E00, 0x0E7F, "Thai"),
    (0x0E80, 0x0EFF, "Laoo"),
    (0x0F00, 0x0FFF, "Tibt"),
    (0x1000, 0x109F, "Mymr"),
    (0x10A0, 0x10FF, "Geor"),
    (0x1100, 0x11FF, "Hang"),
    (0x1200, 0x139F, "Ethi"),
    (0x1780, 0x17FF, "Khmr"),
    (0x1C90, 0x1CBF, "Geor"),
    (0x1E00, 0x1EFF, "Latn"),
    (0x1F00, 0x1FFF, "Grek"),
    (0x3040, 0x30FF, "Kana"),
    (0x3130, 0x318F, "Hang"),
    (0x31F0, 0x31FF, "Kana"),
    (0x3400, 0x4DBF, "Hani"),
    (0x4E00, 0x9FFF, "Hani"),
    (0xAC00, 0xD7AF, "Hang"),
    (0xF900, 0xFAFF, "Hani"),
    (0xFB50, 0xFDFF, "Arab"),
    (0xFE70, 0xFEFC, "Arab"),
    (0xFF66, 0xFF9F, "Kana"),
    (0x20000, 0x323AF, "Hani"),
)
_STARTS = [first for first, _, _ in _BLOCKS]

# Scripts that one language alone writes, as far as prompts go: the script is the language.
SOLE = {
    "Grek": "el", "Hang": "ko", "Kana": "ja", "Thai": "th", "Geor": "ka", "Armn": "hy", "Hebr": "he", "Khmr": "km",
    "Laoo": "lo", "Mymr": "my", "Sinh": "si", "Taml": "ta", "Telu": "te", "Knda": "kn", "Mlym": "ml", "Gujr": "gu",
    "Guru": "pa", "Orya": "or", "Tibt": "dz", "Ethi": "am",
}  # fmt: skip

# Scripts that several languages share: the identifier chooses among these.
SHARED: dict[str, frozenset[str]] = {
    "Cyrl": frozenset(
        ("ru", "uk", "bg", "be", "mk", "sr-Cyrl", "kk", "ky", "mn", "tg", "tt", "ba", "uz", "crh", "az", "ku")
    ),
    "Arab": frozenset(("ar", "fa", "ur", "ps", "ku", "ug")),
    "Deva": frozenset(("hi", "mr", "ne", "sa", "gom")),
    "Beng": frozenset(("bn", "as")),
    "Hani": frozenset(("zh", "ja")),
}

# One character of these says as much as a few letters of an alphabet.
_WEIGHT = {"Hani": 3, "Hang": 2, "Kana": 2}

UNSPACED = frozenset(("Hani", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"))

_BEYOND_LATIN = re.compile(r"[\u0370-\u1dff\u1f00-\u1fff\u3040-\ud7ff\uf900-\ufdff\ufe70-\uff9f\U00020000-\U000323af]")

# Marks and simplifications that only Japanese uses, among texts of Han characters.
_JAPANESE = re.compile("[々〆円図込働駅対応検変実気広売発験読関経済権転団険楽覚歳続択圧処単栄斎渋渓剣稲歩]")


def script_of(text: str) -> str:
    """ISO 15924 code of the script that most of the text is in; empty when it has no letters.

    `Kana` stands for Japanese as soon as kana are a tenth of the Han characters.
    """
    if text.isascii() or _BEYOND_LATIN.search(text) is None:
        return "Latn" if any(map(str.isalpha, text)) else ""
    counts: Counter[str] = Counter()
    for char, times in Counter(text).items():
        code = ord(char)
        at = bisect_right(_STARTS, code) - 1
        if at < 0:
            continue
        _, last, script = _BLOCKS[at]
        if code <= last and (code > 0x7F or char.isalpha()):
            counts[script] += times * _WEIGHT.get(script, 1)
    if not counts:
        return ""
    if counts["Kana"] and counts["Kana"] * 15 >= counts["Hani"]:
        counts["Kana"] += counts.pop("Hani", 0)
    return max(counts, key=lambda script: (counts[script], script))


def looks_japanese(text: str) -> bool:
    """Whether a text of Han characters has marks or simplified forms that Chinese does not use."""
    return _JAPANESE.search(text) is not None


# The script of a language that is not written in Latin letters, for what is known of a script only.
SCRIPT_OF = {
    **{tag: script for script, tag in SOLE.items()},
    "ja": "Kana", "zh": "Hani", "ru": "Cyrl", "uk": "Cyrl", "bg": "Cyrl", "be": "Cyrl", "mk": "Cyrl", "sr-Cyrl": "Cyrl",
    "kk": "Cyrl", "ky": "Cyrl", "mn": "Cyrl", "tg": "Cyrl", "tt": "Cyrl", "ba": "Cyrl", "ar": "Arab", "fa": "Arab",
    "ur": "Arab", "ps": "Arab", "ug": "Arab", "hi": "Deva", "mr": "Deva", "ne": "Deva", "sa": "Deva", "gom": "Deva",
    "bn": "Beng", "as": "Beng",
}  # fmt: skip
