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
HEAD, TAIL = 240, 160
# The first words count in full and the last ones nearly so; a cue further in is more likely part of the material.
NEAR: Final = 14
LAST_WEIGHT: Final = 0.7
FAR_WEIGHT: Final = 0.2
# An unspaced script says as much in a third of the characters.
UNSPACED_HEAD, UNSPACED_TAIL = 70, 50

# Scores are log-odds up to a constant. Fitted on the `dev` part of tests/data/tasks.jsonl by maximum likelihood; how
# the guesses do on the `test` part stands in docs/routing.md.
STRONG: Final = 3.5
WEAK: Final = 1.2
MOST_CUES: Final = 2.0  # of either kind that count for a task: a fourth "sum" tells nothing new
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
_MATERIAL: Final = (":", "\n")
_QUESTION: Final = frozenset("?？؟;")
_NUMBER = re.compile(r"\d+")

_Scores = list[float]


class _Cue(NamedTuple):
    """A word or phrase: the words after the first, the task's index, and whether it names the task."""

    rest: tuple[str, ...]
    task: int
    strong: bool


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
        _inside(text, strong, weak)
    scores = [
        STRONG * min(strength, MOST_CUES) + WEAK * min(hint, MOST_CUES)
        for strength, hint in zip(strong, weak, strict=True)
    ]
    if not any(strong) and not _names().isdisjoint(words[:NEAR]) and any(mark in head for mark in _MATERIAL):
        scores[_TRANSLATION] += INTO_LANGUAGE
    numbers = len(_NUMBER.findall(head))
    if _is_code(head, words):
        scores[_CODE_TASK] += CODE
    elif numbers and _EQUATION.search(head):
        scores[_REASONING] += EQUATION
    # A long text is material, and has numbers whatever is asked of it.
    if numbers > 1 and whole and (strong[_REASONING] or not _QUESTION.isdisjoint(text)):
        scores[_REASONING] += NUMBERS
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
    for place, word in enumerate(words):
        cues = table.get(word)
        if cues is None:
            continue
        weight = first_weight if place < NEAR else FAR_WEIGHT
        if place >= last_from and weight < LAST_WEIGHT:
            weight = LAST_WEIGHT
        for rest, task, names in cues:
            if rest and tuple(words[place + 1 : place + 1 + len(rest)]) != rest:
                continue
            if names:
                strong[task] += weight
            else:
                weak[task] += weight


def _inside(text: str, strong: _Scores, weak: _Scores) -> None:
    """Adds the cues of languages that put no spaces between words."""
    pattern, cues = _unspaced()
    ends = text
    if len(text) > UNSPACED_HEAD + UNSPACED_TAIL:
        ends = f"{text[:UNSPACED_HEAD]}\n{text[-UNSPACED_TAIL:]}"
    for found in pattern.findall(ends):
        for task, names in cues[found]:
            if names:
                strong[task] += 1.0
            else:
                weak[task] += 1.0


@cache
def _table() -> Mapping[str, tuple[_Cue, ...]]:
    """First word to the cues that begin with it, the longer ones first."""
    found: dict[str, dict[tuple[tuple[str, ...], int], bool]] = {}
    for lang, task, strong, weak in _rows():
        if lang.endswith("*"):
            continue
        for text, names in ((strong, True), (weak, False)):
            for phrase in filter(None, text.split("|")):
                first, *rest = phrase.split("_")
                key = (tuple(rest), TASKS.index(Task(task)))
                known = found.setdefault(first, {})
                known[key] = known.get(key, False) or names
    for name in _names():
        found.setdefault(name, {}).setdefault(((), _TRANSLATION), False)
    return {
        first: tuple(sorted((_Cue(rest, task, names) for (rest, task), names in cues.items()), reverse=True))
        for first, cues in found.items()
    }


@cache
def _unspaced() -> tuple[re.Pattern[str], Mapping[str, tuple[tuple[int, bool], ...]]]:
    """A pattern of all cues that are looked for inside words, the longest at each place, and what each says."""
    found: dict[str, dict[int, bool]] = {}
    for lang, task, strong, weak in _rows():
        if lang.endswith("*"):
            for text, names in ((strong, True), (weak, False)):
                for phrase in filter(None, text.split("|")):
                    known = found.setdefault(phrase.replace("_", " "), {})
                    known[TASKS.index(Task(task))] = names
    return re.compile(_trie(found)), {cue: tuple(tasks.items()) for cue, tasks in found.items()}


def _trie(words: Iterable[str]) -> str:
    """A pattern that matches the longest of the words in time that does not grow with their number."""
    by_first: dict[str, list[str]] = {}
    for word in words:
        if word:
            by_first.setdefault(word[0], []).append(word[1:])
    parts = []
    for first, rests in sorted(by_first.items()):
        below = _trie(rests)
        parts.append(re.escape(first) + (f"(?:{below})" + ("?" if "" in rests else "") if below else ""))
    return "|".join(parts)


def _rows() -> Iterable[tuple[str, str, str, str]]:
    for row in rows("tasks.tsv"):
        lang, task, strong, *weak = row
        yield lang, task, strong, weak[0] if weak else ""


@cache
def _names() -> frozenset[str]:
    """Words that name a language, in any language: they go with translation, and with much else."""
    forms = (form for _, _, column in rows("names.tsv") for form in column.split("|"))
    return frozenset(form.lower() for form in forms if form.isalpha())
