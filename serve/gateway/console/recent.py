"""The last some hundred requests as the journal tells of them: never their text, never a key."""

from __future__ import annotations

from collections import deque
from typing import Any

SIZE = 300  # about 2 KB each; a page shows them all


class Recent:
    """A ring of records. Readers keep their own place in it: one that is slow, or gone, costs nothing here."""

    def __init__(self, size: int = SIZE) -> None:
        self.size = size
        self._records: deque[dict[str, Any]] = deque(maxlen=size)
        self._added = 0

    def add(self, record: dict[str, Any]) -> None:
        """A request is over; `record` is what `serve.gateway.record.record_of` made of it, and is not changed again."""
        self._records.append(record)
        self._added += 1

    def after(self, place: int) -> tuple[int, list[dict[str, Any]]]:
        """The place behind the newest record, and the records since `place`, oldest first.

        0 asks for all. A place that never was (of a gateway before this one) asks for all, too; records that have left
        the ring are lost to those who come late.
        """
        new = self._added - place if 0 <= place <= self._added else self._added
        count = min(new, len(self._records))
        return self._added, list(self._records)[len(self._records) - count :]

    def find(self, decision_id: str) -> dict[str, Any] | None:
        """The record of a decision; None: it is not over yet, or has left the ring."""
        return next((one for one in reversed(self._records) if one["decision_id"] == decision_id), None)
