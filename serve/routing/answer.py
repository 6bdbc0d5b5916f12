"""The language that an answer is asked for in: "svar på nynorsk", "Translate to Thai:", a system prompt that says so.

What counts as a request, in every language of the catalogue by its own tables (`serve.routing.asking`):
1. A name of a language in a form that says "in it" or "into it", and in the same sentence a word that asks for text and
   that begins its clause, but for words of courtesy ("can you please"). "I learned to write in English" has no such
   beginning; "Write about trends in German politics" has an adjective.
2. Such a name alone, or a bare name beside "please": "In English." "Αγγλικά παρακαλώ".
3. What is denied ("don't answer in English") or asked about ("what is cheese in French?") is no request: a word of
   another language is wanted there, in an answer in one's own.
4. Quotations and code are no requests, nor is what follows a request's colon up to a blank line: that is material.
The last request of a text wins. The text stands above what earlier turns asked for to last, and these above the system
prompt. Only the start and the end of a text are read, where people put what they want.
"""

from __future__ import annotations

import re
from functools import lru_cache

from serve.routing import unspaced
from serve.routing.asking import NEWLINE, Grammar, Phrase, Tables, cut, lowered, tables, tokens, unmarked
from serve.routing.unspaced import QUOTED, QUOTES

# Characters read of a turn.
HEAD, TAIL = 300, 200
# Of a system prompt more is read: the request stands anywhere in it, and it is looked up once (prompts repeat).
SYSTEM_HEAD, SYSTEM_TAIL = 4000, 1000
# Words from the asking one to the name: "write a short poem about the sea and the wind in Finnish" has ten.
REACH = 16
# Words of courtesy before a command, and between a name and the command that follows it.
LEADS = 10
BETWEEN = 4
FILLERS = 2
# Words of courtesy around a phrase that stands alone: "in English, if you would be so kind".
AROUND = 7
# An earlier turn that is nothing but a request has at most so many words.
SHORT_TURN = 8
# Names looked at in one text, from its end.
MOST_NAMES = 24

_HARD = frozenset((*".!?;()…।؟؛", NEWLINE))
_ENDS = _HARD | frozenset(":—–")
_SOFT = _HARD | frozenset(",:،·—–")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff]")
# Stands for a quotation: a letter that begins no word.
_MATERIAL = "ª"


def asked_for(text: str, instructions: str = "", earlier: tuple[str, ...] = ()) -> str | None:
    """The tag of the language that an answer is asked for in, None where nothing says one.

    `no` is Norwegian in either standard. `earlier` are the user's turns before this one, newest first.
    """
    found = _search(text, HEAD, TAIL) if text else None
    if found is None and earlier:
        found = next((tag for turn in earlier if (tag := _lasting(turn))), None)
    if found is None and instructions:
        found = _instructed(instructions)
    return found


@lru_cache(maxsize=512)
def _instructed(instructions: str) -> str | None:
    return _search(instructions, SYSTEM_HEAD, SYSTEM_TAIL)


@lru_cache(maxsize=1024)
def _lasting(turn: str) -> str | None:
    """What an earlier turn asked for beyond its own answer: it says so ("from now on"), or says nothing else."""
    return _search(turn, HEAD, TAIL, lasting=True)


def _search(text: str, head: int, tail: int, lasting: bool = False) -> str | None:
    if len(text) > head + tail:
        text = f"{text[:head]}\n\n{text[-tail:]}"
    table = tables()
    if not text.isascii() and (letter := _UNSPACED.search(text)) is not None:
        found = unspaced.search(text, letter[0] > "\u0e7f", lasting)
        if found is not None:
            return found
    text = lowered(text)
    if table.quick.isdisjoint(cut(text)):
        return None
    if QUOTES.search(text):
        text = QUOTED.sub(f" {_MATERIAL} ", text)
    return _search_words(tokens(unmarked(text)), table, lasting)


def _search_words(words: list[str], table: Tables, lasting: bool) -> str | None:
    found: str | None = None
    found_at = 0
    looked = 0
    phrases = table.phrases
    for at in range(len(words) - 1, -1, -1):
        entries = phrases.get(words[at])
        if entries is None:
            continue
        looked += 1
        if looked > MOST_NAMES:
            break
        tag = _request(words, at, entries, lasting)
        if tag is not None and (found is None or _material(words, at, found_at)):
            found, found_at = tag, at
    return found


def _material(words: list[str], request: int, later: int) -> bool:
    """Whether a later position belongs to what this request is about: it follows its colon before a blank line."""
    for at in range(request + 1, min(request + 4, later)):
        if words[at] == ":":
            return not any(words[i] == words[i + 1] == NEWLINE for i in range(at + 1, later))
        if words[at] in _HARD:
            return False
    return False


def _request(words: list[str], at: int, entries: tuple[Phrase, ...], lasting: bool) -> str | None:
    for phrase in entries:
        span = _span(words, at, phrase)
        if span is None:
            continue
        start, name, stop = span
        grammar = phrase.grammar
        if _alone(words, start, stop, phrase) or (
            not phrase.bare and (_led(words, start, name, grammar) or _followed(words, start, stop, grammar))
        ):
            if lasting and not _lasts(words, start, stop, grammar):
                continue
            return phrase.tag
    return None


def _span(words: list[str], at: int, phrase: Phrase) -> tuple[int, int, int] | None:
    """Where the phrase around the name's last word begins, where the name does, and where all of it ends."""
    stop = at + 1 + len(phrase.after)
    if phrase.after and tuple(words[at + 1 : stop]) != phrase.after:
        return None
    name = at - len(phrase.name)
    if phrase.name and tuple(words[max(name, 0) : at]) != phrase.name:
        return None
    start = name
    filler = phrase.grammar.filler
    if phrase.before:
        size = len(phrase.before)
        for _ in range(FILLERS + 1):
            if start >= size and tuple(words[start - size : start]) == phrase.before:
                start -= size
                break
            if start == 0 or words[start - 1] not in filler:
                return None
            start -= 1
        else:
            return None
    if phrase.ambiguous and stop < len(words):
        following = words[stop]
        if following not in _SOFT and following not in phrase.grammar.follow and not phrase.grammar.asks(words, stop):
            return None
    return start, name, stop


def _alone(words: list[str], start: int, stop: int, phrase: Phrase) -> bool:
    """Whether the phrase is all that its sentence says before its end or a colon, courtesy aside.

    "In Swedish, please: where is the station?" A bare name needs courtesy; without any, the phrase has to be the head
    of a text or of a line, or a text's first or last sentence.
    """
    grammar = phrase.grammar
    lead = grammar.lead
    first, last = start, stop
    while first > 0 and (words[first - 1] in lead or words[first - 1] == ","):
        first -= 1
    while last < len(words) and (words[last] in lead or words[last] == ","):
        last += 1
    if (first > 0 and words[first - 1] not in _ENDS) or (last < len(words) and words[last] not in _ENDS):
        return False
    if last - first > stop - start + AROUND:
        return False
    if grammar.please.within(words, first, start) or grammar.please.within(words, stop, last):
        return not grammar.negation.within(words, first, start)
    if phrase.bare:
        return False
    if last < len(words) and words[last] not in _HARD:
        return first == start and (first == 0 or words[first - 1] == NEWLINE)
    return last - first == stop - start and (first == 0 or all(word in _HARD for word in words[last:]))


def _led(words: list[str], start: int, name: int, grammar: Grammar) -> bool:
    """Whether a command stands before the phrase in its sentence."""
    for at in range(name - 1, max(name - 1 - REACH, -1), -1):
        word = words[at]
        if word in _HARD or word == ":":
            return False
        if not (grammar.asks(words, at) or grammar.led.at(words, at)):
            continue
        first = at
        while first > 0 and words[first - 1] not in _SOFT:
            first -= 1
        denied = grammar.negation
        if grammar.but.within(words, start - 1, start) and all(
            words[i] in grammar.lead or denied.at(words, i) for i in range(first, at)
        ):
            return True  # "don't answer in English, but in German"
        asked = _commanded(words, first, at, grammar)
        if asked is None:
            continue
        return not (
            denied.within(words, asked, min(at + 4, start)) or denied.within(words, max(start - 2, first), start)
        )
    return False


def _commanded(words: list[str], first: int, at: int, grammar: Grammar) -> int | None:
    """Where the command of a cue begins, polite negations aside; None where its clause begins with something else.

    Only words of courtesy may stand before it, or an earlier command that it joins.
    """
    begins = _courteous(words, first, at, grammar)
    if begins is not None and (at > first or grammar.asks(words, at)):
        return begins
    if (
        grammar.after
        and at - first > 2
        and begins is None
        and all(word in grammar.lead for word in words[first : first + 2])
    ):
        return first  # "an bhféadfá litir ghearr a scríobh": what is asked for stands before the verb
    if at > 0 and words[at - 1] in grammar.joins:
        sentence = at
        while sentence > 0 and words[sentence - 1] not in _HARD:
            sentence -= 1
        for start in range(sentence, min(sentence + LEADS, at)):
            if grammar.asks(words, start):
                return at
            if words[start] not in grammar.lead:
                return None
    return None


def _courteous(words: list[str], first: int, at: int, grammar: Grammar) -> int | None:
    """Where the words after negative courtesy ("не мог бы ты") begin if all before `at` are leads, else None."""
    if at - first > LEADS:
        return None
    begins = index = first
    while index < at:
        size = grammar.courtesy.length(words, index)
        if size:
            index += size
            begins = index
        elif words[index] in grammar.lead:
            index += 1
        else:
            return None
    return begins


def _followed(words: list[str], start: int, stop: int, grammar: Grammar) -> bool:
    """Whether a command stands after the phrase, where the language or the sentence puts it there."""
    first = start
    while first > 0 and words[first - 1] not in _SOFT:
        first -= 1
    before = words[first:start]
    lead = grammar.lead
    courteous = all(word in lead for word in before) or (grammar.after and all(word in lead for word in before[:2]))
    if not (grammar.final or courteous) or (grammar.subject and any(w.endswith(grammar.subject) for w in before)):
        return False
    reach = 2 * BETWEEN if grammar.final else BETWEEN
    for at in range(stop, min(stop + reach, len(words))):
        word = words[at]
        if grammar.asks(words, at):
            denied = grammar.negation
            return not (denied.within(words, max(first, start - 3), start) or denied.within(words, stop, at + 4))
        if word in _HARD or (word in _SOFT and word != ","):
            return False
        if not grammar.final and word not in lead and word != ",":
            return False
    return False


def _lasts(words: list[str], start: int, stop: int, grammar: Grammar) -> bool:
    first, last = start, stop
    while first > 0 and words[first - 1] not in _HARD:
        first -= 1
    while last < len(words) and words[last] not in _HARD:
        last += 1
    if grammar.lasting.within(words, first, last):
        return True
    spoken = sum(word not in _SOFT for word in words)
    return spoken <= SHORT_TURN and words[last:].count(":") == 0 and ":" not in words[stop:last]
