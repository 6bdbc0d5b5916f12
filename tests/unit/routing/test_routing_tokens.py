"""Expected tokens of a text, against the published counts that the table was made from."""

from __future__ import annotations

import pytest

from serve.fleet.fertility import table
from serve.routing.tokens import PER_PROMPT, PER_TURN, expected, family, fertility, overhead, prose_share, same_content

pytestmark = pytest.mark.unit


def test_prose_chat_lines_and_what_lies_between() -> None:
    row = fertility("llama3", "nb")
    assert (row.prose, row.short) == (0.3128, 0.3591)
    assert prose_share(900, 1) == 1
    assert prose_share(20, 1) == 0
    assert prose_share(75, 1) == 0.5
    assert prose_share(900, 45) == 0, "many short turns are chat lines"
    assert expected(row, 10_000, 1, 0) == 3128
    assert expected(row, 10_000, 0, 0) == 3591
    assert expected(row, 10_000, 0.5, 0) in (3359, 3360)


def test_expected_counts_the_template() -> None:
    row = fertility("llama3", "en")
    assert expected(row, 1000, prose_share(1000, 1), overhead(1, False)) == 214
    assert expected(row, 1000, prose_share(1000, 2), overhead(2, True)) == 214 + 2 * PER_TURN + PER_PROMPT
    assert expected(row, 0, prose_share(0, 1), overhead(1, False)) == 1


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
