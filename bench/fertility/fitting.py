"""The lexicon of common words and the coefficients of everything else, fitted on counted texts.

Half of the lexicon's sentences count for the other half: a word is looked up in a fit only where another sentence gave
it, or the coefficients of unknown words would be fitted on texts that have none.
"""

from __future__ import annotations

import random
from collections import Counter as Tally
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from bench.fertility.counting import Counter, separate
from serve.fleet.fertility import CODE, FEATURES
from serve.fleet.lexicon import BASES, SCALE, packed
from serve.routing.records import Counts
from serve.routing.shape import WORD, count, single

WORDS = 1500  # of a language; twice as many take a tenth off the error, and twice the space
MORE_WORDS = {"en": 6000}  # English stands in prompts of every language
CODE_WORDS, CODE_TIMES = 5000, 5  # words that programs have so often
LEAST_SINGLE = 6  # times that a character of Thai, kana or Han must occur to get its own figure
RIDGE = 3.0
ROUNDS = 10
LEAST_ERROR = 0.01  # smaller ones weigh no more: the fit is of the median, not of a handful of texts

Lexicon = dict[str, int]


class Texts:
    """A language's sentences, and cuts of them of 3-12 words, with their tokens in each tokenizer."""

    def __init__(self, lang: str, sentences: Sequence[str], counters: Mapping[str, Counter]) -> None:
        rng = random.Random(f"fertility {lang}")  # noqa: S311 - repeatable, no secret
        whole = list(sentences)
        rng.shuffle(whole)
        cuts = [_cut(text, rng) for text in whole[:500]]
        joined = ["\n".join(rng.sample(whole, 3)) for _ in range(60)] if len(whole) > 3 else []
        self.lang = lang
        self.sentences = whole
        self.texts = [*whole, *cuts, *joined]
        self.halves = [*range(len(whole)), *range(len(cuts)), *range(len(joined))]
        self.tokens = {name: np.array(counter(self.texts), float) for name, counter in counters.items()}


def _cut(text: str, rng: random.Random) -> str:
    words = text.split()
    if len(words) < 4:  # no spaces between words
        size = rng.randint(6, 40)
        start = rng.randrange(max(1, len(text) - size))
        return text[start : start + size]
    size = rng.randint(3, 12)
    start = rng.randrange(max(1, len(words) - size))
    return " ".join(words[start : start + size])


def words_of(languages: Sequence[Texts], code: Sequence[str], parity: int | None) -> list[str]:
    """The lexicon's words, from the sentences of one parity or all; sorted."""
    chosen = set()
    for language in languages:
        tally: Tally[str] = Tally()
        for index, text in enumerate(language.sentences):
            if parity is None or index % 2 == parity:
                tally.update(WORD.findall(text))
        chosen.update(word for word, _ in tally.most_common(MORE_WORDS.get(language.lang, WORDS)))
    tally = Tally()
    for text in code:
        tally.update(WORD.findall(text))
    chosen.update(word for word, times in tally.most_common(CODE_WORDS) if times >= CODE_TIMES and word.isascii())
    return sorted(word for word in chosen if not single(word))


def lexicon_of(words: Sequence[str], english: Collection[str], counters: Mapping[str, Counter]) -> Lexicon:
    """Their tokens after a space, packed."""
    columns = [counters[name]([separate(name, word) for word in words]) for name in BASES]
    rows = zip(words, zip(*columns, strict=True), strict=True)
    return {word: packed(tuple(row), word in english) for word, row in rows}


def singles_of(languages: Sequence[Texts], counters: Mapping[str, Counter]) -> Lexicon:
    """The mean share in its text's tokens of every frequent character of a script without spaces: ridge regression of
    a text's tokens on its characters."""
    texts = [
        (language, at)
        for language in languages
        for at, text in enumerate(language.texts)
        if single(text[len(text) // 2])
    ]
    tally: Tally[str] = Tally(char for language, at in texts for char in language.texts[at] if single(char))
    chars = [char for char, times in tally.items() if times >= LEAST_SINGLE]
    place = {char: at for at, char in enumerate(chars)}
    matrix = np.zeros((len(texts), len(chars) + 2))
    for row, (language, at) in enumerate(texts):
        for char in language.texts[at]:
            matrix[row, place.get(char, len(chars) + (not single(char)))] += 1
    figures = []
    for name in BASES:
        tokens = np.array([language.tokens[name][at] for language, at in texts])
        weights = 1 / np.sqrt(tokens)
        prior = np.array([counters[name]([char])[0] for char in chars] + [1.0, 0.5]) * 0.7
        a, b = matrix * weights[:, None], (tokens - matrix @ prior) * weights
        found = prior + np.linalg.solve(a.T @ a + 0.5 * np.eye(a.shape[1]), a.T @ b)
        figures.append(np.clip(found[: len(chars)], 0.05, 8.0))
    return {char: packed(tuple(float(f[at]) for f in figures)) for char, at in place.items()}


def matrix_of(counted: Sequence[Counts]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of the known words (a column a base), and the features; the two without a weight are 0."""
    return np.array([c.known for c in counted], float) / SCALE, np.array([(0, 0, *c.rest[2:]) for c in counted], float)


def fit(known: np.ndarray, rest: np.ndarray, tokens: np.ndarray, prior: np.ndarray, ridge: float = RIDGE) -> np.ndarray:
    """Coefficients of the features that make the relative error's median small: reweighted least squares, drawn to
    `prior` where a text says nothing about a feature."""
    weights, beta = 1 / tokens, prior
    target = tokens - known
    for _ in range(ROUNDS):
        a, b = rest * weights[:, None], (target - rest @ prior) * weights
        scale = np.maximum(np.sqrt((a**2).mean(0)), 1e-6)
        a = a / scale
        beta = prior + np.linalg.solve(a.T @ a + ridge * np.eye(a.shape[1]), a.T @ b) / scale
        error = np.abs(target - rest @ beta) / tokens
        weights = 0.2 / tokens / np.sqrt(np.maximum(error, LEAST_ERROR))
    return beta


def coefficients(
    languages: Sequence[Texts], code: Texts, lexicons: tuple[Lexicon, Lexicon, Lexicon]
) -> dict[tuple[str, str], np.ndarray]:
    """By tokenizer and language; `zxx` is code. The lexicons are of odd sentences, of even ones, and of all."""
    counted = {
        one.lang: matrix_of([count(text, lexicons[half % 2]) for text, half in zip(one.texts, one.halves, strict=True)])
        for one in languages
    }
    programs = matrix_of([count(text, lexicons[2]) for text in code.texts])
    found = {}
    for at, name in enumerate(BASES):
        every = [(counted[one.lang][0][::6, at], counted[one.lang][1][::6], one.tokens[name][::6]) for one in languages]
        pooled = fit(*map(np.concatenate, zip(*every, strict=True)), np.zeros(len(FEATURES)), 1.0)
        found[name, CODE] = fit(programs[0][:, at], programs[1], code.tokens[name], pooled, 1.0)
        for feature in ("indents",):  # sentences have none
            pooled[FEATURES.index(feature)] = found[name, CODE][FEATURES.index(feature)]
        for one in languages:
            known, rest = counted[one.lang]
            found[name, one.lang] = fit(known[:, at], rest, one.tokens[name], pooled)
    return found
