"""The history on disk: one JSON file with a schema version, replaced as a whole. A restart goes on where it stopped."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from autoscaling.history import History

log = logging.getLogger("parlance.autoscaler")

NAME = "history.json"
# Raised when older files would be misread.
SCHEMA = 1


class Saved(msgspec.Struct):
    """The history, when it was written in seconds since the epoch, and on which clock its times are."""

    history: History
    written: float
    clock: float
    v: int = SCHEMA


_decoder = msgspec.json.Decoder(Saved)


def load(path: Path, wall: float, clock: float) -> History:
    """The file's history on the clock of this process; an empty one, and a line in the log, where it cannot be used."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return History()
    except OSError as error:
        log.warning("%s cannot be read, and history begins anew: %s", path, error)
        return History()
    return decoded(data, str(path), wall, clock)


def decoded(data: bytes, where: str, wall: float, clock: float) -> History:
    """The history on the clock of this process; an empty one, and a line in the log, where it cannot be used.

    `wall` is the time now in seconds since the epoch, `clock` the controller's. A wall clock that was set back
    between the two processes makes the history younger than it is, which holds replicas longer.
    """
    try:
        saved = _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        log.warning("%s cannot be read, and history begins anew: %s", where, error)
        return History()
    if saved.v != SCHEMA:
        log.warning("%s has schema %d and not %d: history begins anew", where, saved.v, SCHEMA)
        return History()
    return saved.history.shifted(clock - max(wall - saved.written, 0.0) - saved.clock)


def encoded(history: History, wall: float, clock: float) -> bytes:
    """What `decoded` reads, in another process too."""
    return msgspec.json.encode(Saved(history, wall, clock))


def save(path: Path, history: History, wall: float, clock: float) -> None:
    """Replaces the file: a reader, or a crash, sees the old one or the new one whole. Raises OSError."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encoded(history, wall, clock))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
