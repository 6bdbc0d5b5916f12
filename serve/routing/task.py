"""What a request asks for: a cheap guess from words in the catalogue's languages and from the text's structure.

The guess moves the choice (evidence differs by task), so it says None wherever nothing speaks clearly: the mean of the
generative tasks then counts. Pure, and never raises. How well it tells is measured in docs/routing.md, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from math import exp
from typing import Final, NamedTuple

from serve.fleet.tasks import Task
from serve.routing.tags import rows

TASKS: Final = tuple(Task)

# Only the ends of a text are looked at: an instruction stands before or after the material it is about.
HEAD, TAIL = 120, 120
# The first words count in full and the last ones nearly so; a cue further in is more likely part of the material.
NEAR: Final = 14
LAST_WEIGHT: Final = 0.7
FAR_WEIGHT: Final = 0.2
# An unspaced script says as much in a third of the characters.
UNSPACED_HEAD, UNSPACED_TAIL = 48, 32

# Scores are log-odds up to a constant. Fitted on the `dev` part of tests/data/tasks.jsonl by maximum likelihood; how
# the guesses do on the `test` part stands in docs/routing.md.
STRONG: Final = 3.5
WEAK: Final = 1.2
MOST_CUES: Final = 2.0  # of either kind that count for a task: a fourth "sum" tells nothing new
# A greeting is one as the first or second word; further in it belongs to a letter that something is asked about.
GREETING: Final = 2
# A short question that nothing else is known of is conversation more often than not.
SHORT_QUESTION: Final = 1.8
# Where a colon, a line's end or a question stands before more text, something is to be done with that text.
MATERIAL: Final = 1.2
SHORT: Final = 120
CODE: Final = 3.0
EQUATION: Final = 3.0
NUMBERS: Final = 1.5
# A language is named at the start, some material follows, and nothing else is asked for: "on Polish, please: ...".
INTO_LANGUAGE: Final = 2.0
CHAT_PRIOR: Final = 0.5
INSTRUCTIONS_WEIGHT: Final = 0.6
# Below this probability the task is None.
CLEAR: Final = 0.6

_WORDS = re.compile(r"[^\s.,:;!?()\"«»„“”‘’'`…।、。？！¿¡؟،\[\]{}<>|*=~「」『』（）：·;-]+")
_LATIN = re.compile(r"[a-z][a-z+#]+")
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
# Characters of code that prose does not have, and words that only count beside them.
_SYMBOLS: Final = (
    "```",
    "=>",
    "->",
    "</",
    "#include",
    "();",
    ");\n",
    "{}",
    "{ ",
    ";\n",
    "{\n",
    "==",
    "!=",
    "&&",
    "||",
    "++",
    " | ",
)
_KEYWORDS: Final = frozenset(("def", "import", "return", "lambda", "select", "while", "for", "elif", "const", "var"))
# What follows a word in brackets in prose: "Mitarbeiter(in)", "file(s)".
_ENDINGS: Final = re.compile(r"(?:in|innen|nen|s|es|e|n|en|er|r|a|as|os|o|t|ne|ar|d)\)")
_EQUATION = re.compile(
    r"\d\s?[+*×÷=^]\s?\d|\d\s[-−/]\s\d|\d[a-z]\s?[-+=]\s?\d|\d(?:\s?[,、]\s?\d+){3}"  # 2 + 2; 3x = 9; 2, 4, 8, 16
)
_MATERIAL = re.compile(r":\s|\n|[?？؟]\s+\S|：|。\S")
_QUESTION: Final = frozenset("?？؟;")
_NUMBER = re.compile(r"\d+")

_Scores = list[float]


class _Cue(NamedTuple):
    """What a word or phrase says: the words after the second, the task's index, whether it names the task, and before
    which place of the text it must stand."""

    rest: tuple[str, ...]
    task: int
    strong: bool
    before: int


class _Cues(NamedTuple):
    """The cues that begin with one word: the word itself, and phrases by their second word."""

    alone: tuple[_Cue, ...]
    phrases: Mapping[str, tuple[_Cue, ...]]


def classify(text: str, instructions: str = "") -> tuple[Task | None, float]:
    """The task that a text asks for, with its probability; None, with the probability of the likeliest task, where
    nothing speaks clearly. `instructions`: the system prompt, which counts for less than the text."""
    scores = _scores(text)
    if instructions:
        for index, score in enumerate(_scores(instructions)):
            scores[index] += INSTRUCTIONS_WEIGHT * score
    scores[_CHAT] += CHAT_PRIOR
    best = max(range(len(scores)), key=scores.__getitem__)
    top = scores[best]
    probability = 1.0 / sum(exp(score - top) for score in scores)
    return (TASKS[best] if probability >= CLEAR else None), probability


_CHAT = TASKS.index(Task.CHAT)
_TRANSLATION = TASKS.index(Task.TRANSLATION)
_CODE_TASK = TASKS.index(Task.CODE)
_REASONING = TASKS.index(Task.REASONING)


def _scores(text: str) -> _Scores:
    """The evidence for each task of TASKS, without the prior."""
    whole = len(text) <= HEAD + TAIL
    head, tail = (text, "") if whole else (text[:HEAD], text[-TAIL:])
    strong, weak = [0.0] * len(TASKS), [0.0] * len(TASKS)
    words = _WORDS.findall(head.lower())
    _words(words, len(words) - NEAR if whole else len(words), 1.0, strong, weak)
    if not whole:
        last = _WORDS.findall(tail.lower())
        chat = strong[_CHAT], weak[_CHAT]
        _words(last, len(last) - NEAR, FAR_WEIGHT, strong, weak)
        strong[_CHAT], weak[_CHAT] = chat  # the end of a long text that chats is a letter or a story
    if not text.isascii() and _UNSPACED.search(head):
        _inside(text, words, strong, weak)
    scores = [
        STRONG * min(strength, MOST_CUES) + WEAK * min(hint, MOST_CUES)
        for strength, hint in zip(strong, weak, strict=True)
    ]
    material = _MATERIAL.search(head) is not None
    if material and not any(strong) and not _names().isdisjoint(words[:NEAR]):
        scores[_TRANSLATION] += INTO_LANGUAGE
    if material:
        scores[_CHAT] -= MATERIAL
    question = not _QUESTION.isdisjoint(text[-2:] if whole else tail[-2:])
    numbers = len(_NUMBER.findall(head))
    if _is_code(head, words):
        scores[_CODE_TASK] += CODE
    elif numbers and _EQUATION.search(head):
        scores[_REASONING] += EQUATION
    # A long text is material, and has numbers whatever is asked of it.
    if numbers > 1 and whole and (question or strong[_REASONING]):
        scores[_REASONING] += NUMBERS
        if "%" in head or "٪" in head:
            scores[_REASONING] += WEAK
    if question and not material and len(text) <= SHORT and max(scores[:_CHAT] + scores[_CHAT + 1 :]) <= WEAK:
        scores[_CHAT] += SHORT_QUESTION
    return scores


def _is_code(head: str, words: Sequence[str]) -> bool:
    """Whether there is a line of code: what only code has, or a call or an index right behind a word."""
    if any(symbol in head for symbol in _SYMBOLS):
        return True
    for bracket in "([":
        at = head.find(bracket)
        before = head[at - 1 : at] if at > 0 else ""
        if before.isascii() and (before.isalnum() or before == "_") and not _ENDINGS.match(head, at + 1):
            return True
    return "=" in head and not _KEYWORDS.isdisjoint(words)


def _words(words: Sequence[str], last_from: int, first_weight: float, strong: _Scores, weak: _Scores) -> None:
    """Adds the cues among words: the first `NEAR` with `first_weight`, those from `last_from` on with `LAST_WEIGHT`."""
    table = _table()
    end = len(words) - 1
    for place, word in enumerate(words):
        found = table.get(word)
        if found is None:
            continue
        cues, phrases = found
        if phrases and place < end and words[place + 1] in phrases:
            cues += phrases[words[place + 1]]
        if not cues:
            continue
        weight = first_weight if place < NEAR else FAR_WEIGHT
        if place >= last_from and weight < LAST_WEIGHT:
            weight = LAST_WEIGHT
        for rest, task, names, before in cues:
            if place >= before or (rest and tuple(words[place + 2 : place + 2 + len(rest)]) != rest):
                continue
            if names:
                strong[task] += weight
            else:
                weak[task] += weight


def _inside(text: str, words: Sequence[str], strong: _Scores, weak: _Scores) -> None:
    """Adds the cues of languages that put no spaces between words, and of Latin words that stand right beside them."""
    starts = _unspaced()
    ends = text
    if len(text) > UNSPACED_HEAD + UNSPACED_TAIL:
        ends = f"{text[:UNSPACED_HEAD]}\n{text[-UNSPACED_TAIL:]}"
    for place, character in enumerate(ends):
        for cue, task, names in starts.get(character, ()):
            if ends.startswith(cue, place):
                if names:
                    strong[task] += 1.0
                else:
                    weak[task] += 1.0
                break
    if latin := [word for word in _LATIN.findall(ends.lower()) if word not in words]:
        _words(latin, 0, 1.0, strong, weak)


@cache
def _table() -> Mapping[str, _Cues]:
    """First word to the cues that begin with it."""
    strengths: dict[tuple[tuple[str, ...], int, int], bool] = {
        ((name,), _TRANSLATION, HEAD): False for name in _names()
    }
    for lang, task, strong, weak in _rows():
        if lang.endswith("*"):
            continue
        for text, names in ((strong, True), (weak, False)):
            for phrase in filter(None, text.split("|")):
                before = GREETING if phrase.endswith("^") else HEAD
                key = (tuple(phrase.rstrip("^").split("_")), TASKS.index(Task(task)), before)
                strengths[key] = strengths.get(key, False) or names
    alone: dict[str, list[_Cue]] = {}
    phrases: dict[str, dict[str, tuple[_Cue, ...]]] = {}
    for ((first, *more), index, before), names in sorted(strengths.items()):
        cue = _Cue(tuple(more[1:]), index, names, before)
        if more:
            of_first = phrases.setdefault(first, {})
            of_first[more[0]] = (*of_first.get(more[0], ()), cue)
        else:
            alone.setdefault(first, []).append(cue)
    return {
        first: _Cues(tuple(alone.get(first, ())), phrases.get(first, {})) for first in alone.keys() | phrases.keys()
    }


@cache
def _unspaced() -> Mapping[str, tuple[tuple[str, int, bool], ...]]:
    """First character to the cues that are looked for inside words, the longer ones first: text, task, strong."""
    found: dict[str, list[tuple[str, int, bool]]] = {}
    for lang, task, strong, weak in _rows():
        if lang.endswith("*"):
            for text, names in ((strong, True), (weak, False)):
                for phrase in filter(None, text.split("|")):
                    cue = phrase.replace("_", " ")
                    found.setdefault(cue[0], []).append((cue, TASKS.index(Task(task)), names))
    return {first: tuple(sorted(cues, key=lambda one: -len(one[0]))) for first, cues in found.items()}


def _rows() -> Iterable[tuple[str, str, str, str]]:
    for row in rows("tasks.tsv"):
        lang, task, strong, *weak = row
        yield lang, task, strong, weak[0] if weak else ""


@cache
def _names() -> frozenset[str]:
    """Words that name a language, in any language: they go with translation, and with much else."""
    forms = (form for _, _, column in rows("names.tsv") for form in column.split("|"))
    return frozenset(form.lower() for form in forms if form.isalpha())
