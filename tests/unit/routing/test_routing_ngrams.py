"""Hashed n-grams: the same n-gram is the same row wherever it stands, and nothing else decides the row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.routing.ngrams import LONGEST, MOST_CHARACTERS, normal_form, rows

pytestmark = pytest.mark.unit
BITS = 40  # wide enough for no two n-grams of a short text to meet


def expected(form: str) -> int:
    """How many features a normal form has: n-grams, words, pairs of words."""
    words = form.count(" ") - 1
    return sum(max(len(form) - n + 1, 0) for n in range(1, LONGEST + 1)) + words + max(words - 1, 0)


@pytest.mark.parametrize(("text", "form"), [
    ("", ""), ("?!", ""), ("Kva er fjord?", " kva er fjord "), ("¿Qué hora es?", " ¿ qué hora es "),
    ("L’eau — «ja»", " l'eau ja "), ("a\n\tb", " a b "),
])  # fmt: skip
def test_normal_form(text: str, form: str) -> None:
    assert normal_form(text) == form


def test_a_word_is_the_same_rows_wherever_it_stands() -> None:
    alone = set(rows("fjord", BITS).tolist())
    assert alone < set(rows("kva er ein fjord eigentleg", BITS).tolist())


def test_other_text_is_other_rows() -> None:
    ours, theirs = set(rows("abcdef", BITS).tolist()), set(rows("uvwxyz", BITS).tolist())
    assert len(ours & theirs) == 1, "the space is all that they share"


def test_pairs_of_words_are_features() -> None:
    pair = set(rows("takk skal", BITS).tolist()) - set(rows("takk", BITS).tolist()) - set(rows("skal", BITS).tolist())
    assert pair <= set(rows("ja takk skal du ha", BITS).tolist())
    assert not pair <= set(rows("skal takk", BITS).tolist())


def test_rows_are_what_the_shipped_table_was_made_with() -> None:
    # Written down once: another hash would make the shipped tables noise.
    assert rows("Kva", 22).tolist() == [
        3622901, 3463325, 252250, 1806880, 3622901, 1964094, 4013278, 1887915, 217027, 1391969, 1877282, 235943,
        4121194, 740567, 2114743, 2114743,
    ]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=80), st.integers(1, 30))
def test_any_text_has_rows_within_the_table(text: str, bits: int) -> None:
    found = rows(text, bits)
    form = normal_form(text)
    assert len(found) == (expected(form) if form else 0)
    assert not len(found) or (found.min() >= 0 and found.max() < 1 << bits)
    assert np.array_equal(found, rows(text, bits))


def test_a_very_long_text_is_cut() -> None:
    assert len(normal_form("ø" * 100_000)) == MOST_CHARACTERS + 2
    assert len(rows("ord " * 50_000, 22)) < 6 * MOST_CHARACTERS
