"""How the lengths of single requests scatter around their mean, and what of them a batch holds at a time."""

from __future__ import annotations

from math import sqrt

# Coefficients of variation of prompt and output tokens in the Azure conversation trace of 2023.
PROMPT_CV = 0.96
OUTPUT_CV = 0.77

# A token belongs to a longer prompt than the mean one, and a sequence that is found in a batch has a longer answer:
# each is found in proportion to its length (the inspection paradox).
OF_TOKENS = 1 + PROMPT_CV**2
IN_BATCH = 1 + OUTPUT_CV**2

# Requests' ITLs scatter by no more than this, however long the prompts between their tokens are.
MOST_SPREAD = 0.35


def context(prompt: float, output: float) -> float:
    """Mean tokens of the sequences in a batch, for mean lengths of what is asked."""
    return prompt + output / 2 * IN_BATCH


def itl_spread(busy: float, longer_s: float, output: float, itl_s: float) -> float:
    """Standard deviation of the logarithm of single requests' mean ITL, where the share `busy` of steps reads prompts
    and takes `longer_s` longer than the others.

    A request's ITL is a mean over its steps, which come in runs: of half as many independent ones as it has tokens.
    """
    variance = max(busy * longer_s**2 * (OF_TOKENS - busy), 0.0) * 2 / output
    return min(sqrt(variance) / itl_s, MOST_SPREAD)
