"""The rules that `serve.fleet` restates are the installed vLLM's, and the catalogue names parsers that it has."""

from __future__ import annotations

import pytest

from serve.fleet import catalogue, memory
from serve.fleet.card import ModelCard

pytestmark = pytest.mark.integration

CARDS = {name: ModelCard.model_validate(catalogue.raw(name)) for name in catalogue.names()}


@pytest.mark.parametrize("layers", [8, 32, 40, 42, 54, 80])
@pytest.mark.parametrize("stages", [1, 2, 3, 4, 8])
def test_pipeline_stages(layers: int, stages: int) -> None:
    from vllm.distributed.utils import get_pp_indices

    bounds = [get_pp_indices(layers, stage, stages) for stage in range(stages)]
    assert memory.stage_layers(layers, stages) == tuple(end - start for start, end in bounds)


@pytest.mark.parametrize("vocab", [1, 63, 64, 2000, 51_200, 128_000, 128_256, 256_000])
def test_vocabulary_padding(vocab: int) -> None:
    from vllm.model_executor.layers.vocab_parallel_embedding import pad_vocab_size

    assert memory.padded_vocab(vocab) == pad_vocab_size(vocab)


def test_the_catalogues_architectures_are_vllms() -> None:
    from vllm.model_executor.models import ModelRegistry

    supported = set(ModelRegistry.get_supported_archs())
    assert {card.architecture.class_name for card in CARDS.values() if card.architecture} <= supported


def test_the_catalogues_parsers_are_vllms() -> None:
    from vllm.reasoning import ReasoningParserManager
    from vllm.tool_parsers import ToolParserManager

    for name, card in CARDS.items():
        if card.reasoning_parser:
            assert ReasoningParserManager.get_reasoning_parser(card.reasoning_parser), name
        if card.tool_parser:
            assert ToolParserManager.get_tool_parser(card.tool_parser), name


def test_kv_cache_of_a_sliding_window_may_be_the_whole_context() -> None:
    # Why serve.fleet does not count on windows: with a large GPU's batch, Gemma 2 keeps all of its context.
    import torch
    from vllm.v1.kv_cache_interface import SlidingWindowSpec

    gemma = CARDS["gemma-2-9b-it"]
    arch = gemma.architecture
    assert arch is not None
    assert arch.sliding_window_tokens is not None
    spec = SlidingWindowSpec(
        block_size=16,
        num_kv_heads=arch.kv_heads,
        head_size=arch.head_dim,
        dtype=torch.bfloat16,
        sliding_window=arch.sliding_window_tokens,
    )
    blocks = spec.max_admission_blocks_per_request(max_in_flight_tokens=8192, max_model_len=gemma.context_tokens)
    assert blocks * 16 >= gemma.context_tokens
