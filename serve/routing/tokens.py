"""Expected tokens of a text in a model's tokenizer, from the text's shape: no tokenizer on the hot path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import mul

from serve.fleet.fertility import FEATURES, Fertility, table
from serve.fleet.lexicon import BASES, SCALE
from serve.routing.records import Counts, Shape
from serve.routing.scripts import SCRIPT_OF

# The family that an unknown tokenizer is counted as: the one with the most tokens, so that nothing looks too cheap.
CAUTIOUS = "mistral7b"

# Tokens that a chat template adds to a turn (role, delimiters) and to the prompt (begin, cue for the answer): Llama 3
# adds 4 a turn and 5 a prompt, Gemma 2 and ChatML (EuroLLM) 5 and 4. Rounded up to one figure.
PER_TURN = 5
PER_PROMPT = 5

# Share of a text's common words that are words of English too. Sentences in other languages have 0.2-0.36, and one in
# fifty more than 0.6 (names, short words); English has all. Between the two a text is mixed, and its uncommon words
# count as English in proportion.
SHARED, ALL = 0.6, 0.9
DOUBT = 3  # words: a chat line of a few short ones shows nothing

# Below so many characters a turn is a chat line, which has more tokens a character than prose: the two sets of the
# table have 30 and 120 on average; between them the figure moves from one to the other.
SHORT = 30
PROSE = 120


def family(tokenizer: str) -> Mapping[str, Fertility]:
    """The rows of a tokenizer family, by language; those of `CAUTIOUS` for a family that is not in the table."""
    families = table()
    return families.get(tokenizer, families[CAUTIOUS])


def fertility(tokenizer: str, tag: str, script: str = "") -> Fertility:
    """Tokens per character in one language. A language without figures: the worst known of its script, and of all
    scripts when none of its script is known."""
    rows = family(tokenizer)
    known = rows.get(tag)
    if known is not None:
        return known
    script = script or SCRIPT_OF.get(tag, "Latn")
    same = [row for lang, row in rows.items() if SCRIPT_OF.get(lang, "Latn") == script] or list(rows.values())
    worst = max(same, key=lambda row: row.prose)
    content = [row.same_content for row in same if row.same_content is not None]
    return replace(
        worst, short=max(row.short for row in same), same_content=max(content, default=None), status="script"
    )


def prose_share(characters: int, turns: int) -> float:
    """How far turns with `characters` in all are prose (1) rather than chat lines (0)."""
    mean = characters / turns if turns > 0 else characters
    return min(max((mean - SHORT) / (PROSE - SHORT), 0.0), 1.0)


def overhead(turns: int, templated: bool) -> int:
    """Tokens that a chat template puts around the turns."""
    return PER_TURN * turns + PER_PROMPT if templated else 0


def estimate(row: Fertility, shape: Shape) -> float:
    """Expected tokens of what a shape was taken of; never negative."""
    prose = 0.0 if shape.prose is None else _prose(shape.prose, row)
    return prose if shape.code is None else prose + _tokens(shape.code, row, row.code, row.english_scale)


def _prose(counts: Counts, row: Fertility) -> float:
    """Tokens of a language's text, or of one that is partly English."""
    tokens = _tokens(counts, row, row.weights, row.scale)
    common, english = counts.rest[0], counts.rest[1]
    more = english - SHARED * common - DOUBT
    if more <= 0 or row.english is row.weights:
        return tokens
    part = min(1.0, more / ((ALL - SHARED) * common))
    return tokens + part * (_tokens(counts, row, row.english, row.english_scale) - tokens)


def _tokens(counts: Counts, row: Fertility, weights: tuple[float, ...], scale: float) -> float:
    found: float = counts.known[row.base] / SCALE + sum(map(mul, weights, counts.rest))
    # Few tokens have more than twenty characters: a bound for texts that no fit has seen.
    return max(found * scale, 0.05 * counts.characters)


def covered(shape: Shape | None) -> int:
    """Characters that a shape stands for; 0 without one, and for one of an older log, whose features were others."""
    if shape is None:
        return 0
    total = 0
    for part in (shape.prose, shape.code):
        if part is not None:
            if len(part.rest) != len(FEATURES) or len(part.known) != len(BASES):
                return 0
            total += part.characters
    return total


def expected(
    row: Fertility, shape: Shape | None, seen: int, characters: int, share: float, extra: int, structured: int = 0
) -> int:
    """Expected prompt tokens, at least 1. `seen`, `share` and `extra` are `covered`, `prose_share` and `overhead`; of
    `characters`, `structured` are JSON of tools and calls. What the shape does not cover has the tokens per character
    of what it does cover, or the language's where there is no shape."""
    rest = characters - structured if characters > structured else 0
    if shape is None or not seen:
        tokens = rest * (row.short + (row.prose - row.short) * share)
    else:
        tokens = found = estimate(row, shape)
        if rest > seen:  # a few characters say nothing of the many that were not seen
            tokens += (rest - seen) * (found / seen if seen >= PROSE else row.prose)
    if structured:
        tokens += structured * row.code_per_character * row.english_scale
    return max(1, round(tokens)) + extra


def same_content(tokenizer: str, tag: str, script: str = "") -> float:
    """Tokens of an answer for each token that its English version has on Llama 3's tokenizer.

    Without parallel text (Northern Sami) the ratio of tokens per character stands in: content of equal length.
    """
    row = fertility(tokenizer, tag, script)
    if row.same_content is not None:
        return row.same_content
    return row.prose / table()["llama3"]["en"].prose
