"""A model's own byte-level BPE, learnt in a second from the corpus, and the tokens that frame its turns."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from serve.engines.tiny.recipe import CORPUS, Recipe
from serve.fleet.loader import MACROLANGUAGES

# A declared language is read more often, so that its words become longer tokens: as with the real tokenizers, the
# same sentence costs fewer tokens in a language that the model was made for.
DECLARED_WEIGHT = 4


@dataclass(frozen=True, slots=True)
class Specials:
    """A family's special tokens, in the order of their ids. `stops` end a turn; the first is the EOS of the tokenizer.

    `text_end` ends a document; it stands in `config.json`, as with the real models.
    """

    bos: str
    text_end: str
    stops: tuple[str, ...]
    further: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every special token once; its index is its id."""
        return tuple(dict.fromkeys((self.bos, self.text_end, *self.stops, *self.further)))


CHATML = Specials("<s>", "</s>", ("<|im_end|>",), ("<|im_start|>",))
FAMILIES = {
    "llama3": Specials(
        "<|begin_of_text|>",
        "<|end_of_text|>",
        ("<|eot_id|>", "<|eom_id|>"),
        ("<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>"),
    ),
    "gemma2": Specials("<bos>", "<eos>", ("<end_of_turn>",), ("<start_of_turn>",)),
    "normistral": Specials("<s>", "</s>", (), ()),
    "eurollm": CHATML,
}
THINK = ("<think>", "</think>")


def specials(recipe: Recipe) -> Specials:
    """The special tokens of a recipe's family (ChatML's for a family that is not known); none frame a base model."""
    family = FAMILIES.get(recipe.family, CHATML)
    further = family.further + (THINK if recipe.reasoning else ())
    if not recipe.template:
        return Specials(family.bos, family.text_end, (), ())
    return Specials(family.bos, family.text_end, family.stops, further)


def train(recipe: Recipe) -> Tokenizer:
    """A tokenizer of exactly `recipe.vocab` tokens: specials first, then bytes, then merges. Deterministic."""
    tokens = specials(recipe)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocab,
        min_frequency=1,
        special_tokens=list(tokens.all),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample(recipe), trainer)
    if tokenizer.get_vocab_size() != recipe.vocab:
        raise AssertionError(f"{recipe.model_id}: the corpus yields {tokenizer.get_vocab_size()} tokens")
    bos = tokens.bos
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    return tokenizer


def sample(recipe: Recipe) -> list[str]:
    """The corpus as this model reads it: declared languages four times, each other line once or twice."""
    declared = {part for tag in recipe.languages for part in MACROLANGUAGES.get(tag, (tag,))}
    draw = random.Random(recipe.seed)  # noqa: S311 - a shuffle that must repeat, no secret
    texts: list[str] = []
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        language, text = line.split("\t", 1)
        texts += [text] * (DECLARED_WEIGHT if language in declared else draw.randint(1, 2))
    draw.shuffle(texts)
    return texts
