"""Expected tokens of a text, against the published counts that the table was made from."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.fleet.fertility import table
from serve.fleet.lexicon import BASES
from serve.routing.records import Counts, Shape
from serve.routing.shape import shape_of
from serve.routing.tokens import (
    PER_PROMPT,
    PER_TURN,
    covered,
    estimate,
    expected,
    family,
    fertility,
    overhead,
    prose_share,
    same_content,
)

pytestmark = pytest.mark.unit

# Texts with the counts of the real tokenizers (bench/fertility/counting.py).
COUNTED = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "token_counts.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("tokenizer", BASES)
def test_the_real_tokenizers_count_much_the_same(tokenizer: str) -> None:
    errors, sums = [], defaultdict(lambda: [0.0, 0.0])
    for row in COUNTED:
        if row["lang"] == "zxx":
            continue
        found, counted = estimate(fertility(tokenizer, row["lang"]), shape_of(row["text"])), row["tokens"][tokenizer]
        errors.append(abs(found / counted - 1))
        sums[row["lang"]][0] += found
        sums[row["lang"]][1] += counted
    assert median(errors) < 0.05
    assert median(abs(found / counted - 1) for found, counted in sums.values()) < 0.05


@pytest.mark.parametrize("tokenizer", BASES)
@pytest.mark.parametrize("lang", ["en", "nb", "th"])
def test_code_does_not_count_as_prose(tokenizer: str, lang: str) -> None:
    for row in COUNTED:
        if row["lang"] == "zxx":
            found = estimate(fertility(tokenizer, lang), shape_of(row["text"]))
            assert found == pytest.approx(row["tokens"][tokenizer], rel=0.25)


def test_prose_chat_lines_and_what_lies_between() -> None:
    row = fertility("llama3", "nb")
    assert (row.prose, row.short) == (0.3128, 0.3591)
    assert prose_share(900, 1) == 1
    assert prose_share(20, 1) == 0
    assert prose_share(75, 1) == 0.5
    assert prose_share(900, 45) == 0, "many short turns are chat lines"
    assert expected(row, None, 0, 10_000, 1, 0) == 3128
    assert expected(row, None, 0, 10_000, 0, 0) == 3591
    assert expected(row, None, 0, 10_000, 0.5, 0) in (3359, 3360)


def test_expected_counts_the_template() -> None:
    row = fertility("llama3", "en")
    assert expected(row, None, 0, 1000, prose_share(1000, 1), overhead(1, False)) == 214
    assert expected(row, None, 0, 1000, prose_share(1000, 2), overhead(2, True)) == 214 + 2 * PER_TURN + PER_PROMPT
    assert expected(row, None, 0, 0, prose_share(0, 1), overhead(1, False)) == 1


def test_an_unknown_language_is_the_worst_of_its_script() -> None:
    llama = family("llama3")
    assert fertility("llama3", "cy").prose == max(
        row.prose
        for tag, row in llama.items()
        if tag not in {"el", "ru", "bg", "uk", "ar", "hi", "th", "zh", "ja", "ko"}
    )
    assert fertility("llama3", "be").prose == max(llama[tag].prose for tag in ("ru", "bg", "uk"))
    assert fertility("llama3", "other", "Grek").prose == llama["el"].prose
    assert fertility("llama3", "other", "Geor").prose == max(row.prose for row in llama.values())


def test_an_unknown_tokenizer_is_counted_cautiously() -> None:
    assert fertility("nobody-knows", "de") == fertility("mistral7b", "de")


def test_the_same_content_costs_more_tokens_in_norwegian() -> None:
    assert same_content("llama3", "en") == 1.0
    assert same_content("llama3", "nb") == pytest.approx(1.50)
    assert same_content("llama3", "se") == pytest.approx(0.4397 / 0.2138, rel=1e-3), "no parallel text: by characters"
    assert same_content("normistral", "nn") < same_content("nemo", "nn")


def test_every_family_of_the_catalogue_has_every_language() -> None:
    languages = set(table()["llama3"])
    assert len(languages) == 40
    assert {"llama3", "nemo", "mistral7b", "gemma2", "eurollm", "normistral"} == set(table())
    assert all(set(rows) == languages for rows in table().values())
    assert table()["eurollm"]["nb"].status == "proxy"
    assert table()["normistral"]["nn"].status == "card"
    assert table()["normistral"]["de"].status == "proxy"


@pytest.mark.parametrize("tokenizer", BASES)
def test_english_under_a_norwegian_instruction_counts_as_english(tokenizer: str) -> None:
    row = next(row for row in reversed(COUNTED) if row["lang"] == "nb")
    assert "city council" in row["text"]
    assert estimate(fertility(tokenizer, "nb"), shape_of(row["text"])) == pytest.approx(
        row["tokens"][tokenizer], rel=0.1
    )


def test_a_card_s_figure_for_norwegian_says_nothing_of_code_and_english() -> None:
    code = next(row["text"] for row in COUNTED if row["lang"] == "zxx")
    nemo, normistral = fertility("nemo", "nb"), fertility("normistral", "nb")
    assert normistral.scale < 0.7
    assert estimate(normistral, shape_of(code)) == estimate(nemo, shape_of(code))
    english = shape_of(
        "The city council voted to close the old harbour to cars from next summer, and shops fear for it."
    )
    assert estimate(normistral, english) == pytest.approx(estimate(fertility("nemo", "en"), english), rel=0.1)


def test_what_the_shape_does_not_cover_counts_like_what_it_covers() -> None:
    text = "Regjeringen la fram en ny plan for vindkraft langs kysten, og kommunene har sagt at de vil lese den. " * 3
    row, shape = fertility("llama3", "nb"), shape_of(text)
    seen = expected(row, shape, covered(shape), len(text), 1, 0)
    assert expected(row, shape, covered(shape), 3 * len(text), 1, 0) == pytest.approx(3 * seen, abs=1)
    few = shape_of("Ja!")
    assert expected(row, few, covered(few), 10_000, 1, 0) == pytest.approx(3128, abs=10), (
        "three characters say nothing of the rest"
    )
    with_tools = expected(row, shape, covered(shape), len(text) + 1000, 1, 0, structured=1000)
    assert with_tools == pytest.approx(seen + 1000 * row.code_per_character, abs=1)


def test_a_shape_of_another_version_is_not_misread() -> None:
    row = fertility("llama3", "nb")
    old = Shape(Counts(100, (1,), (1, 2, 3)))
    assert expected(row, old, covered(old), 100, 1, 0) == expected(row, None, 0, 100, 1, 0)


@given(st.text(max_size=400), st.sampled_from(["nb", "en", "zh", "other"]), st.sampled_from(["llama3", "normistral"]))
def test_counts_are_never_below_one(text: str, lang: str, tokenizer: str) -> None:
    row = fertility(tokenizer, lang)
    assert estimate(row, shape_of(text)) >= 0
    assert expected(row, shape_of(text), covered(shape_of(text)), len(text), 1, 0) >= 1
    assert expected(row, Shape(), covered(Shape()), len(text), 1, 0) >= 1
