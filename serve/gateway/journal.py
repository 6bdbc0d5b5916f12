"""One JSON line a request on standard output, which several workers may share: each writes whole lines, in turns."""

from __future__ import annotations

import asyncio
import fcntl
import os
from time import monotonic
from typing import Any

import msgspec

RETRY_S = 0.2
_NEWLINE = ord("\n")
CLOSE_S = 1.0  # for the last lines, while others write or a reader lags
MAX_PENDING = 8 * 1024 * 1024  # bytes; beyond it lines are dropped and counted, for requests must go on


class Journal:
    """Collects lines until they are flushed. JSON escapes keep every record on one line."""

    def __init__(self, descriptor: int, turn: int | None = None) -> None:
        """`turn` is a descriptor of a file: who has its lock may write. A pipe takes no more than PIPE_BUF bytes
        (4 KiB) in one piece, so that lines of two processes would run into each other. None: nobody else writes."""
        self._descriptor = descriptor
        self._turn = turn
        self._in_line = False  # part of a line is out, and the lock is kept until the rest is
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
        if self._buffer and self._turn is not None and not self._in_line and not _taken(self._turn):
            self._timer = self._loop.call_later(RETRY_S, self.flush)  # another's turn
            return
        while self._buffer:
            try:
                written = os.write(self._descriptor, self._buffer)
            except BlockingIOError:  # a reader that lags: later
                self._timer = self._loop.call_later(RETRY_S, self.flush)
                break
            except OSError:  # nobody reads any more
                self.dropped += self._buffer.count(b"\n")
                self._buffer.clear()
                self._in_line = False
                break
            self._in_line = self._buffer[written - 1] != _NEWLINE
            del self._buffer[:written]
        if self._turn is not None and not self._in_line:
            fcntl.lockf(self._turn, fcntl.LOCK_UN)

    async def close(self) -> None:
        """Writes the last lines, if that can be done within `CLOSE_S`."""
        until = monotonic() + CLOSE_S
        self.flush()
        while self._buffer and monotonic() < until:
            await asyncio.sleep(0.01)
            self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _taken(turn: int) -> bool:
    """Whether the lock is this process's now. POSIX locks belong to processes, forked ones included, and end with
    them."""
    try:
        fcntl.lockf(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
