"""Load that the autoscaler's plan moves from one model to another: applied to a choice after all of routing's rules.

The plan says "in this language, this share of what would go to A goes to B". Which conversations these are follows from
a number of the conversation's own, so that each keeps its model from turn to turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b

from serve.routing.policy import CHEAPEST, SHIFTED, Choice
from serve.routing.records import Shift

Shifts = Mapping[str, Sequence[Shift]]  # by the prompt's language (BCP-47)
NO_SHIFTS: Shifts = {}

# Characters of a conversation's first turn that tell it from others.
CONVERSATION_CHARACTERS = 4000
# Shares of one model that add up to 1 but for rounding are all of it.
ROUNDING = 1e-9


def uniform_of(tenant: str, conversation: str) -> float:
    """A number in [0, 1) that a conversation always has, in every process: even over conversations."""
    text = f"{tenant}\0{conversation[:CONVERSATION_CHARACTERS]}"
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) * 2.0**-53


def shifted(choice: Choice, shifts: Sequence[Shift], uniform: float) -> Choice:
    """The choice with the model first that the plan gives this conversation; the same choice where it gives none.

    `shifts` are those of the prompt's language. Only what goes to the cheapest of several models can be moved, and only
    to another of these: what is not among them was rejected for this very request.
    """
    if choice.code != CHEAPEST:
        return choice
    first = choice.ranking[0]
    found = taker([shift for shift in shifts if shift.source == first], uniform)
    if found is None or found.to not in choice.ranking:
        return choice
    others = (model for model in choice.ranking if model != found.to)
    return replace(choice, ranking=(found.to, *others), code=SHIFTED, shift=found)


def taker(shifts: Sequence[Shift], uniform: float) -> Shift | None:
    """Which of the shifts away from one model takes a conversation with this number; None: it stays.

    In the order of their targets' ids the first one takes the numbers from 0 up, the others those from 1 down:
    whichever of two grows, no conversation leaves the other one.
    """
    if not shifts:
        return None
    first, *others = sorted(shifts, key=lambda shift: shift.to)
    if uniform < first.share:
        return first
    edge = 1.0
    for shift in others:
        edge -= shift.share
        if uniform >= edge - ROUNDING:
            return shift
    return None
