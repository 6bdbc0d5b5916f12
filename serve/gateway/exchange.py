"""One request to an engine and its answer: a bounded buffer between a connection that feeds and a task that reads."""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING

from serve.errors import ParlanceError, Unavailable

if TYPE_CHECKING:
    from serve.gateway.client import Connection
    from serve.gateway.instruments.families import Spread

HIGH_WATER = 256 * 1024  # bytes that wait for a slow client before the engine is asked to pause


class ConnectionLost(Unavailable):
    """The connection broke before the answer was whole. `clean` when no byte of an answer had come."""

    code = "engine_connection_lost"


class Exchange:
    """One request and its answer. Read by one task; fed by the connection.

    `gaps` is where the times between its chunks are counted; None: they are not.
    `last` is the loop time of the last sign of life, `limit_s` how much silence is allowed: the sweeper of the
    worker compares them a few times a second, instead of a timer for every read.
    """

    __slots__ = (
        "_chunks",
        "_fed",
        "_loop",
        "_waiter",
        "buffered",
        "complete",
        "connection",
        "content_type",
        "error",
        "framed",
        "gaps",
        "headers",
        "last",
        "limit_s",
        "status",
        "streamed",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_s: float) -> None:
        self._loop = loop
        self._chunks: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._fed = 0.0  # when the last chunk came; 0: none has, or the next gap is not the engine's
        self.gaps: Spread | None = None
        self.buffered = 0
        self.connection: Connection | None = None
        self.status = 0
        self.streamed = False  # asked for as a stream: its first byte tells of the queue, a whole answer's does not
        self.headers: list[tuple[bytes, bytes]] = []
        self.content_type = b""
        self.framed = False  # has a length or chunks
        self.complete = False
        self.error: ParlanceError | None = None
        self.last = loop.time()
        self.limit_s = limit_s

    async def start(self) -> None:
        """Returns when status and headers are there. Raises what went wrong."""
        while not self.status:
            if self.error is not None:
                raise self.error
            await self._wait()

    async def read(self) -> bytes:
        """What has come since the last call, joined; b"" at the end. Raises what went wrong once that is read."""
        while not self._chunks:
            if self.error is not None:
                raise self.error
            if self.complete:
                return b""
            await self._wait()
        if len(self._chunks) == 1:
            data = self._chunks.popleft()
        else:
            data = b"".join(self._chunks)
            self._chunks.clear()
        if self.buffered > HIGH_WATER and self.connection is not None:
            self.connection.resume()
        self.buffered = 0
        return data

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def wake(self) -> None:
        """Lets the reader look again."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def feed(self, data: bytes) -> None:
        """Body bytes from the engine."""
        gaps = self.gaps
        if gaps is not None:
            now = perf_counter()  # the loop's own time has milliseconds
            if self._fed:
                gaps.observe(now - self._fed)
            self._fed = now
        self._chunks.append(data)
        self.buffered += len(data)
        if self.buffered > HIGH_WATER and self.connection is not None:
            self.connection.pause()
            self._fed = 0.0  # the client is slower than the engine: what follows is the client's time

    def fail(self, error: ParlanceError) -> None:
        """Ends the exchange with an error and gives up its connection, which tells the engine to stop."""
        if self.complete or self.error is not None:
            return
        self.error = error
        if self.connection is not None:
            self.connection.abort()
        self.wake()
