"""Traces of requests: off unless configured, and never on a request's path but for a few random bits.

While a request runs, only ids are made, for the engine is told them. Its spans are made when it is over, between other
work of the loop, and sent by a thread. OpenTelemetry is imported when an endpoint is known, and not before.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from serve.fleet.traces import Traces as Settings
from serve.gateway.record import Finished
from serve.gateway.trace_context import Sampling, TraceContext
from serve.gateway.trace_spans import Target, spans_of

if TYPE_CHECKING:
    from serve.gateway.trace_export import Export

PATIENCE = 50  # requests that may wait for their spans before two are seen to in a turn
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def configured(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Whether requests are traced: an endpoint is known, and the environment does not say no."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none":
        return False
    return settings.endpoint is not None or any(environ.get(name) for name in _ENDPOINTS)


class Tracing:
    """The traces of one gateway worker. `targets` say where each model answers, by its id."""

    def __init__(self, settings: Settings, targets: Mapping[str, Target]) -> None:
        """Raises LocalError when the environment's OTEL_* variables ask for what cannot be done."""
        from serve.gateway.trace_export import Export

        self._loop = asyncio.get_running_loop()
        self._sampling = Sampling(settings)
        self._targets = targets
        self._export: Export = Export(settings.endpoint, settings.queue_spans)
        self._waiting: deque[tuple[Finished, TraceContext]] = deque()
        self._working = False

    def begin(self, headers: Iterable[tuple[bytes, bytes]], now: float) -> TraceContext:
        """The place in a trace of a request with these headers that came at `now`, seconds of `perf_counter`."""
        return self._sampling.begin(headers, now)

    def add(self, done: Finished) -> None:
        """A request is over, and its account complete."""
        context = done.trace
        if context is None or not context.sampled:
            return
        self._waiting.append((done, context))
        if not self._working:
            self._working = True
            self._loop.call_soon(self._step)

    def _step(self) -> None:
        """One request's spans, then the loop's other work: a batch of them would hold up streams. The more wait, the
        more at once, so that they never become many."""
        for _ in range(1 + len(self._waiting) // PATIENCE):
            self._one()
        if self._waiting:
            self._loop.call_soon(self._step)
        else:
            self._working = False

    def _one(self) -> None:
        if self._waiting:
            done, context = self._waiting.popleft()
            self._export.add(context, spans_of(done, context, self._targets))

    @property
    def lost(self) -> int:
        """Spans that were made for nothing, or not made at all, since no collector took them."""
        return self._export.lost

    async def stop(self, limit_s: float) -> None:
        """Sends what waits, for at most so long."""
        while self._waiting:
            self._one()
        ended = asyncio.Event()

        def tell() -> None:
            self._loop.call_soon_threadsafe(ended.set)

        self._export.close(tell)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), limit_s)


def tracing(settings: Settings, targets: Mapping[str, Target]) -> Tracing | None:
    """The worker's traces; None: they are off, and cost nothing. Raises LocalError like `Tracing`."""
    return Tracing(settings, targets) if configured(settings, os.environ) else None
