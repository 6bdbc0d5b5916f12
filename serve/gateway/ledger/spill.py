"""Rows that the store would not take, on disk until it does: JSON lines, appended and fsynced.

A file belongs to the worker that holds its lock; one that nobody holds was left by a worker that died, and is anyone's
to bring home.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from serve.gateway.ledger.rows import Row

PREFIX, SUFFIX = "ledger-spill-", ".jsonl"
_decoder = msgspec.json.Decoder(Row)
_encoder = msgspec.json.Encoder()


class Spill:
    """One worker's file; it exists only while something is in it. Used by one thread."""

    def __init__(self, directory: Path, worker: str) -> None:
        self.path = directory / f"{PREFIX}{worker}{SUFFIX}"
        self._descriptor: int | None = None
        self._size = 0

    @property
    def empty(self) -> bool:
        """Whether nothing waits in it."""
        return self._size == 0

    def append(self, rows: Iterable[Row]) -> None:
        """Adds rows, all of them or none. Raises OSError where the disk does not take them."""
        lines = bytearray()
        for row in rows:
            lines += _encoder.encode(row)
            lines += b"\n"
        descriptor = self._open()
        try:
            written = os.write(descriptor, lines)
            if written < len(lines):
                raise OSError(28, "no space left on the device")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, self._size)  # half a line would spoil the next one
            raise
        self._size += len(lines)

    def chunks(self, size: int) -> Iterator[list[Row]]:
        """What is in it, so many rows at a time. A line that a crash cut short is no row."""
        rows: list[Row] = []
        with self.path.open("rb") as file:
            for line in file:
                try:
                    rows.append(_decoder.decode(line))
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue
                if len(rows) >= size:
                    yield rows
                    rows = []
        if rows:
            yield rows

    def clear(self) -> None:
        """Everything in it has been written elsewhere."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Lets go of the file. What is in it stays, for whoever looks for orphans."""
        descriptor, self._descriptor, self._size = self._descriptor, None, 0
        if descriptor is not None:
            os.close(descriptor)

    def _open(self) -> int:
        while self._descriptor is None:
            descriptor = _locked(self.path, create=True)
            if descriptor is not None:
                self._descriptor, self._size = descriptor, os.fstat(descriptor).st_size
        return self._descriptor


def orphans(directory: Path) -> Iterator[Spill]:
    """The files of workers that died, each locked while it is looked at. Raises OSError."""
    for path in sorted(directory.glob(f"{PREFIX}*{SUFFIX}")):
        descriptor = _locked(path, create=False)
        if descriptor is None:
            continue
        spill = Spill(directory, path.name.removeprefix(PREFIX).removesuffix(SUFFIX))
        spill._descriptor, spill._size = descriptor, os.fstat(descriptor).st_size
        try:
            yield spill
        finally:
            spill.close()


def _locked(path: Path, create: bool) -> int | None:
    """A descriptor of the file with its lock; None where another worker has that, or took the file away."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    try:
        descriptor = os.open(path, flags, 0o640)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
