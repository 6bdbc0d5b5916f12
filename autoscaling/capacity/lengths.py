"""How the lengths of single requests scatter around their mean, and what of them a batch holds at a time."""

from __future__ import annotations

# Coefficients of variation of prompt and output tokens in the Azure conversation trace of 2023.
PROMPT_CV = 0.96
OUTPUT_CV = 0.77

# A token belongs to a longer prompt than the mean one, and a sequence that is found in a batch has a longer answer:
# each is found in proportion to its length (the inspection paradox).
OF_TOKENS = 1 + PROMPT_CV**2
IN_BATCH = 1 + OUTPUT_CV**2


def context(prompt: float, output: float) -> float:
    """Mean tokens of the sequences in a batch, for mean lengths of what is asked."""
    return prompt + output / 2 * IN_BATCH
