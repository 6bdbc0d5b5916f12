"""The language of a text that may hold more than one: what its author wrote counts, what was pasted does not.

People write what they want at the start or at the end, and put the article, the table or the mail that it is about
beside it. So a text of several blocks is read three times: its whole (a sample from start and middle), its first and
its last block. The rules, in order:

1. No end is certain of a language: the whole decides.
2. One end is certain, or both of the same language: that one decides.
3. Both are certain and differ: the last wins where it is a short question after a long text (it is at most a quarter of
   all, no colon announces it, and what lies between is in the first block's language); else the first.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from serve.routing.identify import scorer
from serve.routing.records import Posterior
from serve.routing.sample import WORD, sample, without_code
from serve.routing.scripts import SOLE, UNSPACED, looks_japanese, script_of
from serve.routing.tags import OTHER

# From this probability on an end of a text is taken not to be in the language of the whole; with a colon after it,
# which is how instructions before a text end, from less.
CERTAIN = 0.95
CERTAIN_COLON = 0.8
# What it then is must be this probable: a heading of names is not the language of the whole, and no other either.
LIKELY = 0.4
LEAST_WORDS = 3
LEAST_WORDS_COLON = 2
# Characters of a text's start and end in which its first and last block are looked for.
REACH = 1000
# Shorter texts are one block.
LEAST_CHARACTERS = 30
# A last block up to this share of the text may be the question about the rest.
QUESTION_SHARE = 0.25

_GROUP = {"nn": "nb"}
# After a first sentence that announces something: "Oversett til norsk: ...", "Summarise this:\n".
_ANNOUNCED = re.compile(r"^[^\n:：]{6,200}?[:：](?=\s|[\"“”„«‚'])")
_FIRST_LINE = re.compile(r"[^\n]{2,}")
# Lines that are data: tables, JSON, mark-up, lists.
_DATA = re.compile(r"\s*[|{}\[\]<>+*#=-]")
_QUOTES = "\"“”„«»‚‘’' "


class Reading(NamedTuple):
    """What a text says: its script (ISO 15924; empty: no letters), and the posterior, None where there is nothing to
    read."""

    script: str
    posterior: Posterior | None


def read(text: str) -> Reading:
    """The reading of a text by the rules above. Never raises."""
    whole = read_plain(text)
    if len(text) < LEAST_CHARACTERS or ("\n" not in text and ":" not in text and "：" not in text):
        return whole
    if whole.script in SOLE and "\n" not in text:
        return whole
    return _composed(text, whole)


def read_plain(text: str) -> Reading:
    """The reading of a text as a whole, from a sample of its start and middle. Never raises."""
    excerpt = sample(text)
    script = script_of(excerpt)
    return Reading(script, posterior_of(excerpt, script))


def posterior_of(excerpt: str, script: str) -> Posterior | None:
    """The posterior of a sample in one script; None without letters."""
    if not script:
        return None
    sole = SOLE.get(script)
    if sole is not None:
        return ((sole, 1.0),)
    if script == "Hani" and looks_japanese(excerpt):
        return (("ja", 1.0),)
    return tuple(scorer()(excerpt, script))


def _composed(text: str, whole: Reading) -> Reading:
    if len(text) > 4 * REACH:
        start, end = without_code(text[:REACH]), without_code(text[-REACH:])
    else:
        start = end = without_code(text)
    first_text, announced = _first(start)
    last_text = _last(end)
    if not first_text or first_text == last_text.strip() or len(first_text) >= len(start.strip()):
        return whole
    body = _top(whole)
    first = _certain(first_text, announced, body)
    last = _certain(last_text, False, body)
    if first is None and last is None:
        return whole
    if first is None or last is None:
        return _agreed(first or last or whole, whole)
    if _top(first) == _top(last):
        return _agreed(first, whole)
    before = text[: len(text) - len(last_text)].rstrip(_QUOTES + "\n")
    if before.endswith((":", "：")) or len(last_text) > QUESTION_SHARE * len(text):
        return first
    middle = read_plain(text[len(first_text) : len(text) - len(last_text)])
    return last if middle.posterior is None or _top(middle) == _top(first) else first


def _first(start: str) -> tuple[str, bool]:
    """The first block, and whether it ends by announcing the rest."""
    start = start.lstrip()
    match = _ANNOUNCED.match(start)
    if match is not None:
        return match[0], True
    line = _FIRST_LINE.match(start)
    return (line[0], line[0].rstrip().endswith((":", "："))) if line is not None else ("", False)


def _last(end: str) -> str:
    """The last line that is no data; empty where the text is one line."""
    end = end.rstrip()
    at = end.rfind("\n")
    return end[at + 1 :] if at >= 0 else ""


def _certain(block: str, announced: bool, body: str) -> Reading | None:
    """The reading of a block that is certain enough to be in the language of the whole, or not to be: "Opsummer denne
    artikel:" may be Danish or Norwegian, and is not English."""
    if not block or _DATA.match(block):
        return None
    excerpt = sample(block)
    script = script_of(excerpt)
    if not script:
        return None
    if script in UNSPACED:
        if sum(map(str.isalpha, excerpt)) < 4:
            return None
    elif len(WORD.findall(excerpt)) < (LEAST_WORDS_COLON if announced else LEAST_WORDS):
        return None
    posterior = posterior_of(excerpt, script)
    if posterior is None:
        return None
    reading = Reading(script, posterior)
    top = _top(reading)
    same = other = 0.0
    for tag, probability in posterior:
        if tag == OTHER:
            other += probability
        elif _GROUP.get(tag, tag) == body:
            same += probability
    enough = CERTAIN_COLON if announced else CERTAIN
    sure = same if top == body else 1.0 - same - other
    return reading if sure >= enough and top != OTHER and posterior[0][1] >= LIKELY else None


def _top(reading: Reading) -> str:
    tag = reading.posterior[0][0] if reading.posterior else OTHER
    return _GROUP.get(tag, tag)


def _agreed(end: Reading, whole: Reading) -> Reading:
    """The whole where it says what its end says (it has read more), else the end."""
    return whole if _top(end) == _top(whole) else end
