"""One word of a language at a model: what prices per 1,000 words and the gateway's counter of words rest on."""

import pytest

from serve.fleet import loader
from serve.fleet.card import Kind
from serve.fleet.words import characters_per_word
from serve.routing import tokens
from serve.routing.cost import REASONING_FACTOR
from serve.routing.words import word

pytestmark = pytest.mark.unit

FLEET = loader.laptop()
BIG = FLEET.model(FLEET.reference)


def test_a_word_has_its_languages_characters_and_the_models_tokens_for_them():
    found = word(BIG, "nb")
    assert found.characters == characters_per_word()["nb"]
    assert found.read_tokens == found.characters * tokens.fertility(BIG.card.tokenizer, "nb").prose
    assert found.written_tokens == found.read_tokens
    assert not found.by_content


def test_where_nothing_stands_between_words_it_is_what_an_english_one_says():
    thai = word(BIG, "th")
    assert thai.by_content
    ratio = thai.read_tokens / word(BIG, "en").read_tokens
    assert ratio == pytest.approx(tokens.same_content(BIG.card.tokenizer, "th"))


def test_thoughts_are_written_and_not_read():
    thinker = BIG.model_copy(update={"card": BIG.card.model_copy(update={"kind": Kind.REASONING})})
    found = word(thinker, "en")
    assert found.read_tokens == word(BIG, "en").read_tokens
    assert found.written_tokens == found.read_tokens * REASONING_FACTOR


def test_a_language_that_nobody_counted_has_words_too():
    assert word(BIG, "other").read_tokens > 0
