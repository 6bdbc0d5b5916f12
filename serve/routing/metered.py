"""What a token costs on GPUs of one's own: the price of their hours over the tokens that they served.

    average  = GPU-hours of all replicas x USD per GPU-hour / tokens served
    marginal = the same with only the hours in which a replica had work

over a sliding window. The hours come from samples of (replicas, busy replicas); this gateway counts a replica as busy
for each of its own requests in flight, up to their number. With several gateways each sees its own share of tokens and
of work, so that `average` is too high by their number: samples and tokens may be fed from Prometheus instead, where the
sums of all of them are.

Tokens are weighed as the list prices weigh them: an output token as output / input price, a cached one as cached /
input. So the measured price of each kind of token keeps the list's proportions.
"""

from __future__ import annotations

from collections import deque
from math import isfinite

import msgspec

from serve.routing.records import MeasuredPrice

WINDOW_S = 6 * 3600.0
SLOT_S = 60.0
# A price from fewer tokens than this is an accident; the list price stands until then.
LEAST_TOKENS = 10_000.0
# A sample speaks for the time since the one before it, and for no longer than this: nobody watched in between.
LONGEST_SAMPLE_S = 60.0


class Slot(msgspec.Struct):
    """A minute of the window. `tokens` are in input tokens; times are replica-seconds."""

    at: float
    tokens: float = 0.0
    up_s: float = 0.0
    busy_s: float = 0.0


class Meter:
    """One model's meter. Times are seconds of one clock that survives restarts."""

    def __init__(self, usd_per_replica_hour: float, output_weight: float, cached_weight: float) -> None:
        """The weights are what an output and a cached input token cost of an input token."""
        self._usd_per_s = usd_per_replica_hour / 3600
        self._output_weight = output_weight
        self._cached_weight = cached_weight
        self._slots: deque[Slot] = deque()
        self._sampled: float | None = None

    def served(self, prompt_tokens: int, cached_tokens: int, completion_tokens: int, now: float) -> None:
        """An answer was given; cached tokens are part of the prompt's."""
        cached = min(max(cached_tokens, 0), max(prompt_tokens, 0))
        tokens = max(prompt_tokens, 0) - cached + cached * self._cached_weight
        self._slot(now).tokens += tokens + max(completion_tokens, 0) * self._output_weight

    def sample(self, replicas: float, busy: float, now: float) -> None:
        """So many replicas were up since the sample before, and so many of them had work."""
        if self._sampled is not None and now > self._sampled:
            elapsed = min(now - self._sampled, LONGEST_SAMPLE_S)
            slot = self._slot(now)
            slot.up_s += elapsed * max(replicas, 0.0)
            slot.busy_s += elapsed * min(max(busy, 0.0), max(replicas, 0.0))
        self._sampled = now

    def price(self, now: float) -> MeasuredPrice | None:
        """USD per token over the window; None where too little was served, or nothing was up."""
        self._forget(now)
        tokens = sum(slot.tokens for slot in self._slots)
        up_s, busy_s = sum(slot.up_s for slot in self._slots), sum(slot.busy_s for slot in self._slots)
        if tokens < LEAST_TOKENS or up_s <= 0 or self._usd_per_s <= 0:
            return None
        average, marginal = up_s * self._usd_per_s / tokens, busy_s * self._usd_per_s / tokens
        return MeasuredPrice(
            marginal_input_usd=marginal,
            marginal_output_usd=marginal * self._output_weight,
            average_input_usd=average,
            average_output_usd=average * self._output_weight,
        )

    def state(self) -> list[Slot]:
        """The window, to be kept on disk."""
        return list(self._slots)

    def restore(self, state: list[Slot], now: float) -> None:
        """Takes up what was kept of the window; slots that cannot be are left out."""
        for slot in sorted(state, key=lambda slot: slot.at):
            figures = (slot.at, slot.tokens, slot.up_s, slot.busy_s)
            if all(map(isfinite, figures)) and min(figures) >= 0 and slot.busy_s <= slot.up_s and slot.at <= now:
                self._slots.append(slot)
        self._forget(now)

    def _slot(self, now: float) -> Slot:
        if not self._slots or now - self._slots[-1].at >= SLOT_S:
            self._slots.append(Slot(now))
            self._forget(now)
        return self._slots[-1]

    def _forget(self, now: float) -> None:
        while self._slots and now - self._slots[0].at > WINDOW_S:
            self._slots.popleft()
