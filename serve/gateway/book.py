"""Accounts for finished requests a few times a second: metrics and log lines, many at once, off the request's path."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import time

from serve.gateway.console.recent import Recent
from serve.gateway.decision_log import DecisionFile
from serve.gateway.instruments import Instruments
from serve.gateway.instruments.tally import Tally
from serve.gateway.journal import Journal
from serve.gateway.learning import Learning
from serve.gateway.record import Finished, entry, record_of
from serve.gateway.reply_check import ReplyCheck
from serve.gateway.traces import Tracing

FLUSH_S = 0.2
MAX_PENDING = 2_000  # more in one interval are accounted for at once, so that none is held long


class Book:
    """Finished requests that metrics and log have not seen yet.

    A request is answered first and accounted for later, together with the others of the interval.
    """

    def __init__(
        self,
        instruments: Instruments,
        tally: Tally,
        journal: Journal,
        decisions: DecisionFile | None = None,
        replies: ReplyCheck | None = None,
        learning: Learning | None = None,
        recent: Recent | None = None,
        traces: Tracing | None = None,
    ) -> None:
        self._instruments = instruments
        self._tally = tally
        self._replies = replies
        self._learning = learning
        self._decisions = decisions
        self._recent = recent
        self._traces = traces
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._pending: list[Finished] = []
        self._timer: asyncio.TimerHandle | None = None
        self._held = 0

    def add(self, done: Finished) -> None:
        """A request is over."""
        self._pending.append(done)
        if self._replies is not None:  # one at a time, between other work: a batch of them would hold up the loop
            self._loop.call_soon(self._replies.settle, done)
        if len(self._pending) >= MAX_PENDING:
            self._account()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_S, self.flush)

    @contextmanager
    def still(self) -> Iterator[None]:
        """Accounts for all that are over, and for no other request as long as this lasts: metrics that are shown a
        slice at a time then agree with each other."""
        self._account()
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def flush(self) -> None:
        """Accounts for all that are over; called at intervals, and at the end."""
        if self._held:
            self._timer = self._loop.call_later(FLUSH_S, self.flush)
        else:
            self._account()

    def _account(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending = self._pending, []
        decisions, replies = self._decisions, self._replies
        for done in pending:
            if replies is not None:
                replies.settle(done)
            self._tally.count(done)
            if self._learning is not None:
                self._learning.observe(done)
            record = record_of(done)
            self._journal.write(record)
            if self._recent is not None:
                self._recent.add(record)
            if decisions is not None and (line := entry(done, decisions.texts)) is not None:
                decisions.add(line)
            if self._traces is not None:
                self._traces.add(done)
        if replies is not None:
            replies.apply(time())
        self._journal.flush()
        self._instruments.lost("journal", self._journal.dropped)
        if decisions is not None:
            decisions.flush()
            self._instruments.lost("decisions", decisions.dropped)
        if self._traces is not None:
            self._instruments.lost("traces", self._traces.lost)
