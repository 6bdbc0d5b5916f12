"""What a word is, for a price per 1,000 words: characters read of a prompt, and a model's tokens written."""

from __future__ import annotations

from typing import NamedTuple

from serve.fleet.card import Kind
from serve.fleet.description import Model
from serve.fleet.fertility import table
from serve.fleet.words import characters_per_word
from serve.routing import tokens
from serve.routing.cost import REASONING_FACTOR

ENGLISH = "en"


class Word(NamedTuple):
    """A word of a language at a model. `by_content`: the language has no words between spaces, or nobody counted them;
    it is what the content of an English word takes."""

    characters: float
    read_tokens: float
    written_tokens: float  # a reasoning model's thoughts included, as often as they are assumed to be
    by_content: bool


def word(model: Model, tag: str) -> Word:
    """A word in one language: characters a word x tokens a character."""
    row = tokens.fertility(model.card.tokenizer, tag)
    counted = characters_per_word()
    if tag in counted:
        characters, by_content = counted[tag], False
    else:
        english = counted[ENGLISH] * table()["llama3"][ENGLISH].prose  # Llama 3 tokens of an English word
        characters, by_content = english * tokens.same_content(model.card.tokenizer, tag) / row.prose, True
    read = characters * row.prose
    thinks = REASONING_FACTOR if model.card.kind is Kind.REASONING else 1.0
    return Word(characters, read, read * thinks, by_content)
