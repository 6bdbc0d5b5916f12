"""What language a text is in: real sentences, short texts, hints, and everything that is no text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.routing import Hints, LanguageSource, Request
from serve.routing.language import detect
from serve.routing.scripts import script_of

pytestmark = pytest.mark.unit

SENTENCES = {
    "nb": "Kan du forklare meg hvordan jeg søker om foreldrepenger når jeg er selvstendig næringsdrivende?",
    "nn": "Kan du forklare meg korleis eg søkjer om foreldrepengar når eg er sjølvstendig næringsdrivande?",
    "da": "Kan du forklare mig, hvordan jeg søger om barselsdagpenge, når jeg er selvstændig?",
    "sv": "Kan du förklara för mig hur jag ansöker om föräldrapenning när jag är egenföretagare?",
    "is": "Geturðu útskýrt fyrir mér hvernig ég sæki um fæðingarorlof þegar ég er sjálfstætt starfandi?",
    "fo": "Kanst tú greiða mær frá, hvussu eg søki um barnsburðarfarloyvi, tá eg eri sjálvstøðugt vinnandi?",
    "se": "Sáhtátgo muitalit munnje mo mun galggan ohcat doarjaga go lean bargan iežan fitnodagas?",
    "en": "Could you explain to me how I apply for parental leave when I am self-employed?",
    "de": "Kannst du mir erklären, wie ich Elterngeld beantrage, wenn ich selbstständig bin?",
    "nl": "Kun je me uitleggen hoe ik ouderschapsverlof aanvraag als ik zelfstandige ben?",
    "fr": "Peux-tu m'expliquer comment demander un congé parental quand je suis indépendant ?",
    "es": "¿Puedes explicarme cómo solicito el permiso parental si soy trabajador autónomo?",
    "it": "Puoi spiegarmi come richiedere il congedo parentale se sono un lavoratore autonomo?",
    "pt": "Você pode me explicar como peço a licença parental quando trabalho por conta própria?",
    "ca": "Em pots explicar com demano el permís parental quan sóc treballador autònom?",
    "pl": "Czy możesz mi wyjaśnić, jak ubiegać się o urlop rodzicielski, gdy prowadzę firmę?",
    "cs": "Můžeš mi vysvětlit, jak požádám o rodičovskou dovolenou, když podnikám jako živnostník?",
    "fi": "Voitko selittää minulle, miten haen vanhempainrahaa, kun olen yrittäjä?",
    "et": "Kas sa saaksid mulle selgitada, kuidas taotleda vanemahüvitist, kui olen ettevõtja?",
    "hu": "El tudnád magyarázni, hogyan igényelhetek gyermekgondozási díjat egyéni vállalkozóként?",
    "lv": "Vai vari man paskaidrot, kā pieteikties vecāku pabalstam, ja esmu pašnodarbināts?",
    "mt": "Tista' tispjegali kif napplika għal-liv tal-ġenituri meta naħdem għal rasi?",
    "ga": "An féidir leat a mhíniú dom conas iarratas a dhéanamh ar shaoire tuismitheora?",
    "tr": "Serbest çalışıyorsam ebeveyn iznine nasıl başvuracağımı açıklayabilir misin?",
    "el": "Μπορείς να μου εξηγήσεις πώς κάνω αίτηση για γονική άδεια;",
    "ru": "Можешь объяснить, как мне подать заявление на отпуск по уходу за ребёнком?",
    "uk": "Чи можеш пояснити, як мені подати заяву на відпустку для догляду за дитиною?",
    "bg": "Можеш ли да ми обясниш как да подам заявление за родителски отпуск?",
    "ar": "هل يمكنك أن تشرح لي كيف أتقدم بطلب إجازة والدية وأنا أعمل لحسابي؟",
    "hi": "क्या आप मुझे समझा सकते हैं कि मैं पैतृक अवकाश के लिए आवेदन कैसे करूँ?",
    "th": "คุณช่วยอธิบายได้ไหมว่าฉันจะขอลาเลี้ยงดูบุตรได้อย่างไร",
    "ko": "자영업자가 육아휴직을 신청하려면 어떻게 해야 하는지 설명해 주실 수 있나요?",
    "ja": "自営業の場合、育児休業の申請方法を説明していただけますか。",
    "zh": "你能解释一下个体经营者如何申请育儿假吗？",
    "vi": "Bạn có thể giải thích cho tôi cách xin nghỉ phép chăm con không?",
    "he": "אתה יכול להסביר לי איך מגישים בקשה לחופשת לידה?",
}


def tag_of(text: str, **request: object) -> str:
    return detect(Request(text=text, **request), {}, 0.5).tag  # type: ignore[arg-type]


@pytest.mark.parametrize(("tag", "text"), SENTENCES.items(), ids=SENTENCES)
def test_a_sentence_is_in_its_language(tag: str, text: str) -> None:
    language = detect(Request(text=text), {}, 0.5)
    assert language.tag == tag
    assert not language.abstained
    assert language.answer == tag


@pytest.mark.parametrize("text", ["", " \n\t", "42", "3.14 + 2 = ?", "🙂🙂🎉", "http://example.com/kva-er-dette-for-noko",
                                  "kari@example.no", "```\nprint('hello world, how are you')\n```",
                                  "\x00\x00", "\ud800\udfff", "!!! ???"])  # fmt: skip
def test_what_says_nothing_is_other_and_never_english(text: str) -> None:
    language = detect(Request(text=text), {}, 0.5)
    assert (language.tag, language.posterior, language.source) == ("other", (("other", 1.0),), LanguageSource.NONE)
    assert language.abstained


@pytest.mark.parametrize("text", ["OK", "Berlin", "Berlin Peter", "lol", "xkcd qwrt zzz"])
def test_names_and_single_words_leave_it_open(text: str) -> None:
    language = detect(Request(text=text), {}, 0.5)
    assert (language.tag, language.abstained) == ("other", True)
    assert detect(Request(text=text, earlier=(SENTENCES["nn"],)), {}, 0.5).tag == "nn"
    assert detect(Request(text=text), {"nb": 0.9}, 0.5).tag == "nb"


@pytest.mark.parametrize(("tag", "text"), [
    ("de", "Danke schön"), ("fr", "merci beaucoup"), ("sv", "tack så mycket"), ("pt", "Obrigado"),
    ("nb", "takk skal du ha"), ("nn", "Eg veit ikkje"),
])  # fmt: skip
def test_two_words_that_are_one_language_are_enough(tag: str, text: str) -> None:
    language = detect(Request(text=text), {}, 0.5)
    assert (language.tag, language.abstained, language.source) == (tag, False, LanguageSource.TEXT)


def test_code_links_and_numbers_around_a_sentence_do_not_matter() -> None:
    noise = "```python\nfor item in the_list_of_things:\n    print(item, 'and then some more English words')\n```\n"
    assert tag_of(f"{SENTENCES['nn']}\n{noise}https://example.com/this/is/an/english/path 12345") == "nn"


def test_one_word_in_a_script_of_its_own_is_enough() -> None:
    language = detect(Request(text="Ευχαριστώ"), {}, 0.5)
    assert (language.tag, language.source) == ("el", LanguageSource.SCRIPT)
    assert tag_of("안녕") == "ko"
    assert tag_of("მადლობა") == "ka"


def test_han_characters_are_told_apart() -> None:
    assert tag_of("东京的首都是哪里，请告诉我") == "zh"
    assert tag_of("東京の天気") == "ja"
    assert tag_of("東京駅営業時間検索") == "ja"


def test_both_norwegian_standards_stay_when_close() -> None:
    posterior = dict(detect(Request(text="Eg er i Oslo i dag"), {}, 0.5).posterior)
    assert posterior["nn"] > 0.5
    unsure = detect(Request(text="Vi har det bra her i dag"), {}, 0.6)
    assert {"nb", "nn"} <= {tag for tag, _ in unsure.posterior}
    assert unsure.posterior[0][1] < 0.6
    assert unsure.tag == "nb", "together they are certain enough"


def test_what_says_nothing_takes_the_earlier_turns_then_the_prior() -> None:
    earlier = (SENTENCES["nn"], SENTENCES["de"])
    language = detect(Request(text="123", earlier=earlier), {"fr": 1.0}, 0.5)
    assert (language.tag, language.source, language.abstained) == ("nn", LanguageSource.EARLIER, True)
    language = detect(Request(text="123"), {"nb": 0.7, "se": 0.1}, 0.5)
    assert (language.tag, language.source, language.abstained) == ("nb", LanguageSource.PRIOR, True)
    assert dict(language.posterior) == pytest.approx({"nb": 0.7, "other": 0.2, "se": 0.1})
    mixed = detect(Request(text="123", mix=(("fi", 0.9), ("sv", 0.1))), {"nb": 1.0}, 0.5)
    assert mixed.tag == "fi", "the tenant's own languages before the fleet's"


def test_what_was_known_before_is_a_prior_that_a_clear_text_overrules() -> None:
    open_between = "Hvordan går det?"  # Danish and Bokmål alike
    alone = dict(detect(Request(text=open_between), {}, 0.3).posterior)
    assert min(alone["nb"], alone["da"]) > 0.1
    danish = detect(Request(text=open_between, earlier=(SENTENCES["da"],)), {}, 0.5)
    assert (danish.tag, danish.posterior[0][1] > 0.9) == ("da", True)
    assert detect(Request(text=open_between), {"nb": 0.8, "en": 0.2}, 0.5).tag == "nb"
    assert detect(Request(text=SENTENCES["sv"], earlier=(SENTENCES["da"],)), {"nb": 1.0}, 0.5).tag == "sv"


def test_a_hint_wins() -> None:
    language = detect(Request(text=SENTENCES["en"], hints=Hints(language="pt-BR")), {}, 0.5)
    assert (language.tag, language.posterior, language.source) == ("pt", (("pt", 1.0),), LanguageSource.HINT)


def test_norwegian_by_hint_is_settled_by_the_text_or_kept_open() -> None:
    hint = Hints(language="no")
    assert detect(Request(text=SENTENCES["nn"], hints=hint), {}, 0.5).tag == "nn"
    assert dict(detect(Request(text="Oslo", hints=hint), {}, 0.5).posterior) == {"nb": 0.5, "nn": 0.5}


def test_a_hint_that_is_no_tag_is_not_used() -> None:
    assert detect(Request(text=SENTENCES["de"], hints=Hints(language="x" * 5000)), {}, 0.5).tag == "de"


def test_an_improbable_top_is_other() -> None:
    text = "Amsterdam Berlin Paris Madrid Roma"
    assert detect(Request(text=text), {}, 0.9999).tag == "other"


def test_capitals_read_like_small_letters() -> None:
    assert tag_of(SENTENCES["de"].upper()) == "de"


def test_decomposed_accents_read_like_composed_ones() -> None:
    import unicodedata

    assert tag_of(unicodedata.normalize("NFD", SENTENCES["cs"])) == "cs"


def test_a_long_text_is_read_from_start_and_middle() -> None:
    assert tag_of((SENTENCES["fi"] + " ") * 3000) == "fi"


@pytest.mark.parametrize(("text", "script"), [("abc", "Latn"), ("", ""), ("123", ""), ("Привет abc", "Cyrl"),
                                              ("東京タワー", "Kana"), ("北京", "Hani"), ("ñandú", "Latn")])  # fmt: skip
def test_script(text: str, script: str) -> None:
    assert script_of(text) == script


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(), max_size=400), st.text(max_size=60), st.none() | st.text(max_size=12))
def test_any_text_has_a_posterior_that_sums_to_one(text: str, earlier: str, hint: str | None) -> None:
    language = detect(Request(text=text, earlier=(earlier,), hints=Hints(language=hint)), {"nb": 0.5}, 0.5)
    probabilities = [p for _, p in language.posterior]
    assert sum(probabilities) == pytest.approx(1.0, abs=1e-6)
    assert probabilities == sorted(probabilities, reverse=True)
    assert len({tag for tag, _ in language.posterior}) == len(probabilities)
