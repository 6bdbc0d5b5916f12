"""Words that tell a language from its larger neighbour, and letters that only look Cyrillic."""

from __future__ import annotations

import pytest

from serve.routing import Request
from serve.routing.accuracy import best_guess
from serve.routing.language import detect
from serve.routing.neighbours import SERBO_CROATIAN, serbo_croatian, smaller
from serve.routing.sample import sample

pytestmark = pytest.mark.unit


def guess(text: str) -> str:
    return best_guess(detect(Request(text=text), {}, 0.5).posterior)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("Predsednik je rekao da će posle sednice videti šta se dešava.", "sr-Latn"),
        ("Sledeće nedelje devojke pevaju lepe pesme na nemačkom.", "sr-Latn"),
        ("Tisuće ljudi sudjelovale su u prosvjedu ispred kazališta tijekom tjedna.", "hr"),
        ("Obitelj je u srpnju otputovala vlakom, a liječnik je ostao u županiji.", "hr"),
    ],
)
def test_one_of_three_is_told_by_its_words(text: str, tag: str) -> None:
    scores = dict(zip(SERBO_CROATIAN, serbo_croatian(text), strict=True))
    assert max(scores, key=scores.__getitem__) == tag
    assert guess(text) == tag


def test_words_that_all_three_have_say_nothing() -> None:
    assert serbo_croatian("Dobar dan, kako ste danas?") == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "larger", "tag"),
    [
        ("Hy het gesê dat hulle baie water vir die kinders sal bring.", "nl", "af"),
        ("Déi Leit hunn an deem Haus gewunnt, datt ass awer net méi wouer.", "de", "lb"),
        ("Тој рече дека многу луѓе од градот ќе дојдат.", "bg", "mk"),
    ],
)
def test_a_smaller_neighbour_is_told_by_its_words(text: str, larger: str, tag: str) -> None:
    assert next(found for found, _ in smaller(text, larger)) == tag
    assert guess(text) == tag


@pytest.mark.parametrize("text", ["Ik heb gisteren met mijn moeder over het weer gesproken.", "Das Haus ist sehr alt."])
def test_the_larger_language_has_none_of_them(text: str) -> None:
    assert smaller(text, "nl") == smaller(text, "de") == []


def test_languages_that_no_model_speaks_compete_together() -> None:
    assert best_guess((("hr", 0.4), ("bs", 0.35), ("sr-Latn", 0.25))) == "bs"
    assert best_guess((("hr", 0.6), ("bs", 0.4))) == "hr"
    assert best_guess((("nb", 0.3), ("nn", 0.3), ("is", 0.2), ("other", 0.2))) == "nb"


def test_latin_letters_in_cyrillic_words_are_read_as_what_they_look_like() -> None:
    assert sample("Нe мoжe дa будe") == "Не може да буде"
    assert sample("Купи iPhone онлайн") == "Купи iPhone онлайн"
    assert sample("тест123test") == "тест test"
