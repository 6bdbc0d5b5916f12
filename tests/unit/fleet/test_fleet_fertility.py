"""The fertility table's reader: every problem with its line."""

from __future__ import annotations

import pytest

from serve.errors import DescriptionError
from serve.fleet.fertility import CODE, COLUMNS, FEATURES, parse, table
from serve.fleet.lexicon import BASES

pytestmark = pytest.mark.unit

HEADER = "\t".join(COLUMNS)
WEIGHTS = "\t".join(["0.5"] * len(FEATURES))
NONE = "\t".join([""] * len(FEATURES))


def line(family: str, lang: str, figures: str, weights: str = WEIGHTS, base: str = "llama3", scale: str = "1") -> str:
    return f"{family}\t{lang}\t{figures}\t{base}\t{scale}\t{weights}\tmeasured\tx"


CODE_LINE = line("llama3", CODE, "0.3\t0.3\t")


def test_a_row_is_read_and_an_empty_cell_is_none() -> None:
    row = parse("\n".join(["# comment", HEADER, line("llama3", "se", "0.44\t0.45\t"), CODE_LINE]), "f")["llama3"]["se"]
    assert (row.prose, row.short, row.same_content, row.status) == (0.44, 0.45, None, "measured")
    assert (row.base, row.scale, row.weights, row.code_per_character) == (0, 1.0, (0.5,) * len(FEATURES), 0.3)


def test_a_row_without_weights_has_those_of_its_base() -> None:
    lines = [HEADER, CODE_LINE, line("llama3", "nb", "0.3\t0.4\t1.5"), line("x", "nb", "0.2\t0.2\t", NONE, scale="0.7")]
    row = parse("\n".join(lines), "f")["x"]["nb"]
    assert (row.prose, row.scale, row.weights) == (0.2, 0.7, (0.5,) * len(FEATURES))


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        (["a\tb\t1"], "fields"),
        ([line("llama3", "nb", "many\t1\t")], "numbers"),
        ([line("llama3", "nb", "-1\t1\t")], "between"),
        ([line("llama3", "nb", "nan\t1\t")], "between"),
        ([line("llama3", "nb", "1\t1\t", scale="0")], "between"),
        ([line("llama3", "nb", "1\t1\t", WEIGHTS.replace("0.5", "77"))], "weights lie"),
        ([line("llama3", "nb", "1\t1\t", base="word")], "the base is one of"),
        ([line("x", "nb", "1\t1\t", NONE)], "lacks weights"),
        ([line("llama3", "nb", "1\t1\t")] * 2, "twice"),
    ],
)
def test_problems_name_line_and_reason(lines: list[str], word: str) -> None:
    with pytest.raises(DescriptionError, match=word):
        parse("\n".join([HEADER, CODE_LINE, *lines]), "f")


def test_another_first_line_is_refused() -> None:
    with pytest.raises(DescriptionError, match="columns"):
        parse("tokenizer\tlang\n", "f")


def test_code_is_no_language() -> None:
    assert all(CODE not in rows for rows in table().values())
    assert all(row.base == BASES.index("gemma2") for row in table()["eurollm"].values())
