"""The lexicon's reader, and the arithmetic of its packed counts."""

from __future__ import annotations

import pytest

from serve.errors import DescriptionError
from serve.fleet.lexicon import BASES, BITS, SCALE, lexicon, packed, parse

pytestmark = pytest.mark.unit


def test_packed_counts_add_up() -> None:
    total = packed((1, 2, 3, 4)) + packed((0.25, 0.5, 0, 7.01), english=True)
    figures = [total >> BITS * at & (1 << BITS) - 1 for at in range(len(BASES) + 2)]
    assert figures == [1.25 * SCALE, 2.5 * SCALE, 3 * SCALE, 11.01 * SCALE, 2, 1], "two words, one of them English"


def test_words_by_their_tokens() -> None:
    words = parse("# comment\n1 1 2 1 en\tand the\n0.5 0.6 1 0.4\t的\n", "f")
    english = packed((1, 1, 2, 1), english=True)
    assert words == {"and": english, "the": english, "的": packed((0.5, 0.6, 1, 0.4))}


@pytest.mark.parametrize("line", ["1 1 1\tand", "1 1 1 x\tand", "1 1 1 -1\tand", "1 1 1 100\tand", "and"])
def test_a_bad_line_is_named(line: str) -> None:
    with pytest.raises(DescriptionError, match="line 2"):
        parse(f"1 1 1 1\tto\n{line}\n", "f")


def test_the_shipped_file() -> None:
    words = lexicon()
    assert 30_000 < len(words) < 80_000
    assert all(word in words for word in ("the", "ikke", "der", "και", "не", "return", "的"))
