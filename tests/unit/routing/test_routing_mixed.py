"""Texts that hold more than their author's words: a rule of docs/routing.md each."""

from __future__ import annotations

import time

import pytest

from serve.routing import Request
from serve.routing.identify import EXPECTED
from serve.routing.language import detect
from serve.routing.mixed import read

pytestmark = pytest.mark.unit

ARTICLE = (
    "The mitochondria are membrane-bound organelles that generate most of the chemical energy needed to power the "
    "cell. They were first described in the nineteenth century, and their structure was resolved decades later."
)
NACHRICHT = (
    "Der Bundestag hat am Donnerstag ein neues Gesetz beschlossen. Die Opposition kritisierte die Entscheidung scharf "
    "und kündigte eine Klage vor dem Verfassungsgericht an."
)
CODE = "def add(a, b):\n    return a + b\n\nfor item in the_list:\n    print(item, end=' ')\n"
TABLE = (
    "| Name | Country | Number of people |\n|---|---|---|\n| Oslo | Norway | 709037 |\n| Bergen | Norway | 291940 |\n"
)
DATA = '{\n  "title": "Quarterly report of the sales team",\n  "author": "Jane Smith",\n  "status": "for review"\n}\n'


def said(text: str) -> str:
    posterior = read(text).posterior
    return posterior[0][0] if posterior else "nothing"


INSTRUCTIONS = {
    "nn": "Kva handlar artikkelen om, og kven har skrive han?",
    "nb": "Hva handler artikkelen om, og hvem har skrevet den?",
    "sv": "Vad handlar texten om och vem har skrivit den?",
    "fi": "Mistä teksti kertoo ja kuka sen on kirjoittanut?",
    "fr": "De quoi parle ce texte et qui l'a écrit ?",
    "es": "¿De qué trata este texto y quién lo escribió?",
    "pl": "O czym jest ten tekst i kto go napisał?",
    "ru": "О чём этот текст и кто его написал?",
    "ja": "この記事は何について書かれていますか。",
    "ar": "عن ماذا يتحدث هذا المقال ومن كتبه؟",
}


@pytest.mark.parametrize("pasted", [ARTICLE, NACHRICHT, "\n\n".join([ARTICLE] * 12)], ids=["english", "german", "long"])
@pytest.mark.parametrize(("tag", "instruction"), INSTRUCTIONS.items(), ids=INSTRUCTIONS)
def test_an_instruction_counts_before_and_after_what_was_pasted(tag: str, instruction: str, pasted: str) -> None:
    assert said(f"{instruction}\n\n{pasted}") == tag
    assert said(f"{pasted}\n\n{instruction}") == tag
    assert said(f'{instruction}\n"{pasted}"') == tag


@pytest.mark.parametrize(("tag", "text"), [
    ("sv", "Sammanfatta följande artikel:"), ("de", "Fasse den folgenden Artikel zusammen:"),
    ("fr", "Résume cet article :"), ("pl", "Streść ten artykuł:"),
    ("zh", "请总结以下文章："), ("es", "Resume el siguiente artículo:"),
])  # fmt: skip
def test_two_words_before_a_colon_are_an_instruction(tag: str, text: str) -> None:
    assert said(f"{text} {ARTICLE}") == tag
    assert said(f"{text}\n{ARTICLE}") == tag


def test_a_text_in_one_language_is_in_it_whatever_its_headings_are() -> None:
    assert said(f"Amsterdam, Berlin\n\n{ARTICLE}\n\nJohn Smith, Paris") == "en"
    assert said(f"HIV/AIDS:\n{ARTICLE}") == "en"
    assert said(f"{ARTICLE}\n\n{ARTICLE}") == "en"


def test_a_quotation_at_the_end_that_a_colon_announces_is_no_question() -> None:
    text = "Hei! Jeg lurer på noe som jeg ikke helt forstår i denne setningen:\n\nThe cell needs power."
    assert said(text) == "nb"


@pytest.mark.parametrize(
    "material", [CODE, f"```python\n{CODE}```", TABLE, DATA], ids=["code", "fenced", "table", "json"]
)
def test_code_tables_and_json_do_not_count(material: str) -> None:
    assert said(f"Kan du forklare meg hva dette er?\n\n{material}") == "nb"
    assert said(f"{material}\nKorleis kan eg gjere dette om til noko betre?") == "nn"


@pytest.mark.parametrize("material", [CODE, f"```\n{CODE}```", DATA], ids=["code", "fenced", "json"])
def test_code_and_json_alone_say_nothing(material: str) -> None:
    assert said(material) == "nothing"


def test_a_system_prompt_does_not_decide_the_language_of_the_text() -> None:
    request = Request(text="Kor mange bur i Bergen no?", instructions="You are a helpful assistant. " * 30)
    assert detect(request, {}, 0.5).tag == "nn"


@pytest.mark.parametrize(("tag", "text"), [
    ("ru-Latn", "Privet, kak dela? Chto novogo segodnya na rabote?"),
    ("el-Latn", "pou eisai tora, ti kaneis simera to vradi"),
    ("hi-Latn", "aap kaise ho, mujhe batao ki kya hua hai"),
])  # fmt: skip
def test_a_language_in_letters_that_are_not_its_own_is_none_of_the_catalogue(tag: str, text: str) -> None:
    assert said(text) == tag
    assert tag not in EXPECTED
    assert detect(Request(text=text), {}, 0.5).tag == tag


@pytest.mark.parametrize("text", ["", "42 000,50", "🙂🎉👍🏽", "12:30 – 14:45", "\u200b\u200b", "https://example.com"])
def test_numbers_emoji_and_links_say_nothing(text: str) -> None:
    assert read(text).posterior is None


def test_two_hundred_kilobytes_cost_what_two_thousand_characters_cost() -> None:
    block = f"{INSTRUCTIONS['nb']}\n" + "\n".join([ARTICLE] * 1000)
    assert len(block) > 200_000
    read(block)
    began = time.process_time()
    assert said(block) == "nb"
    assert time.process_time() - began < 1  # reading all of it takes several; a millisecond is what it takes


def test_lines_that_look_like_code_all_the_way_are_read_quickly() -> None:
    for text in ("from " * 40_000, "a = " * 50_000 + ";\n;\n", "(" * 200_000, ("x" * 3999 + ":\n") * 40, '"' * 100_000):
        read(text[:1000])
        began = time.process_time()
        read(text)
        assert time.process_time() - began < 1  # a quadratic expression takes minutes
