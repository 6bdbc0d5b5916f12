"""Rows of a JSON-lines file as typed structs, with an error that names file, line and field."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from serve.errors import DescriptionError, Problem

Row = TypeVar("Row", bound=msgspec.Struct)
SHOWN = 80
STDIN = Path("-")


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Line numbers (from 1) and lines of a file that are not empty; `-` is standard input.

    Raises DescriptionError when it cannot be read.
    """
    try:
        if path == STDIN:
            yield from _filled(sys.stdin.buffer)
            return
        with path.open("rb") as file:
            yield from _filled(file)
    except OSError as error:
        raise DescriptionError(str(path), [Problem("", "", f"cannot be read: {error.strerror}")]) from error


def each(path: Path, row: type[Row]) -> Iterator[Row]:
    """The rows of a file as they come. Raises DescriptionError at one that does not fit."""
    decoder = msgspec.json.Decoder(row)
    for number, line in lines(path):
        try:
            decoded = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            shown = line[:SHOWN].decode("utf-8", "replace")
            raise DescriptionError(str(path), [Problem(f"line {number}", shown, str(error))]) from error
        yield decoded


def read(path: Path, row: type[Row]) -> list[Row]:
    """All rows of a file. Raises DescriptionError for one that does not fit, or when there is none."""
    rows = list(each(path, row))
    if not rows:
        raise DescriptionError(str(path), [Problem("", "", "has no rows: one JSON object a line is wanted")])
    return rows


def _filled(file: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield number, line
