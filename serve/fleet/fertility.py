"""How many tokens a tokenizer makes of a character, by language: the shipped measurements, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from serve.errors import DescriptionError, Problem

FILE = Path(__file__).with_name("catalogue") / "fertility.tsv"
COLUMNS = (
    "tokenizer",
    "lang",
    "tokens_per_character",
    "short_tokens_per_character",
    "same_content",
    "status",
    "source",
)


@dataclass(frozen=True, slots=True)
class Fertility:
    """One tokenizer in one language.

    `prose` and `short` are tokens per character of running text and of chat lines. `same_content` is the number of
    tokens for what takes one token of English on the llama3 tokenizer; None: no parallel text was counted.
    `status` is measured, card or proxy.
    """

    prose: float
    short: float
    same_content: float | None
    status: str


@cache
def table() -> Mapping[str, Mapping[str, Fertility]]:
    """The shipped measurements: tokenizer family, then language. Raises DescriptionError when the file is damaged."""
    return parse(FILE.read_text(encoding="utf-8"), str(FILE))


def parse(text: str, source: str) -> Mapping[str, Mapping[str, Fertility]]:
    """The table of a TSV text with `COLUMNS`; lines that begin with # are comments."""
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line and not line.startswith("#")]
    problems: list[Problem] = []
    families: dict[str, dict[str, Fertility]] = {}
    if not lines or tuple(lines[0][1].split("\t")) != COLUMNS:
        raise DescriptionError(source, [Problem("", "", f"the first line names the columns {', '.join(COLUMNS)}")])
    for number, line in lines[1:]:
        fields = line.split("\t")
        if len(fields) != len(COLUMNS):
            problems.append(Problem(f"line {number}", f"{len(fields)} fields", f"{len(COLUMNS)} are wanted"))
            continue
        family, lang, prose, short, same, status, _ = fields
        try:
            entry = Fertility(float(prose), float(short), float(same) if same else None, status)
        except ValueError:
            problems.append(Problem(f"line {number}", line, "tokens per character are numbers"))
            continue
        if not (0 < entry.prose < 10 and 0 < entry.short < 10 and 0 < (entry.same_content or 1) < 100):
            problems.append(Problem(f"line {number}", line, "tokens per character lie between 0 and 10"))
        if lang in families.setdefault(family, {}):
            problems.append(Problem(f"line {number}", f"{family} {lang}", "stands here twice"))
        families[family][lang] = entry
    if problems:
        raise DescriptionError(source, problems)
    return MappingProxyType({family: MappingProxyType(rows) for family, rows in families.items()})
