"""Where the history is kept between one leader and the next."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Protocol

from autoscaling import state_file
from autoscaling.history import History

log = logging.getLogger("parlance.autoscaler")


class Unavailable(Exception):
    """What the last leader saw cannot be read now, and may be later."""


class Memory(Protocol):
    """Both calls may block. `wall` is seconds since the epoch, `clock` the controller's."""

    def load(self, wall: float, clock: float) -> History:
        """The last leader's history on this process's clock; an empty one where there is none. Raises Unavailable."""

    def save(self, history: History, wall: float, clock: float, *, now: bool) -> None:
        """Keeps it, at once or when it is due. What goes wrong is logged."""


class NoMemory:
    """Forgets."""

    def load(self, wall: float, clock: float) -> History:
        """Nothing."""
        return History()

    def save(self, history: History, wall: float, clock: float, *, now: bool) -> None:
        """Nowhere."""


class FileMemory:
    """A file on this machine, replaced each round: next to nothing to write, and a restart has missed nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, wall: float, clock: float) -> History:
        """As the file has it."""
        return state_file.load(self._path, wall, clock)

    def save(self, history: History, wall: float, clock: float, *, now: bool) -> None:
        """Replaces the file."""
        try:
            state_file.save(self._path, history, wall, clock)
        except OSError as error:
            log.warning("%s cannot be written, a restart would forget: %s", self._path, error.strerror)
