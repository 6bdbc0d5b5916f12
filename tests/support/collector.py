"""An OpenTelemetry collector's OTLP/HTTP receiver: a real server that reads the protobuf, and can be slow or refuse."""

from __future__ import annotations

import gzip
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire


@dataclass
class Span:
    """One span as it came over the wire; ids in hex."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: dict[str, int]
    links: list[tuple[str, str]]
    failed: bool
    state: str
    resource: dict[str, Any]


@dataclass
class Collector:
    """Listens on a port of its own until `stop`. `delay_s` is how long it takes, `status` what it answers."""

    spans: list[Span] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    delay_s: float = 0
    status: int = 200

    def __post_init__(self) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                time.sleep(collector.delay_s)
                collector.paths.append(self.path)
                collector.headers.append({k.lower(): v for k, v in self.headers.items()})
                if collector.status == 200:
                    collector.spans += read(body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(collector.status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def trace(self, decision_id: str, wait_s: float = 10) -> list[Span]:
        """The spans of the request with this decision id, once its whole trace is there: they are sent together, but
        perhaps in two batches."""
        deadline = time.monotonic() + wait_s
        seen = -1
        while time.monotonic() < deadline:
            root = next((s for s in self.spans if s.attributes.get("parlance.decision_id") == decision_id), None)
            if root is not None:
                found = [s for s in self.spans if s.trace_id == root.trace_id]
                if len(found) == seen:
                    return [root, *(s for s in sorted(found, key=lambda s: s.start_ns) if s is not root)]
                seen = len(found)
            time.sleep(0.2)
        raise AssertionError(f"no trace of {decision_id} within {wait_s} s, {len(self.spans)} spans of others")


def read(body: bytes) -> list[Span]:
    """The spans of an export request."""
    request = ExportTraceServiceRequest.FromString(body)
    spans = []
    for group in request.resource_spans:
        resource = {a.key: _value(a.value) for a in group.resource.attributes}
        spans += [_span(s, resource) for scope in group.scope_spans for s in scope.spans]
    return spans


def _span(s: Wire, resource: dict[str, Any]) -> Span:
    return Span(
        s.name,
        Wire.SpanKind.Name(s.kind).removeprefix("SPAN_KIND_"),
        s.trace_id.hex(),
        s.span_id.hex(),
        s.parent_span_id.hex(),
        s.start_time_unix_nano,
        s.end_time_unix_nano,
        {a.key: _value(a.value) for a in s.attributes},
        {e.name: e.time_unix_nano for e in s.events},
        [(link.trace_id.hex(), link.span_id.hex()) for link in s.links],
        s.status.code == 2,
        s.trace_state,
        resource,
    )


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(v) for v in value.array_value.values]
    return getattr(value, kind)
