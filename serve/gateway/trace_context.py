"""The trace that a request belongs to: W3C Trace Context in and out, and whether spans of it are kept.

https://www.w3.org/TR/trace-context-2/. Nothing here imports OpenTelemetry: this runs on a request's path.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence

import msgspec

from serve.fleet.traces import Traces

SAMPLED = 0x01
RANDOM = 0x02  # the trace id's last seven bytes are random: samplers further down may rest on it

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MEMBER = re.compile(
    rb"([a-z0-9][a-z0-9_\-*/@]{0,255})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])"
)
_MAX_MEMBERS = 32
_MAX_STATE = 512  # bytes; the least that the standard asks to pass on


class Parent(msgspec.Struct, frozen=True, gc=False):
    """A caller's span: what a valid `traceparent` says."""

    trace_id: int
    span_id: int
    flags: int


class TraceContext(msgspec.Struct, gc=False):
    """One request's place in a trace. `span_id` is that of our server span; `parent` the caller's span, of this trace
    or, where `linked`, of another; `state` the caller's `tracestate`, to be passed on as it came."""

    trace_id: int
    span_id: int
    flags: int
    parent: Parent | None = None
    linked: bool = False
    state: bytes = b""

    @property
    def sampled(self) -> bool:
        """Whether its spans are kept."""
        return bool(self.flags & SAMPLED)

    @property
    def hex_id(self) -> str:
        """The trace's id as logs and exemplars write it."""
        return f"{self.trace_id:032x}"

    def header_lines(self, span_id: int, own_engine: bool) -> bytes:
        """What an engine is told: its work hangs below the span with this id. What callers keep in `tracestate` goes to
        engines of ours only, and not to an endpoint that others run."""
        lines = b"traceparent: 00-%032x-%016x-%02x\r\n" % (self.trace_id, span_id, self.flags)
        return lines + b"tracestate: %s\r\n" % self.state if self.state and own_engine else lines


def new_span_id() -> int:
    """64 random bits, not all zero."""
    return random.getrandbits(64) or 1


def parse_traceparent(value: bytes) -> Parent | None:
    """The caller's span; None where the header is not valid. Of a later version what this one knows is read."""
    match = _PARENT.fullmatch(value)
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    trace_id, span_id = int(trace, 16), int(span, 16)
    if not trace_id or not span_id:
        return None
    return Parent(trace_id, span_id, int(flags, 16) & (SAMPLED | RANDOM))


def parse_tracestate(values: Sequence[bytes]) -> bytes:
    """One header from all of them, in their order; empty where any of it is not valid, or all of it too much."""
    members: list[bytes] = []
    keys: set[bytes] = set()
    for value in values:
        for part in value.split(b","):
            member = part.strip(b" \t")
            if not member:
                continue
            match = _MEMBER.fullmatch(member)
            if match is None or match[1] in keys:
                return b""
            keys.add(match[1])
            members.append(member)
    state = b",".join(members)
    return state if len(members) <= _MAX_MEMBERS and len(state) <= _MAX_STATE else b""


class Sampling:
    """Gives every request its place in a trace, and decides at its start whether spans of it are kept.

    Parent-based, as OpenTelemetry means it: a caller's decision holds; without one, the trace id decides by
    OpenTelemetry's TraceIdRatioBased, so that whoever asks the same question of this id comes to the same answer.
    """

    def __init__(self, settings: Traces) -> None:
        self._bound = round(settings.sample_ratio * 2**64)
        self._trust = settings.trust_callers
        self._rate = settings.requests_per_s
        self._most = max(1.0, settings.requests_per_s)  # a second's worth may come at once
        self._left = self._most
        self._at = 0.0

    def begin(self, headers: Iterable[tuple[bytes, bytes]], now: float) -> TraceContext:
        """A request with these headers (names in lower case) came at `now`, seconds of a clock that never steps."""
        parents: list[bytes] = []
        states: list[bytes] = []
        for name, value in headers:
            if name == b"traceparent":
                parents.append(value)
            elif name == b"tracestate":
                states.append(value)
        parent = parse_traceparent(parents[0]) if len(parents) == 1 else None
        if parent is None or not self._trust:
            trace_id = random.getrandbits(128) or 1
            sampled = trace_id & 0xFFFF_FFFF_FFFF_FFFF < self._bound
            context = TraceContext(trace_id, new_span_id(), RANDOM, parent, linked=parent is not None)
        else:
            sampled = bool(parent.flags & SAMPLED)
            context = TraceContext(
                parent.trace_id, new_span_id(), parent.flags & RANDOM, parent, state=parse_tracestate(states)
            )
        if sampled and self._take(now):
            context.flags |= SAMPLED
        return context

    def _take(self, now: float) -> bool:
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
