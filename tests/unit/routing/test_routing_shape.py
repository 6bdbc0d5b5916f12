"""Shapes of texts: what is counted, what is code, how excerpts are scaled, and that nothing makes them raise."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.fleet.fertility import FEATURES
from serve.fleet.lexicon import packed
from serve.routing.records import Counts, Shape
from serve.routing.shape import MOST, count, shape_of

pytestmark = pytest.mark.unit

WORDS = {"the": packed((1, 1, 1, 1)), "house": packed((1, 2, 3, 4), english=True), "屋": packed((0.5, 1, 1, 1))}


def features(counts: Counts) -> dict[str, int]:
    return {name: value for name, value in zip(FEATURES, counts.rest, strict=True) if value}


def test_common_words_are_looked_up_and_others_counted() -> None:
    counts = count("The house, the Ærfugl", WORDS)
    assert counts.known == (300, 400, 500, 600), "The as the; the comma does not hide the house"
    assert features(counts) == {
        "common": 3, "english": 1, "words": 1, "letters": 6, "accents": 1, "capitals": 1, "marks": 1, "runs": 1,
        "starts": 1,
    }  # fmt: skip


def test_punctuation_digits_and_space() -> None:
    found = features(count('12345 ("x") … 👍\n\n  the', WORDS))
    assert found["digits"] == 5
    assert found["groups"] == 2
    assert found["marks"] == 4
    assert found["runs"] == 3
    assert found["symbols"] == 1
    assert found["emoji"] == 1
    assert found["breaks"] == 1
    assert found["indents"] == 1


def test_scripts_without_spaces_are_counted_by_character() -> None:
    counts = count("屋屋根。house", WORDS)
    assert counts.known == (200, 400, 500, 600)
    assert features(counts) == {"common": 3, "english": 1, "singles": 1, "symbols": 1, "runs": 1, "starts": 1}


def test_code_is_told_from_prose_by_line() -> None:
    shape = shape_of("Kva gjer denne funksjonen, og kor rask er han for lange lister?\nfor (let i = 0; i < n; i++) {\n")
    assert shape.prose is not None
    assert shape.code is not None
    assert shape.prose.characters == 64
    assert shape.code.characters == 30
    assert shape_of("Hun sa (med rette) at dette «ikke» var A/B-testing; prisen er 100-200 kr.").code is None


def test_a_long_text_is_scaled_up_from_its_excerpt() -> None:
    sentence = "Det var en gang en konge som bodde i et slott ved sjøen. "
    one, many = shape_of(sentence * 5).prose, shape_of(sentence * 500).prose
    assert one is not None
    assert many is not None
    assert many.characters == pytest.approx(len(sentence) * 500, rel=0.01)
    assert many.known[0] == pytest.approx(one.known[0] * 100, rel=0.05)
    assert many.rest[FEATURES.index("starts")] == 1


def test_instructions_and_earlier_turns_are_part_of_it() -> None:
    alone, whole = shape_of("Hei på deg."), shape_of("Hei på deg.", "You are a helpful assistant.", ("Hallo!",))
    assert alone.prose is not None
    assert whole.prose is not None
    assert whole.prose.characters == len("Hei på deg.") + len("You are a helpful assistant.") + len("Hallo!")
    assert whole.prose.rest[FEATURES.index("starts")] == 3
    assert shape_of("") == Shape()


def test_a_shape_survives_the_decision_log() -> None:
    shape = shape_of("Kva er fjord? x = {1: 2}")
    assert msgspec.json.decode(msgspec.json.encode(shape), type=Shape) == shape
    assert b"fjord" not in msgspec.json.encode(shape)


@given(st.text(st.characters(), max_size=3 * MOST) | st.text("aB1 .\n\t{}😀屋ก\u0301", max_size=3 * MOST))
def test_any_text_has_a_shape(text: str) -> None:
    shape = shape_of(text, text[::-1], (text,))
    for part in (shape.prose, shape.code):
        if part is not None:
            assert part.characters >= 0
            assert min(part.known) >= 0
            assert min(part.rest) >= 0
            assert len(part.rest) == len(FEATURES)
