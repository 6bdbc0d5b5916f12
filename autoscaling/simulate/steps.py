"""A roofline's step times, tabulated: millions of steps differ in the tokens they compute and the context they read."""

from __future__ import annotations

from autoscaling.capacity.roofline import Roofline

# Long beside what is subtracted from it, so that nothing is lost to rounding.
_LONG = 1e9


class Steps:
    """What `Roofline.step_s` says, for whole sequences. Not for several threads.

    A step's time is a function of the tokens of its batch, plus a time for each token of context that is read, plus one
    for each token of a prompt times the length of it.
    """

    def __init__(self, roof: Roofline) -> None:
        self.roof = roof
        self.gather_s = (roof.step_s(1, _LONG) - roof.step_s(1, 0)) / _LONG
        """Seconds for a token of context that a decoding sequence attends to."""
        self.attend_s = (roof.step_s(0, 0, 1, _LONG) - roof.step_s(0, 0, 1, 0)) / _LONG
        """Seconds for a token that is read times the length of its prompt."""
        self._batches: dict[int, float] = {}

    def batch_s(self, tokens: int) -> float:
        """Seconds of a step with so many tokens, without what attention takes."""
        found = self._batches.get(tokens)
        if found is None:
            found = self._batches[tokens] = self.roof.step_s(tokens, 0)
        return found

    def step_s(self, decoding: float, context: float, read: float, pairs: float) -> float:
        """Seconds of a step: `context` is the sum over all that decode, `pairs` that of tokens read times prompts.

        Tokens are rounded to whole ones.
        """
        return self.batch_s(round(decoding + read)) + self.gather_s * context + self.attend_s * pairs
