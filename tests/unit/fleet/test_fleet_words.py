"""Characters a word: the shipped counts, and what is refused."""

from __future__ import annotations

import pytest

from serve.errors import DescriptionError
from serve.fleet.words import characters_per_word, parse

pytestmark = pytest.mark.unit


def test_the_shipped_counts_are_of_languages_with_words() -> None:
    found = characters_per_word()
    assert found["fi"] > found["nb"] > found["hi"]
    assert not {"ja", "zh", "th"} & set(found)


@pytest.mark.parametrize("value", ["0", "x", "99", "nan"])
def test_counts_that_cannot_be_are_refused(value: str) -> None:
    with pytest.raises(DescriptionError, match=r"line 2: .*characters a word lie between 1 and 30"):
        parse(f"language\tcharacters\nnb\t{value}\n", "x")


def test_a_table_names_its_columns() -> None:
    assert parse("# why\nlanguage\tcharacters\nnb\t6.2\n", "x") == {"nb": 6.2}
    with pytest.raises(DescriptionError, match="the first line names the columns"):
        parse("nb\t6.2\n", "x")
