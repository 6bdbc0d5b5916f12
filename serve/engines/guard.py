"""What stands between HAProxy and vLLM's server: a dead engine is 503, and a client that left is seen by vLLM."""

from __future__ import annotations

import asyncio
from typing import Protocol

from serve.engines.asgi import App, Message, Receive, Scope, Send, unavailable

# How long a handler may take to abort its engine request after its client has left.
ABORT_GRACE_S = 5.0

DEAD = "the engine of this replica has died and is being restarted"


class Engine(Protocol):
    """The part of vLLM's AsyncLLM that is asked."""

    @property
    def errored(self) -> bool:
        """Whether the engine is beyond repair."""


class Guard:
    """ASGI middleware around vLLM's server.

    1. With a dead engine vLLM answers 500, or an `error` event after a 200. A request that has no byte out yet gets
       503 instead, which HAProxy replays on another replica (RAY_SERVE_HAPROXY_RETRY_ON). To know that no byte is
       out, `http.response.start` is held back until the first body bytes come.
    2. Ray Serve cancels the handler when a client leaves. Cancelled, vLLM's `with_cancellation` orphans a request
       that does not stream, and the engine runs it to its end. So the handler is shielded and sees `http.disconnect`
       itself, upon which it aborts.
    """

    def __init__(self, app: App, engine: Engine) -> None:
        self.app = app
        self.engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.engine.errored:
            await unavailable(send, DEAD)
            return
        response = _Response(send, self.engine)
        handler = asyncio.ensure_future(self.app(scope, receive, response.send))
        try:
            await asyncio.shield(handler)
        except asyncio.CancelledError:
            await asyncio.wait({handler}, timeout=ABORT_GRACE_S)
            handler.cancel()
            raise
        except Exception:
            if not (self.engine.errored and await response.refuse()):
                raise


class _Response:
    """One answer, held back until its first bytes show what it is."""

    def __init__(self, send: Send, engine: Engine) -> None:
        self._send = send
        self._engine = engine
        self._start: Message | None = None
        self._started = False
        self._refused = False

    async def send(self, message: Message) -> None:
        if self._refused:
            return
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._start is not None:
            if self._engine.errored and _is_failure(self._start, message):
                await self.refuse()
                return
            start, self._start, self._started = self._start, None, True
            await self._send(start)
        await self._send(message)

    async def refuse(self) -> bool:
        """503 instead of the answer. False, and nothing is sent, when bytes are out already."""
        if self._started:
            return False
        if not self._refused:
            self._refused = True
            await unavailable(self._send, DEAD)
        return True


def _is_failure(start: Message, body: Message) -> bool:
    return bool(start["status"] >= 500 or body.get("body", b"").startswith((b'data: {"error"', b"event: error")))
