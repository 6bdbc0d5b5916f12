"""When a request's steps were done: what its histograms and its trace are made from once it is over."""

from __future__ import annotations

import msgspec


class Attempt(msgspec.Struct, gc=False):
    """One model that was asked. `error` is the code of what went wrong; empty: it answered."""

    model: str
    began: float
    sent: float = 0.0  # the request is on a connection to the engine
    heard: float = 0.0  # the first bytes of an answer's body came
    ended: float = 0.0
    error: str = ""
    span_id: int = 0  # of its span, where the request is traced: the engine was told it


class Moments(msgspec.Struct, gc=False):
    """Seconds of `time.perf_counter`; 0: it did not come so far. `first` and `ended` are as the client sees them."""

    arrived: float  # its headers were read
    read: float = 0.0  # its body was whole: what lies before is the client's time
    decided: float = 0.0
    first: float = 0.0  # the first byte of a streamed answer was handed to the client's connection
    ended: float = 0.0
    attempts: list[Attempt] = []
    replied: float = 0.0  # as `first`, of any answer: streamed or whole
    held: float = 0.0  # seconds, not a moment: waiting for a replica to start

    @property
    def answered(self) -> Attempt | None:
        """The attempt whose answer the client has, or the last one."""
        return self.attempts[-1] if self.attempts else None
