"""What a tiny model follows from. Two models with the same recipe are the same bytes; a changed recipe is rebuilt."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from serve.errors import LocalError
from serve.fleet import Model, Role
from serve.fleet.card import Kind
from serve.fleet.tiny import FFN, HEAD_DIM, HEADS, HIDDEN, KV_HEADS, LAYERS, VOCAB

# Raised by whoever changes what `weights`, `tokenizer` or `templates` make of a recipe.
VERSION = 1

ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM", "Gemma2ForCausalLM")

CORPUS = Path(__file__).with_name("corpus.tsv")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a tiny model's bytes."""

    model_id: str
    class_name: str
    context_tokens: int
    languages: tuple[str, ...]
    family: str  # the card's tokenizer family: whose special tokens and turns it speaks
    template: bool
    system_role: bool
    tools: bool
    reasoning: bool
    rope_theta: float
    sliding_window_tokens: int | None
    attention_softcap: float | None
    final_softcap: float | None
    tied_embeddings: bool
    layers: int = LAYERS
    hidden: int = HIDDEN
    ffn: int = FFN
    heads: int = HEADS
    kv_heads: int = KV_HEADS
    head_dim: int = HEAD_DIM
    vocab: int = VOCAB

    @property
    def digest(self) -> str:
        """Hex digest of the recipe, its version and the corpus: the name of the model's directory."""
        text = json.dumps([VERSION, asdict(self), corpus_digest()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def seed(self) -> int:
        """Seed of the weights and of the tokenizer's share of languages; a function of the id alone."""
        return int.from_bytes(hashlib.sha256(self.model_id.encode()).digest()[:4], "big")


def recipe(model: Model) -> Recipe:
    """The recipe of a fleet's model. Raises LocalError for an architecture that has no tiny stand-in."""
    card = model.card
    shape = card.architecture
    if shape is None or shape.class_name not in ARCHITECTURES:
        found = shape.class_name if shape else "none"
        raise LocalError(
            f"{model.id}: weights: tiny needs one of the architectures {', '.join(ARCHITECTURES)}, "
            f"and the card's is {found}"
        )
    roles = card.template.roles if card.template else ()
    return Recipe(
        model_id=model.id,
        class_name=shape.class_name,
        context_tokens=card.context_tokens,
        languages=card.languages_declared,
        family=card.tokenizer,
        template=card.template is not None,
        system_role=Role.SYSTEM in roles,
        tools=bool(card.template and card.template.tools),
        reasoning=card.kind is Kind.REASONING,
        rope_theta=shape.rope_theta,
        sliding_window_tokens=shape.sliding_window_tokens,
        attention_softcap=shape.attention_softcap,
        final_softcap=shape.final_softcap,
        tied_embeddings=shape.tied_embeddings,
    )


@cache
def corpus_digest() -> str:
    """Hex digest of the text that the tokenizers learn from."""
    return hashlib.sha256(CORPUS.read_bytes()).hexdigest()
