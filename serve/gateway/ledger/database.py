"""The SQL back end behind the store: SQLite here.

`Store` writes SQL that SQLite and PostgreSQL both read (INSERT ... ON CONFLICT, BIGINT, row values). Another back end
is a class with the three methods of `Database`; on PostgreSQL, `transaction` would take a transaction-level advisory
lock for what SQLite's BEGIN IMMEDIATE is here: leases are cut for one worker at a time.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Protocol

BUSY_S = 2.0  # how long a transaction waits for another worker's: theirs take milliseconds
SWITCH_S = 0.01  # between two attempts to switch a new file to WAL


class Unreachable(Exception):
    """The back end did not do it: locked for too long, a full or a failing disk. Nothing of it was done."""


class Transaction(Protocol):
    """Statements that are done together or not at all."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """How many rows the statement changed."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query finds."""


class Database(Protocol):
    """Where the store keeps its tables. Used by one thread at a time."""

    def transaction(self) -> contextlib.AbstractContextManager[Transaction]:
        """One transaction, alone among all workers. Raises Unreachable when it was not committed."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query finds outside of a transaction. Raises Unreachable."""

    def close(self) -> None:
        """Gives the connection back."""


class _Statements:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        return self._connection.execute(sql, parameters).rowcount

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, parameters).fetchall()


class Sqlite:
    """One SQLite file in WAL mode, shared by the workers of one machine; `None`: in memory, of this process alone.

    `synchronous=FULL`: every commit is fsynced, so that a row that was counted as written outlives a loss of power.
    NORMAL would save a sync for each batch, four a second, and lose the last commits. After an error the connection is
    made anew, for what a failing disk left in it cannot be trusted.
    """

    def __init__(self, path: Path | None, read_only: bool = False, busy_s: float = BUSY_S) -> None:
        """Raises Unreachable when the file cannot be opened."""
        self._path = path
        self._read_only = read_only
        self._busy_s = busy_s
        self._connection: sqlite3.Connection | None = None
        with _translated():
            self._connect()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """BEGIN IMMEDIATE to COMMIT, and ROLLBACK where something was raised on the way."""
        with _translated():
            connection = self._connect()
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield _Statements(connection)
                connection.execute("COMMIT")
            except BaseException as error:
                self._abandon(connection, drop=isinstance(error, sqlite3.Error))
                raise

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with _translated():
            return self._connect().execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Closes the file; the last of its workers moves the WAL into it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            target = ":memory:" if self._path is None else f"{self._path.absolute().as_uri()}"
            target += "?mode=ro" if self._read_only else ""
            connection = sqlite3.connect(
                target, timeout=self._busy_s, isolation_level=None, check_same_thread=False, uri=self._path is not None
            )
            if not self._read_only:
                _into_wal(connection, self._busy_s)
                connection.execute("PRAGMA synchronous=FULL")
            self._connection = connection
        return self._connection

    def _abandon(self, connection: sqlite3.Connection, drop: bool) -> None:
        with contextlib.suppress(sqlite3.Error):
            connection.rollback()
        if drop and self._path is not None:  # what is in memory would be lost with its connection
            self.close()


def _into_wal(connection: sqlite3.Connection, busy_s: float) -> None:
    """WAL mode, which the file keeps. A new file is switched by one of the workers that open it at the same time, and
    SQLite does not let the others wait for that as it does for a transaction: the switch fails at once as locked."""
    deadline = monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
            sleep(SWITCH_S)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unreachable(str(error)) from error
