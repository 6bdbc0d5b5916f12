"""What the gateway has learnt, on disk: one JSON file with a schema version, replaced as a whole."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from serve.routing.calibration import Sums
from serve.routing.lengths import Histogram, Key
from serve.routing.metered import Slot

log = logging.getLogger("parlance.gateway")

NAME = "learnt.json"
# Raised when older files would be misread.
SCHEMA = 1


class Learnt(msgspec.Struct):
    """The state of serve.routing's calibration, lengths and meters. No text: tenants' names, languages and figures."""

    ratios: list[tuple[str, str, str, Sums]] = []
    lengths: list[tuple[Key, Histogram]] = []
    meters: dict[str, list[Slot]] = {}
    v: int = SCHEMA


_decoder = msgspec.json.Decoder(Learnt)


def load(path: Path) -> Learnt | None:
    """What the file holds; None, and a line in the log, where it is not there or cannot be used: learning begins
    anew."""
    try:
        found = _decoder.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        log.warning("%s cannot be read, and learning begins anew: %s", path, error)
        return None
    if found.v != SCHEMA:
        log.warning("%s has schema %d and not %d: learning begins anew", path, found.v, SCHEMA)
        return None
    return found


def save(path: Path, learnt: Learnt) -> None:
    """Replaces the file: a reader, or a crash, sees the old one or the new one whole. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(learnt))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
