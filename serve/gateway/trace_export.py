"""Spans to a collector by OpenTelemetry's own SDK: its batches, its retries, its environment variables.

The one module that imports OpenTelemetry; it is imported where traces are configured.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.span import TraceState

from serve.errors import LocalError
from serve.gateway.trace_context import TraceContext, new_span_id
from serve.gateway.trace_spans import Kind, SpanRecord

BATCH_SPANS = 64
# Encoding a batch is some 4 ms of Python in another thread. The loop, which asks for the interpreter's lock meanwhile,
# gets it after this instead of Python's 5 ms.
SWITCH_S = 0.0005
DELAY_MS = 1000
QUIET_S = 60.0
_KINDS = {Kind.SERVER: SpanKind.SERVER, Kind.CLIENT: SpanKind.CLIENT, Kind.INTERNAL: SpanKind.INTERNAL}


class _Ids(IdGenerator):
    """Gives spans the ids that engines were told while the request ran."""

    def __init__(self) -> None:
        self.trace_id = 0
        self.span_id = 0

    def generate_trace_id(self) -> int:
        """The id of the request's trace."""
        return self.trace_id

    def generate_span_id(self) -> int:
        """The id that was given out, or a new one."""
        return self.span_id or new_span_id()

    def is_trace_id_random(self) -> bool:
        """Those that begin here are."""
        return True


class _Seldom(logging.Filter):
    """Lets each message of the exporter through once in `QUIET_S`: a collector that is down is told of, and not with
    every batch."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is time to say this again."""
        said = (record.pathname, record.lineno)
        if record.created - self._said.get(said, 0.0) < QUIET_S:
            return False
        self._said[said] = record.created
        return True


class _Counted(SpanExporter):
    """An exporter that counts what it was given and what the collector did not take."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.taken = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Passes a batch on. Called in the SDK's thread; blocks for as long as the collector takes."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self.taken += len(spans)
            if result is not SpanExportResult.SUCCESS:
                self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        """Ends waiting for a collector that is not there."""
        self._exporter.shutdown()


class Export:
    """Makes spans and hands them to the SDK's batches. `lost` counts those that no collector has got."""

    def __init__(self, endpoint: str | None, queue_spans: int) -> None:
        """`endpoint` None: what OTEL_EXPORTER_OTLP_*ENDPOINT says. The SDK's thread starts with it.

        Raises LocalError when the environment asks for what this exporter does not speak.
        """
        _check(endpoint)
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_Seldom())
        sys.setswitchinterval(SWITCH_S)
        self._exporter = _Counted(OTLPSpanExporter(endpoint=endpoint))
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=queue_spans,
            max_export_batch_size=min(BATCH_SPANS, queue_spans),
            schedule_delay_millis=None if "OTEL_BSP_SCHEDULE_DELAY" in os.environ else DELAY_MS,
        )
        self._ids = _Ids()
        provider = TracerProvider(
            sampler=ALWAYS_ON,  # what comes here has been sampled
            resource=_resource(),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._processor)
        self._provider = provider
        self._tracer = provider.get_tracer("parlance.gateway", version("parlance"))
        self._queue_spans = queue_spans
        self._given = 0
        self._refused = 0

    @property
    def lost(self) -> int:
        """Spans that were not made because too many wait, and those that a collector did not take."""
        return self._refused + self._exporter.failed

    def add(self, context: TraceContext, records: Sequence[SpanRecord]) -> None:
        """One request's spans, the request's own first. Where too many wait already they are counted and left out:
        the SDK's queue would drop others for them."""
        if self._given - self._exporter.taken + len(records) > self._queue_spans:
            self._refused += len(records)
            return
        made: list[Span] = []
        contexts: list[Context] = []
        self._ids.trace_id = context.trace_id
        links: list[Link] = []
        outside = Context()
        parent = context.parent
        if parent is not None:
            state = TraceState.from_header([context.state.decode()]) if context.state else None
            theirs = SpanContext(parent.trace_id, parent.span_id, True, TraceFlags(parent.flags), state)
            if context.linked:
                links = [Link(theirs)]
            else:
                outside = set_span_in_context(NonRecordingSpan(theirs), outside)
        for record in records:
            self._ids.span_id = record.span_id
            span = self._tracer.start_span(
                record.name,
                context=outside if record.parent is None else contexts[record.parent],
                kind=_KINDS[record.kind],
                attributes=record.attributes,
                links=links if record.parent is None else None,
                start_time=record.start_ns,
            )
            for event in record.events:
                span.add_event(event.name, timestamp=event.at_ns)
            if record.failed:
                span.set_status(Status(StatusCode.ERROR))
            made.append(span)
            contexts.append(set_span_in_context(span, outside))
        for span, record in zip(reversed(made), reversed(records), strict=True):
            span.end(record.end_ns)
        self._given += len(records)

    def close(self, ended: Callable[[], None]) -> None:
        """Sends what waits, in a thread that calls `ended`. Afterwards nothing is taken any more.

        A collector that does not answer holds the thread for its time-out (OTEL_EXPORTER_OTLP_TIMEOUT, 10 s), which
        the process need not wait for.
        """

        def shut_down() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
                ended()

        threading.Thread(target=shut_down, name="traces close", daemon=True).start()


def _resource() -> Resource:
    """Who we are: what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say counts above what we say ourselves. The SDK
    adds a `service.instance.id`, which tells workers apart."""
    own = Resource({SERVICE_NAME: "parlance-gateway", SERVICE_VERSION: version("parlance")})
    return Resource.create().merge(own).merge(OTELResourceDetector().detect())


def _check(endpoint: str | None) -> None:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = os.environ.get(name)
        if endpoint is None and protocol and protocol != "http/protobuf":
            raise LocalError(f"{name} is {protocol}: the gateway speaks http/protobuf only (port 4318 of a collector)")
