"""How many tokens a tokenizer makes of a text, by language: the shipped measurements, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from serve.errors import DescriptionError, Problem
from serve.fleet.lexicon import BASES

FILE = Path(__file__).with_name("catalogue") / "fertility.tsv"
CODE = "zxx"  # BCP-47 for "no linguistic content": a tokenizer's row for code, JSON and markup

# What a text is counted by beside its common words, in the order of Counts.rest (serve.routing.records).
FEATURES = (
    "common",  # words that the lexicon has; their tokens are known, and this has no weight
    "english",  # of these, common words of English; no weight either: see `Fertility.english`
    "words",  # that the lexicon does not have; from here to `singles` about these
    "letters",
    "accents",  # letters beyond ASCII
    "capitals",  # words with an upper-case letter
    "excess",  # letters beyond the sixth of a word
    "singles",  # characters of a script without spaces
    "digits",
    "groups",  # of up to three digits
    "marks",  # ASCII punctuation
    "runs",  # of punctuation
    "symbols",  # punctuation beyond ASCII
    "emoji",
    "breaks",  # runs of line breaks
    "indents",  # runs of two spaces or more, and tabs
    "starts",  # segments: a first word has no space before it
)
COLUMNS = (
    "tokenizer",
    "lang",
    "tokens_per_character",
    "short_tokens_per_character",
    "same_content",
    "base",
    "scale",
    *FEATURES,
    "status",
    "source",
)


@dataclass(frozen=True, slots=True)
class Fertility:
    """One tokenizer in one language.

    A text has (tokens of its common words in the tokenizer `base`, an index of serve.fleet.lexicon.BASES, + `weights` x
    features) x `scale` tokens; code has `code` and `english_scale` in place of `weights` and `scale`. Where only a
    text's length is known, `prose` and `short` are tokens per character of running text and of chat lines.
    `same_content` is the number of tokens for what takes one token of English on the llama3 tokenizer; None: no
    parallel text was counted. `status` is measured, card or proxy.
    """

    prose: float
    short: float
    same_content: float | None
    status: str
    base: int
    scale: float
    weights: tuple[float, ...]
    english: tuple[float, ...]  # weights of English, for the part of a text that its common words show to be English
    code: tuple[float, ...]
    code_per_character: float
    english_scale: float  # of English and of code, whatever language the text is taken for


@cache
def table() -> Mapping[str, Mapping[str, Fertility]]:
    """The shipped measurements: tokenizer family, then language. Raises DescriptionError when the file is damaged."""
    return parse(FILE.read_text(encoding="utf-8"), str(FILE))


def parse(text: str, source: str) -> Mapping[str, Mapping[str, Fertility]]:
    """The table of a TSV text with `COLUMNS`; lines that begin with # are comments."""
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line and not line.startswith("#")]
    problems: list[Problem] = []
    rows: dict[tuple[str, str], _Row] = {}
    if not lines or tuple(lines[0][1].split("\t")) != COLUMNS:
        raise DescriptionError(source, [Problem("", "", f"the first line names the columns {', '.join(COLUMNS)}")])
    for number, line in lines[1:]:
        row = _row(line, number, problems)
        if row is not None:
            if (row.family, row.lang) in rows:
                problems.append(Problem(f"line {number}", f"{row.family} {row.lang}", "stands here twice"))
            rows[row.family, row.lang] = row
    families: dict[str, dict[str, Fertility]] = {}
    for (family, lang), row in rows.items():
        own, code = rows.get((row.base, lang)), rows.get((row.base, CODE))
        english = rows.get((row.base, "en"))
        if own is None or own.weights is None or code is None or code.weights is None:
            problems.append(Problem(f"line {row.number}", f"{family} {lang}", f"{row.base} lacks weights for it"))
        elif lang != CODE:
            families.setdefault(family, {})[lang] = Fertility(
                prose=row.prose,
                short=row.short,
                same_content=row.same_content,
                status=row.status,
                base=BASES.index(row.base),
                scale=row.scale,
                weights=own.weights,
                english=english.weights if english is not None and english.weights is not None else own.weights,
                code=code.weights,
                code_per_character=code.prose,
                english_scale=rows[family, "en"].scale if (family, "en") in rows else row.scale,
            )
    if problems:
        raise DescriptionError(source, problems)
    return MappingProxyType({family: MappingProxyType(found) for family, found in families.items()})


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    family: str
    lang: str
    prose: float
    short: float
    same_content: float | None
    base: str
    scale: float
    weights: tuple[float, ...] | None
    status: str


def _row(line: str, number: int, problems: list[Problem]) -> _Row | None:
    cells = line.split("\t")
    if len(cells) != len(COLUMNS):
        problems.append(Problem(f"line {number}", f"{len(cells)} fields", f"{len(COLUMNS)} are wanted"))
        return None
    family, lang, prose, short, same, base, scale, *weights, status, _ = cells
    try:
        row = _Row(
            number,
            family,
            lang,
            float(prose),
            float(short),
            float(same) if same else None,
            base,
            float(scale),
            tuple(map(float, weights)) if any(weights) else None,
            status,
        )
    except ValueError:
        problems.append(Problem(f"line {number}", line, "tokens per character, scale and weights are numbers"))
        return None
    if not (0 < row.prose < 10 and 0 < row.short < 10 and 0 < (row.same_content or 1) < 100 and 0 < row.scale < 10):
        problems.append(Problem(f"line {number}", line, "tokens per character and scale lie between 0 and 10"))
    if not all(-50 < weight < 50 for weight in row.weights or ()):
        problems.append(Problem(f"line {number}", line, "weights lie between -50 and 50"))
    if row.base not in BASES:
        problems.append(Problem(f"line {number}", row.base, f"the base is one of {', '.join(BASES)}"))
        return None
    return row
