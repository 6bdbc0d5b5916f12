"""Which of several autoscalers applies its plans."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol

from serve.errors import LocalError


class Leader(Protocol):
    """Asked before every round; a Kubernetes Lease answers the same two questions as a lock on a file does."""

    def leads(self) -> bool:
        """Whether this process leads from now until it is asked again; takes the lead where nobody has it. May block
        for a network call, and never raises."""

    def resign(self) -> None:
        """Lets the next one lead at once."""


class Alone:
    """Leads always: there is no other."""

    def leads(self) -> bool:
        """Yes."""
        return True

    def resign(self) -> None:
        """Nothing to let go of."""


class FileLock:
    """Leads while it holds the lock of a file. The kernel releases it with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        """Raises LocalError where the file cannot be opened."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise LocalError(f"{path} cannot be opened: {error.strerror}") from error
        self._held = False

    def leads(self) -> bool:
        """Whether the lock is held, or was free."""
        if not self._held:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            self._held = True
        return True

    def resign(self) -> None:
        """Lets go of the lock; it may be taken again."""
        if self._held:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self._held = False
