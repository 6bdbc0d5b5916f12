"""Random weights under the names that transformers and vLLM expect, a function of the model's id alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve.engines.tiny.recipe import Recipe

Array = NDArray[np.float32]

MODEL_TYPES = {"LlamaForCausalLM": "llama", "MistralForCausalLM": "mistral", "Gemma2ForCausalLM": "gemma2"}

# The residual stream of a transformer with freshly drawn weights is dominated by the embedding of the last token, and
# greedy text then runs into a loop of two tokens; larger projections let the context speak. Found by trying.
GAIN = 2.0
EMBEDDING_STD = 0.25
# With tied embeddings the last token is its own likeliest successor, until what the layers add outweighs it.
TIED_POST_NORM = 9.0
POST_NORMS = ("post_attention_layernorm", "post_feedforward_layernorm")


def config(recipe: Recipe, bos: int, text_end: int) -> dict[str, Any]:
    """`config.json`: the recipe in the architecture's own words. `bos` and `text_end` are token ids."""
    values: dict[str, Any] = {
        "architectures": [recipe.class_name],
        "model_type": MODEL_TYPES[recipe.class_name],
        "vocab_size": recipe.vocab,
        "hidden_size": recipe.hidden,
        "intermediate_size": recipe.ffn,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "num_key_value_heads": recipe.kv_heads,
        "head_dim": recipe.head_dim,
        "max_position_embeddings": recipe.context_tokens,
        "rope_theta": recipe.rope_theta,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": recipe.tied_embeddings,
        "torch_dtype": "float32",
        "bos_token_id": bos,
        "eos_token_id": text_end,
    }
    if recipe.class_name == "Gemma2ForCausalLM":
        return values | {
            "hidden_activation": "gelu_pytorch_tanh",
            "query_pre_attn_scalar": recipe.head_dim,
            "sliding_window": recipe.sliding_window_tokens,
            "attn_logit_softcapping": recipe.attention_softcap,
            "final_logit_softcapping": recipe.final_softcap,
        }
    values["hidden_act"] = "silu"
    if recipe.class_name == "MistralForCausalLM":
        values["sliding_window"] = recipe.sliding_window_tokens
    return values


def tensors(recipe: Recipe, special_tokens: int) -> dict[str, Array]:
    """All weights. The first `special_tokens` output rows are zero, so that greedy text never ends by chance."""
    draw = np.random.RandomState(recipe.seed)  # the one numpy generator whose stream is promised never to change
    # Gemma multiplies by (1 + w), the others by w.
    norm = np.zeros if recipe.class_name == "Gemma2ForCausalLM" else np.ones
    out: dict[str, Array] = {}
    embedding = _normal(draw, recipe.vocab, recipe.hidden, EMBEDDING_STD)
    out["model.embed_tokens.weight"] = embedding
    for layer in range(recipe.layers):
        prefix = f"model.layers.{layer}"
        for name, rows, columns in _projections(recipe):
            out[f"{prefix}.{name}.weight"] = _normal(draw, rows, columns, GAIN / columns**0.5)
        for name in _norms(recipe):
            out[f"{prefix}.{name}.weight"] = norm(recipe.hidden, dtype=np.float32)
            if recipe.tied_embeddings and name in POST_NORMS:
                out[f"{prefix}.{name}.weight"] += TIED_POST_NORM
    out["model.norm.weight"] = norm(recipe.hidden, dtype=np.float32)
    head = embedding
    if not recipe.tied_embeddings:
        head = _normal(draw, recipe.vocab, recipe.hidden, EMBEDDING_STD)
        out["lm_head.weight"] = head
    head[:special_tokens] = 0
    return out


def _normal(draw: np.random.RandomState, rows: int, columns: int, std: float) -> Array:
    return (draw.standard_normal((rows, columns)) * std).astype(np.float32)


def _projections(recipe: Recipe) -> Iterator[tuple[str, int, int]]:
    """(name, output rows, input columns) of each matrix of a layer."""
    query = recipe.heads * recipe.head_dim
    key_value = recipe.kv_heads * recipe.head_dim
    yield "self_attn.q_proj", query, recipe.hidden
    yield "self_attn.k_proj", key_value, recipe.hidden
    yield "self_attn.v_proj", key_value, recipe.hidden
    yield "self_attn.o_proj", recipe.hidden, query
    yield "mlp.gate_proj", recipe.ffn, recipe.hidden
    yield "mlp.up_proj", recipe.ffn, recipe.hidden
    yield "mlp.down_proj", recipe.hidden, recipe.ffn


def _norms(recipe: Recipe) -> tuple[str, ...]:
    names: tuple[str, ...] = ("input_layernorm", "post_attention_layernorm")
    if recipe.class_name == "Gemma2ForCausalLM":
        names += ("pre_feedforward_layernorm", "post_feedforward_layernorm")
    return names
