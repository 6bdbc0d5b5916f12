"""Whether a reply is in the wanted language, and what wrong ones cost a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.routing.records import Language, LanguageSource
from serve.routing.reply import ReplyReader, Verdict, Wanted, judge, wanted_of

pytestmark = pytest.mark.unit

SENTENCES: dict[str, list[str]] = {}
for line in (Path(__file__).parents[2] / "data" / "sentences.jsonl").read_text(encoding="utf-8").splitlines():
    row = json.loads(line)
    SENTENCES.setdefault(row["lang"], []).append(row["text"])


def language(tag: str, answer: str | None = None, *others: tuple[str, float]) -> Language:
    rest = 1.0 - sum(p for _, p in others)
    return Language(tag, ((tag, rest), *others), answer or tag, LanguageSource.TEXT)


def verdict(text: str, wanted: Language) -> Verdict:
    return judge(text, wanted_of(wanted)).verdict


@pytest.mark.parametrize("tag", sorted(SENTENCES))
def test_a_reply_in_the_wanted_language_is_never_wrong(tag: str) -> None:
    for text in SENTENCES[tag]:
        assert verdict(text, language(tag)) is not Verdict.WRONG


@pytest.mark.parametrize("tag", sorted(set(SENTENCES) - {"en"}))
def test_english_where_another_language_was_wanted_is_wrong(tag: str) -> None:
    text = "A fjord is a long and narrow arm of the sea between high cliffs, which a glacier has carved out."
    judged = judge(text, wanted_of(language(tag)))
    assert (judged.verdict, judged.tag) == (Verdict.WRONG, "en")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Oslo.",
        "42",
        "🎉🎉🎉",
        '{"name": "The capital of Norway is Oslo and it has many inhabitants", "value": 3}',
        "```python\ndef main(argument):\n    return the_capital_of_norway_is_oslo(argument)\n```",
        "Ingrid Johansen, Thomas Smith, Maria Garcia, Peter Müller, Anna Kowalska, John Brown",
        "| 1 | 2 | 3 |\n|---|---|---|\n| 4 | 5 | 6 |",
        "https://example.org/the/capital/of/norway/is/oslo/and/it/has/many/inhabitants",
    ],
)
def test_what_is_no_prose_is_unknown(text: str) -> None:
    assert verdict(text, language("nn")) is Verdict.UNKNOWN


def test_where_the_wanted_language_is_unknown_so_is_the_verdict() -> None:
    assert wanted_of(language("other")) is None
    assert judge(SENTENCES["en"][0], None).verdict is Verdict.UNKNOWN


NB = "En fjord er en lang og smal arm av havet mellom høye fjell, og mange av dem er svært dype. Jeg liker dem ikke."
NN = "Ein fjord er ein lang og smal arm av havet mellom høge fjell, og mange av dei er svært djupe. Eg likar dei ikkje."


def test_bokmal_for_nynorsk_is_wrong_only_where_nynorsk_is_certain() -> None:
    assert verdict(NB, language("en", "nn")) is Verdict.WRONG  # asked for by name
    assert verdict(NB, language("nn")) is Verdict.WRONG
    assert verdict(NB, language("nn", None, ("nb", 0.3))) is Verdict.RIGHT
    assert verdict(NN, language("nb", None, ("nn", 0.2))) is Verdict.RIGHT
    assert verdict(NN, language("nn")) is Verdict.RIGHT


def test_a_language_that_is_asked_for_is_wanted_and_not_that_of_the_text() -> None:
    german = "Ein Fjord ist ein langer und schmaler Meeresarm zwischen hohen Bergen, den ein Gletscher geschaffen hat."
    assert verdict(german, language("nb", "de")) is Verdict.RIGHT
    assert verdict(NB, language("nb", "de")) is Verdict.WRONG


def test_code_before_prose_is_passed_over() -> None:
    code = "```python\n" + "value = compute(value, other_value)\n" * 10 + "```\n"
    reader = ReplyReader()
    assert reader.feed(code[:200]) is True, "the fence is open: go on"
    assert reader.feed(code[200:]) is True
    assert reader.feed(NB * 3) is False
    assert reader.judge(wanted_of(language("de"))).verdict is Verdict.WRONG
    assert reader.judge(wanted_of(language("nb"))).verdict is Verdict.RIGHT


@given(st.text(max_size=3000), st.lists(st.integers(1, 200), max_size=20))
def test_any_cutting_of_a_reply_gives_one_verdict(text: str, cuts: list[int]) -> None:
    reader, at = ReplyReader(), 0
    for cut in (*cuts, len(text)):
        reader.feed(text[at : at + cut])
        at += cut
    wanted = Wanted("nb", frozenset(("nb",)))
    assert reader.judge(wanted) == judge(text, wanted)
    assert len(reader.text) <= 1500
