"""The part of a text that its language is read from: no code, links or digits, and never more than a few hundred
characters, so that a long prompt costs what a short one costs."""

from __future__ import annotations

import re
import unicodedata

# Characters looked at in a very long text before anything is stripped from it: its start and its middle.
WINDOW = 1500
# What remains of it: enough to tell a language (a sentence of NTREX has about 120 characters), and cheap. The start of
# a prompt is what its author wrote; the middle tells when that was only a heading.
HEAD = 100
MIDDLE = 40

# Fewer lines that look like code may be anything (a greeting that ends in a bracket).
LEAST_CODE_LINES = 2
_CODE_MARKS = (";\n", "{\n", "}\n", ")\n", "):\n", " = ", '":', "};", "});")

# Latin letters that are typed in Cyrillic words for those that look the same (old keyboards, spam, bad conversions).
_MIXED = re.compile(r"[A-Za-z][\u0400-\u04ff]|[\u0400-\u04ff][A-Za-z]")
_MIXED_WORD = re.compile(r"[A-Za-z\u0400-\u04ff]+")
_ALIKE = str.maketrans("aceijopsxyABCEHIJKMOPSTXY", "асеіјорѕхуАВСЕНІЈКМОРЅТХУ")

# A run of letters with the vowel signs and accents that Python counts as no letters.
WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0dff'’-])*")

_FENCE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
# Lines of a program that nobody fenced: they end as only code does, or begin with a keyword and hold a bracket.
_CODE_END = (";", "{", "}", "):", ");", "],", "},", '",', "=>", "*/")
_CODE_START = re.compile(
    r"\s*(?:(?:def|class|import|from|for|if|elif|else|while|return|const|let|var|public|private|static|func|function|fn"
    r"|use|package|try|except|catch|print|SELECT|INSERT|UPDATE)\b"
    r"|#include|@\w|>>> |//|/\*|\w+ ?[+-]?= ?\S|\"[\w -]+\": ?)"
)
_BRACKET = re.compile(r"[(){}\[\]=;<>+]|\":|^\s*return \w+$|\bimport \w")
_CODE = re.compile(r"`[^`\n]{1,200}`")
_LINK = re.compile(r"\b(?:[a-z][a-z0-9+.-]{1,10}://|www\.)\S{1,2000}", re.IGNORECASE)
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w.-]{1,255}")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
# Digits, markup, symbols, emoji with their joiners, controls, and the halves of surrogate pairs.
_NOISE = re.compile(
    r"[\x00-\x1f\d_*#|<>{}\[\]()=~^`+\\/@$%&\u00a0\u200b-\u200d\u2028\u2029\u2060-\u2064\u20a0-\u2bff"
    r"\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff\U0001f000-\U000fffff]+"
)
_ASCII_NOISE = re.compile(r"[\x00-\x1f\d_*#|<>{}\[\]()=~^`+\\/@$%&]+")


def sample(text: str) -> str:
    """The words of `text` that tell its language, at most `HEAD + MIDDLE` characters, separated by spaces.

    Code fences, inline code, links, mail addresses, tags, digits, emoji and lone surrogates are left out; empty when
    nothing else is there.
    """
    if len(text) > 2 * WINDOW:
        middle = len(text) // 2
        text = f"{text[:WINDOW]} {text[middle - WINDOW // 2 : middle + WINDOW // 2]}"
    text = without_code(text)
    if "://" in text or "www." in text:
        text = _LINK.sub(" ", text)
    if "@" in text:
        text = _MAIL.sub(" ", text)
    if "</" in text or "/>" in text:
        text = _TAG.sub(" ", text)
    chosen = _words(_excerpt(text, HEAD, MIDDLE))
    if len(chosen) < 40 and len(text) > HEAD + MIDDLE:  # the excerpt was mostly numbers or symbols: look at all of it
        chosen = _excerpt(_words(text), HEAD, MIDDLE)
    if chosen.isupper():
        chosen = chosen.lower()
    return chosen


def without_code(text: str) -> str:
    """`text` without fenced and inline code, and without two or more lines of a program that stand there unfenced."""
    if "```" in text or "~~~" in text:
        text = _FENCE.sub(" ", text)
    if "`" in text:
        text = _CODE.sub(" ", text)
    if "\n" in text and any(mark in text for mark in _CODE_MARKS):
        lines = text.split("\n")
        prose = [line for line in lines if not _is_code(line)]
        if len(prose) <= len(lines) - LEAST_CODE_LINES:
            return "\n".join(prose)
    return text


def _is_code(line: str) -> bool:
    line = line.rstrip()
    return line.endswith(_CODE_END) or (
        _CODE_START.match(line) is not None and (line.endswith(":") or _BRACKET.search(line) is not None)
    )


def _excerpt(text: str, head: int, middle: int) -> str:
    """The first `head` characters and `middle` from the centre, cut at spaces where there are any."""
    if len(text) <= head + middle:
        return text
    first = text[:head]
    cut = first.rfind(" ", head - 30)
    if cut > 0:
        first = first[:cut]
    start = max((len(text) + head) // 2 - middle // 2, head)
    second = text[start : start + middle]
    space = second.find(" ", 0, 30)
    return f"{first} {second[space + 1 :]}"


def _words(text: str) -> str:
    if text.isascii():
        return _ASCII_NOISE.sub(" ", text).strip()
    text = _NOISE.sub(" ", text).strip()
    if _MIXED.search(text) is not None:
        text = _MIXED_WORD.sub(_cyrillic, text)
    # Decomposed accents (macOS, PDFs) would be other letters to the model.
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def _cyrillic(word: re.Match[str]) -> str:
    """A word of both alphabets in Cyrillic letters alone, where that is all it takes."""
    found = word[0]
    if found.isascii() or _MIXED.search(found) is None:
        return found
    changed = found.translate(_ALIKE)
    return changed if _MIXED.search(changed) is None else found
