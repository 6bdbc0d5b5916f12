"""The part of a text that its language is read from: no code, links or digits, and never more than a few hundred
characters, so that a long prompt costs what a short one costs."""

from __future__ import annotations

import re
import unicodedata

# Characters looked at in a very long text before anything is stripped from it: its start and its middle.
WINDOW = 4000
# What remains of it: enough for py3langid (a sentence of NTREX has about 120 characters), and cheap (about 0.12 µs a
# byte). The start of a prompt is what its author wrote; the middle tells when that was only a heading.
HEAD = 100
MIDDLE = 40

# A run of letters with the vowel signs and accents that Python counts as no letters.
WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0dff'’-])*")

_FENCE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
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
    if "```" in text or "~~~" in text:
        text = _FENCE.sub(" ", text)
    if "`" in text:
        text = _CODE.sub(" ", text)
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
    # Decomposed accents (macOS, PDFs) would be other letters to the model.
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)
