"""The decision log on disk: JSON lines, rotated by size, that `parlance replay` reads."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from serve.errors import LocalError
from serve.fleet.gateway import DecisionLog
from serve.routing.log import Entry, encoder

log = logging.getLogger("parlance.gateway")

NAME = "decisions.jsonl"


class DecisionFile:
    """Collects entries until they are flushed. Older files are `decisions.jsonl.1` (the newest of them), `.2`, ….

    A disk that is full or gone costs entries, counted in `dropped`, and never a request.
    """

    def __init__(self, directory: Path, settings: DecisionLog) -> None:
        """Raises LocalError when the directory cannot be written to."""
        self.texts = settings.texts
        self.dropped = 0
        self._settings = settings
        self._path = directory / NAME
        self._buffer = bytearray()
        self._lines = 0
        self._failing = False
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = self._open()
        except OSError as error:
            raise LocalError(f"gateway.state_dir: {directory} cannot be written to: {error.strerror}") from error

    def add(self, entry: Entry) -> None:
        """One more entry."""
        encoder.encode_into(entry, self._buffer, -1)
        self._buffer += b"\n"
        self._lines += 1

    def flush(self) -> None:
        """Writes what is pending, and begins the next file when this one is full."""
        if not self._buffer:
            return
        try:
            if self._size + len(self._buffer) > self._settings.file_bytes and self._size:
                self._rotate()
            self._write()
            if self._failing:
                log.info("the decision log is written again; %d entries were lost", self.dropped)
                self._failing = False
        except OSError as error:
            self.dropped += self._lines
            if not self._failing:
                log.error("the decision log cannot be written: %s; requests go on", error)
                self._failing = True
        self._buffer.clear()
        self._lines = 0

    def close(self) -> None:
        """Writes what is pending and closes the file."""
        self.flush()
        os.close(self._descriptor)

    def _open(self) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(descriptor).st_size
        if self._size and os.pread(descriptor, 1, self._size - 1) != b"\n":  # a crash in the middle of a line
            self._size += os.write(descriptor, b"\n")
        return descriptor

    def _write(self) -> None:
        written = os.write(self._descriptor, self._buffer)
        if written < len(self._buffer):  # the disk is full: half a line would spoil the next one
            os.ftruncate(self._descriptor, self._size)
            raise OSError(28, "no space left on the device")
        self._size += written

    def _rotate(self) -> None:
        for number in range(self._settings.files - 1, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        if self._settings.files == 1:
            self._path.unlink(missing_ok=True)
        previous = self._descriptor
        self._descriptor = self._open()
        os.close(previous)

    def _numbered(self, number: int) -> Path:
        return self._path if number == 0 else self._path.with_name(f"{NAME}.{number}")
