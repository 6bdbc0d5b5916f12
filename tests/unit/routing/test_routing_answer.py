"""The language that an answer is asked for in."""

from __future__ import annotations

import pytest

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
    ("Übersetze ins Englische", None),
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


@pytest.mark.parametrize(("text", "tag"), [(text, tag) for text, tag in ASKED if tag])
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
    for tag, name, _ in rows("languages.tsv"):
        assert asked_for(f"Please answer in {name}.") == tag, name
