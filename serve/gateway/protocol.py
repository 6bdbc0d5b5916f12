"""uvicorn's HTTP protocol with what it lacks: header limits and deadlines, a write time-out, and news of a lost client.

uvicorn 0.54 with httptools holds an incomplete header open for ever and answers bad HTTP in plain text. The ASGI
`receive()` tells of a disconnect only to a task that waits for it, and one more task a request is what this saves:
the connection calls `on_lost` instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from serve.errors import BadRequest, ParlanceError, TooSlow
from serve.fleet.gateway import Limits, Timeouts
from serve.gateway.wire import error_body, error_object

SCOPE_KEY = "parlance.connection"


class HeadersTooLarge(ParlanceError):
    """Request line and headers over the limit."""

    status = 431
    type = "invalid_request_error"
    code = "headers_too_large"


class GatewayProtocol(HttpToolsProtocol):
    """One client connection. `limits`, `timeouts` and `told` are set on a subclass by `protocol_class`."""

    limits: Limits
    timeouts: Timeouts
    told: Callable[[ParlanceError], None]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.on_lost: Callable[[], None] | None = None
        self.too_slow = False  # the client took nothing of its answer for `write_s`
        self._in_headers = True  # a fresh connection owes us a request
        self._header_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock for the first header."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the request that is being served, so that its engine's work is aborted at once."""
        self._disarm()
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to headers before the parser sees it."""
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > self.limits.header_bytes and not self._ends_within(data):
                return self._refuse(HeadersTooLarge(f"the headers exceed {self.limits.header_bytes} bytes"))
        super().data_received(data)
        if self.parser is not None and self._in_headers and self._header_timer is None and self._header_bytes:
            self._arm()
        return None

    def _ends_within(self, data: bytes) -> bool:
        """Whether the header section ends inside the limit although more (the body) came with it."""
        end = data.find(b"\r\n\r\n")
        return end >= 0 and self._header_bytes - len(data) + end <= self.limits.header_bytes

    def on_message_begin(self) -> None:
        """A request starts: from here its headers are counted and timed."""
        super().on_message_begin()
        self.scope[SCOPE_KEY] = self  # type: ignore[literal-required]
        self._in_headers = True

    def on_headers_complete(self) -> None:
        """The headers are whole: the body has its own limits, kept by the application."""
        self._in_headers = False
        self._header_bytes = 0
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next byte belongs to the headers of the next request."""
        super().on_message_complete()
        self._in_headers = True

    def send_400_response(self, msg: str) -> None:
        """Bad HTTP gets an OpenAI error too, and the connection is closed: what follows cannot be trusted."""
        self._refuse(BadRequest(msg, code="invalid_http"))

    def pause_writing(self) -> None:
        """The client reads slower than the engine writes: it has `write_s` to take something."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.timeouts.write_s, self._give_up)

    def _give_up(self) -> None:
        self.too_slow = True
        self.transport.abort()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _arm(self) -> None:
        self._header_timer = self.loop.call_later(self.limits.header_timeout_s, self._late)

    def _disarm(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _late(self) -> None:
        self._header_timer = None
        if self._header_bytes:
            self._refuse(TooSlow(f"the headers took longer than {self.limits.header_timeout_s:g} s"))
        elif not self.transport.is_closing():
            self.transport.close()  # never said anything

    def _refuse(self, error: ParlanceError) -> None:
        self._disarm()
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:  # else bytes would mix
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True  # the application's own answer would come second
                cycle.message_event.set()
            body = error_body(error.status, error_object(error), None, "")
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[error.status] + head + body)
            type(self).told(error)
        self.transport.close()


def protocol_class(limits: Limits, timeouts: Timeouts, told: Callable[[ParlanceError], None]) -> type[GatewayProtocol]:
    """The protocol with these limits, as uvicorn's `http=` takes it. `told` hears of errors that it answers itself."""
    fields = {"limits": limits, "timeouts": timeouts, "told": staticmethod(told)}
    return type("BoundGatewayProtocol", (GatewayProtocol,), fields)


__all__ = ["SCOPE_KEY", "GatewayProtocol", "HeadersTooLarge", "protocol_class"]
