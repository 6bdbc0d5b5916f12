"""A small HTTP/1.1 client over asyncio transports: pooled connections, bytes as they came, bounded buffers.

Why not a library: httpx and aiohttp cost 2 to 28 times the CPU of this per streamed chunk (docs/performance.md).
It does what a gateway needs and no more: no redirects, no cookies, no decompression, no proxies.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

from serve.errors import Unavailable, UpstreamFailed
from serve.gateway.exchange import ConnectionLost, Exchange

MAX_HEADER_BYTES = 64 * 1024
IDLE_CONNECTION_S = 55.0  # under the 60 s of Ray's HAProxy and of uvicorn behind most balancers


class Origin(NamedTuple):
    """Where an engine answers. `prefix` is the path before /v1."""

    host: str
    port: int
    tls: bool
    prefix: str

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of a base URL, as the fleet description has checked it."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        assert parts.hostname is not None
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, parts.path.rstrip("/"))

    @property
    def host_header(self) -> bytes:
        """The value of Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}").encode()


class Connection(asyncio.Protocol):
    """One connection to an engine, used for one exchange at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._keep_alive = False
        self._header_bytes = 0
        self.paused = False
        self.idle_since = 0.0

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Parses; the callbacks below feed the exchange, which is woken once for all of it."""
        exchange = self._exchange
        if exchange is None:  # an engine that talks out of turn
            self.abort()
            return
        exchange.last = self._pool.loop.time()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            exchange.fail(UpstreamFailed(f"the engine's answer is not HTTP: {error}"))
            return
        if exchange.complete:
            self._finish(exchange)
        exchange.wake()

    def eof_received(self) -> bool:
        """An answer without length ends with the connection."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Fails the exchange, unless the end of the connection is the end of its answer."""
        self._pool.forget(self)
        exchange, self._exchange = self._exchange, None
        if exchange is None or exchange.complete or exchange.error is not None:
            return
        if exchange.status and not exchange.framed:  # HTTP/1.0: the end of the connection is the end of the answer
            exchange.complete = True
        else:
            exchange.error = ConnectionLost("the engine closed the connection before its answer was whole")
        exchange.wake()

    # httptools
    def on_header(self, name: bytes, value: bytes) -> None:
        """Collects a header."""
        exchange = self._exchange
        assert exchange is not None
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise httptools.HttpParserCallbackError("headers too large")
        name = name.lower()
        if name == b"content-type":
            exchange.content_type = value.lower()
        elif name in (b"content-length", b"transfer-encoding"):
            exchange.framed = True
        exchange.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The answer has started, unless it is an interim one (1xx)."""
        exchange = self._exchange
        assert exchange is not None
        status = self._parser.get_status_code()
        if status >= 200:
            exchange.status = status
            if status >= 400 or not exchange.content_type.startswith(b"text/event-stream"):
                exchange.gaps = None  # an answer, or an error, in one piece
        else:
            exchange.headers.clear()
        self._header_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Body bytes, chunk framing removed."""
        assert self._exchange is not None
        self._exchange.feed(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        assert self._exchange is not None
        if self._exchange.status:
            self._exchange.complete = True
            self._keep_alive = self._parser.should_keep_alive()  # the parser knows it inside this call only

    # for Pool and Exchange
    def send(self, exchange: Exchange, request: bytes) -> None:
        """Puts a request on the wire."""
        assert self._transport is not None
        self._exchange = exchange
        exchange.connection = self
        exchange.last = self._pool.loop.time()
        self._transport.write(request)

    def _finish(self, exchange: Exchange) -> None:
        self._exchange = None
        exchange.connection = None
        if self.paused:
            self.resume()
        if self._keep_alive and self.usable():
            self._pool.give_back(self)
        else:
            self.abort()

    def usable(self) -> bool:
        """Whether another request may be written."""
        return self._transport is not None and not self._transport.is_closing()

    def pause(self) -> None:
        """Stops reading from the engine: the client is slower."""
        if not self.paused and self.usable():
            assert self._transport is not None
            self.paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Reads again."""
        if self.paused and self.usable():
            assert self._transport is not None
            self.paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Closes at once: for the engine the sign that nobody waits any more."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()


def _expiry(transport: asyncio.BaseTransport) -> float | None:
    """When the certificate expires that the other side showed; None where it says nothing."""
    shown = transport.get_extra_info("peercert") or {}
    until = shown.get("notAfter")
    return float(ssl.cert_time_to_seconds(until)) if isinstance(until, str) else None


class Pool:
    """Connections to one origin: idle ones are reused newest first, and closed before the engine closes them."""

    def __init__(self, origin: Origin, connect_s: float, max_idle: int = 256) -> None:
        self.loop = asyncio.get_running_loop()
        self.origin = origin
        self._connect_s = connect_s
        self._max_idle = max_idle
        self._idle: deque[Connection] = deque()
        self._tls = ssl.create_default_context() if origin.tls else None
        self.certificate_expires: float | None = None  # of the last one shown, in seconds since the epoch

    async def send(self, request: bytes, limit_s: float, opened: Callable[[Exchange], None] | None = None) -> Exchange:
        """The exchange of a request that is on the wire. Raises Unavailable when no connection can be had.

        `opened` gets the exchange as soon as it exists, so that a client that leaves can end it.
        """
        exchange = Exchange(self.loop, limit_s)
        if opened is not None:
            opened(exchange)
        connection = self._take()
        if connection is None:
            connection = await self._connect()
            if exchange.error is not None:
                self.give_back(connection)
                raise exchange.error
        connection.send(exchange, request)
        return exchange

    def _take(self) -> Connection | None:
        oldest = self.loop.time() - IDLE_CONNECTION_S
        while self._idle:
            connection = self._idle.pop()
            if connection.usable() and connection.idle_since >= oldest:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> Connection:
        origin = self.origin
        try:
            async with asyncio.timeout(self._connect_s):
                transport, connection = await self.loop.create_connection(
                    lambda: Connection(self), origin.host, origin.port, ssl=self._tls
                )
        except TimeoutError as error:
            raise Unavailable(
                f"no connection to the engine within {self._connect_s:g} s", code="engine_unreachable"
            ) from error
        except (OSError, ssl.SSLError) as error:
            raise Unavailable("the engine cannot be reached", code="engine_unreachable") from error
        if self._tls is not None:
            self.certificate_expires = _expiry(transport)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keeps a connection for the next request."""
        if len(self._idle) >= self._max_idle:
            connection.abort()
            return
        connection.idle_since = self.loop.time()
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """A connection is gone; it may have been idle."""
        if connection.idle_since:
            try:
                self._idle.remove(connection)
            except ValueError:
                return

    def close(self) -> None:
        """Closes what is idle."""
        while self._idle:
            self._idle.pop().abort()
