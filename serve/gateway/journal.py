"""One JSON line a request on standard output."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import msgspec

RETRY_S = 0.2
MAX_PENDING = 8 * 1024 * 1024  # bytes; beyond it lines are dropped and counted, for requests must go on


class Journal:
    """Collects lines until they are flushed. JSON escapes keep every record on one line."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._encoder = msgspec.json.Encoder()
        self._buffer = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self.dropped = 0

    def write(self, record: dict[str, Any]) -> None:
        """Adds one record."""
        if len(self._buffer) > MAX_PENDING:
            self.dropped += 1
            return
        self._encoder.encode_into(record, self._buffer, -1)
        self._buffer += b"\n"

    def flush(self) -> None:
        """Writes what is pending."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._buffer:
            try:
                written = os.write(self._descriptor, self._buffer)
            except BlockingIOError:  # a reader that lags: later
                self._timer = self._loop.call_later(RETRY_S, self.flush)
                return
            except OSError:  # nobody reads any more
                self.dropped += self._buffer.count(b"\n")
                self._buffer.clear()
                return
            del self._buffer[:written]
