"""How many characters a word takes, by language: what a price per 1,000 words rests on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from serve.errors import DescriptionError, Problem

FILE = Path(__file__).with_name("catalogue") / "words.tsv"
COLUMNS = ("language", "characters")


@cache
def characters_per_word() -> Mapping[str, float]:
    """The shipped counts. A language that puts no spaces between words, or was not counted, is absent."""
    return parse(FILE.read_text(encoding="utf-8"), str(FILE))


def parse(text: str, source: str) -> Mapping[str, float]:
    """The table of a TSV text with `COLUMNS`; lines that begin with # are comments. Raises DescriptionError."""
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line and not line.startswith("#")]
    if not lines or tuple(lines[0][1].split("\t")) != COLUMNS:
        raise DescriptionError(source, [Problem("", "", f"the first line names the columns {', '.join(COLUMNS)}")])
    found: dict[str, float] = {}
    problems = []
    for number, line in lines[1:]:
        language, _, value = line.partition("\t")
        try:
            found[language] = float(value)
        except ValueError:
            found[language] = 0.0
        if not 1 < found[language] < 30:
            problems.append(Problem(f"line {number}", line, "characters a word lie between 1 and 30"))
    if problems:
        raise DescriptionError(source, problems)
    return MappingProxyType(found)
