"""The language that an answer is asked for in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.routing import Request
from serve.routing.answer import asked_for
from serve.routing.language import detect
from serve.routing.tags import rows

pytestmark = pytest.mark.unit

ASKED = [
    ("Svar på nynorsk: kva er ein fjord?", "nn"),
    ("Oversett til tysk: Jeg er trøtt", "de"),
    ("Omset til engelsk: Eg er trøytt", "en"),
    ("Skriv på dansk", "da"),
    ("Översätt till svenska: I am tired", "sv"),
    ("Svara á íslensku", "is"),
    ("Svara føroyskt", "fo"),
    ("Vástit davvisámegillii", "se"),
    ("Answer in German", "de"),
    ("Please reply only in plain English.", "en"),
    ("Translate to Thai: hello", "th"),
    ("Translate the following text from German to Norwegian Nynorsk:", "nn"),
    ("Antworte bitte auf Deutsch.", "de"),
    ("Übersetze ins Englische", "en"),
    ("Vertaal dit naar het Nederlands", "nl"),
    ("Réponds en français", "fr"),
    ("Traduce al alemán", "de"),
    ("Responde en español por favor", "es"),
    ("Responda em português", "pt"),
    ("Rispondi in inglese", "en"),
    ("Respon en català", "ca"),
    ("Răspunde în română", "ro"),
    ("Odpowiedz po polsku", "pl"),
    ("Odpověz česky", "cs"),
    ("Odpovedz po slovensky", "sk"),
    ("Odgovori na hrvatskom", "hr"),
    ("Prevedi v slovenščino", "sl"),
    ("Преведи на български", "bg"),
    ("Ответь на русском", "ru"),
    ("Відповідай українською", "uk"),
    ("Atsakyk lietuviškai", "lt"),
    ("Atbildi latviski", "lv"),
    ("Vasta eesti keeles", "et"),
    ("Vastaa suomeksi", "fi"),
    ("Írd meg magyarul", "hu"),
    ("Απάντησε στα ελληνικά", "el"),
    ("Freagair as Gaeilge", "ga"),
    ("Wieġeb bil-Malti", "mt"),
    ("Türkçe yanıtla", "tr"),
    ("ترجم إلى العربية", "ar"),
    ("हिंदी में उत्तर दो", "hi"),
    ("ตอบเป็นภาษาไทย", "th"),
    ("翻译成德语：你好", "de"),
    ("日本語で答えてください", "ja"),
    ("한국어로 답해줘", "ko"),
]
NOT_ASKED = [
    "Translate this German text",
    "Do not answer in English",
    "Kva er nynorsk?",
    "How many people live in Thailand?",
    "Explain the difference between Danish and Swedish",
    "Skriv eit dikt om norsk natur",
    "Write a German poem",
    "Give me a Thai recipe",
    "Tell me a Russian joke",
    "Skriv en norsk tekst",
    "",
]


@pytest.mark.parametrize(("text", "tag"), ASKED)
def test_asked(text: str, tag: str) -> None:
    assert asked_for(text) == tag


@pytest.mark.parametrize("text", NOT_ASKED)
def test_not_asked(text: str) -> None:
    assert asked_for(text) is None


def test_the_last_request_of_a_text_wins() -> None:
    assert asked_for("Oversett til tysk. Nei, oversett til fransk") == "fr"


def test_the_text_stands_above_the_system_prompt() -> None:
    assert asked_for("Hei på deg", "Always answer in German.") == "de"
    assert asked_for("Svar på nynorsk", "Always answer in German.") == "nn"


def test_a_request_at_the_end_of_a_long_text_is_seen() -> None:
    assert asked_for("word " * 5000 + "\nPlease answer in Finnish") == "fi"


def test_an_answer_is_in_the_language_of_the_text_unless_asked() -> None:
    assert detect(Request(text="Kan du skrive om fjordane på engelsk?"), {}, 0.5).answer == "en"
    assert detect(Request(text="Korleis vart fjordane til?"), {}, 0.5).answer == "nn"


def test_norwegian_for_a_nynorsk_writer_is_nynorsk_unless_bokmal_is_named() -> None:
    assert detect(Request(text="Kan du svare på norsk korleis fjordane vart til?"), {}, 0.5).answer == "nn"
    assert detect(Request(text="Kan du svare på bokmål korleis fjordane vart til?"), {}, 0.5).answer == "nb"


def test_every_language_of_the_table_can_be_asked_for_in_english() -> None:
    asked = {tag for ui, tag, _ in rows("names.tsv") if ui == "en"}
    assert {"nb", "nn", "se", "zh", "cy", "vi", "no"} <= asked
    for tag, name in rows("languages.tsv"):
        if tag in asked:
            assert asked_for(f"Please answer in {name}.") == tag, name


CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "answers.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("split", sorted({case["split"] for case in CASES}))
def test_requests_in_forty_languages_are_found_and_nothing_else(split: str) -> None:
    cases = [case for case in CASES if case["split"] == split]
    found = [(case, asked_for(case["text"], case.get("system", ""))) for case in cases]
    requests = [case["want"] == tag for case, tag in found if case["want"]]
    answers = [case["want"] == tag for case, tag in found if tag]
    assert len({case["lang"] for case in cases if case["want"]}) >= 17
    assert sum(requests) / len(requests) >= 0.95
    assert sum(answers) / len(answers) >= 0.98


def test_what_follows_the_colon_of_a_request_is_material() -> None:
    assert asked_for("Translate to German: Please answer in French.") == "de"
    assert asked_for("Translate to German: Guten Tag.\n\nNo, answer in French please.") == "fr"


def test_quotations_and_code_are_no_requests() -> None:
    assert asked_for('What does "Please answer in French" mean?') is None
    assert asked_for("Why does ```print('answer in French')``` fail?") is None
    assert asked_for("Que veut dire « répondez en anglais » ?") is None


def test_an_earlier_turn_counts_where_it_meant_to_last() -> None:
    assert asked_for("And the weather?", earlier=("From now on answer in German.",)) == "de"
    assert asked_for("Og været?", earlier=("Hei!", "Svar på nynorsk frå no av, er du snill.")) == "nn"
    assert asked_for("And the weather?", earlier=("Please reply in Italian.",)) == "it"
    assert asked_for("谢谢", earlier=("从现在起只用英语回答我。",)) == "en"
    assert asked_for("ありがとう", earlier=("これからは英語で答えてください。",)) == "en"
    assert asked_for("ขอบคุณ", earlier=("ต่อไปนี้ช่วยตอบเป็นภาษาอังกฤษเท่านั้น",)) == "en"
    assert asked_for("谢谢", earlier=("请帮我用西班牙语写一封短信给我的老师，告诉他明天我会迟到。",)) is None
    assert asked_for("Thanks", earlier=("Translate into German: good morning",)) is None
    assert asked_for("Thanks", earlier=("Can you write a poem about the long winter at the sea in German?",)) is None


def test_the_turn_stands_above_earlier_ones_and_these_above_the_system_prompt() -> None:
    earlier = ("From now on answer in German.",)
    assert asked_for("Reply in French", "Always answer in Polish.", earlier) == "fr"
    assert asked_for("Hello", "Always answer in Polish.", earlier) == "de"
    assert asked_for("Hello", "Always answer in Polish.") == "pl"


def test_a_request_in_the_middle_of_a_long_system_prompt_is_found() -> None:
    rule = "You help customers of a shop. Be polite. "
    assert asked_for("Hello", rule * 40 + "Always answer in Finnish. " + rule * 40) == "fi"


@given(st.text(max_size=200))
def test_no_text_makes_it_raise(text: str) -> None:
    asked_for(text)
    asked_for(f"Please answer in German {text}", text, (text,))


PILE = "answer in German French not please , . : svar på tysk ikke po polsku 用英语回答 で 日本語 で答えて ภาษาไทย"
WORDS = st.sampled_from((*PILE.split(), "\n"))


@given(st.lists(WORDS, max_size=30))
def test_no_pile_of_asking_words_makes_it_raise(words: list[str]) -> None:
    asked_for(" ".join(words), "", (" ".join(words[::-1]),))
