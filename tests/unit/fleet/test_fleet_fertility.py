"""The fertility table's reader: every problem with its line."""

from __future__ import annotations

import pytest

from serve.errors import DescriptionError
from serve.fleet.fertility import COLUMNS, parse

pytestmark = pytest.mark.unit

HEADER = "\t".join(COLUMNS)


def test_a_row_is_read_and_an_empty_cell_is_none() -> None:
    table = parse(f"# comment\n{HEADER}\nllama3\tse\t0.44\t0.45\t\tmeasured\tx\n", "f")
    row = table["llama3"]["se"]
    assert (row.prose, row.short, row.same_content, row.status) == (0.44, 0.45, None, "measured")


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ("a\tb\t1", "fields"),
        ("a\tb\tmany\t1\t\tmeasured\tx", "numbers"),
        ("a\tb\t-1\t1\t\tmeasured\tx", "between"),
        ("a\tb\tnan\t1\t\tmeasured\tx", "between"),
        ("a\tb\t1\t1\t\tm\tx\na\tb\t1\t1\t\tm\tx", "twice"),
    ],
)
def test_problems_name_line_and_reason(lines: str, word: str) -> None:
    with pytest.raises(DescriptionError, match=word):
        parse(f"{HEADER}\n{lines}", "f")


def test_another_first_line_is_refused() -> None:
    with pytest.raises(DescriptionError, match="columns"):
        parse("tokenizer\tlang\n", "f")
