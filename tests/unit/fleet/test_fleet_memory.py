"""What a worker holds, against vLLM's own published figures and against its rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.fleet import catalogue, memory
from serve.fleet.card import Architecture, ModelCard
from serve.fleet.engine import Engine
from serve.fleet.gpus import gpu
from serve.fleet.memory import GIB, Layout

pytestmark = pytest.mark.unit


def arch(name: str) -> Architecture:
    found = ModelCard.model_validate(catalogue.raw(name)).architecture
    assert found is not None
    return found


LLAMA_8B = arch("suzume-llama-3-8b-multilingual")
LLAMA_70B = arch("llama-3.3-70b-instruct")
GEMMA = arch("gemma-2-9b-it")


@pytest.mark.parametrize(("ranks", "weights", "runtime"), [(1, 14.96, 1.79), (2, 7.48, 3.58)])
def test_llama_8b_weighs_what_vllm_reported(ranks: int, weights: float, runtime: float) -> None:
    # vllm-project/vllm pull request 10511, one and two H100: "model weights take", "non_torch_memory".
    spread = Layout(tensor_parallel=ranks, graphs=False)
    assert memory.need(LLAMA_8B, spread).weights / GIB == pytest.approx(weights, abs=0.01)
    assert (memory.runtime_bytes(spread) - memory.SLACK_BYTES) / GIB == pytest.approx(runtime, abs=0.001)


def test_llama_8b_on_an_h100_has_no_more_room_than_vllm_found() -> None:
    # The same run: 79.22 GiB x 0.9, and 53.29 GiB left for KV cache; CUDA graphs came on top then.
    usable = int(79.22 * GIB * 0.9)
    need = memory.need(LLAMA_8B, Layout(sequences=256, graphs=False))
    left = usable - need.total(0)
    assert 52.5 * GIB < left <= 53.6 * GIB


def test_fp8_halves_the_layers_and_keeps_the_tables() -> None:
    tables = 2 * LLAMA_70B.vocab * LLAMA_70B.hidden
    assert memory.weight_bytes(LLAMA_70B, Layout()) == 2 * LLAMA_70B.parameters
    assert memory.weight_bytes(LLAMA_70B, Layout(fp8=True)) == LLAMA_70B.parameters + tables


def test_tied_embeddings_are_held_once_by_one_stage_and_twice_by_two() -> None:
    one = memory.need(GEMMA, Layout()).weights
    assert one == 2 * GEMMA.parameters
    table = 2 * GEMMA.vocab * GEMMA.hidden
    assert memory.need(GEMMA, Layout(pipeline_parallel=2)).weights == (one - table) // 2 + table


@pytest.mark.parametrize(
    ("layers", "stages", "counts"),
    [(80, 1, (80,)), (80, 4, (20, 20, 20, 20)), (54, 4, (13, 14, 14, 13)), (42, 4, (10, 11, 11, 10)), (3, 2, (2, 1))],
)
def test_layers_are_spread_as_vllm_does(layers: int, stages: int, counts: tuple[int, ...]) -> None:
    assert memory.stage_layers(layers, stages) == counts


@given(layers=st.integers(1, 200), stages=st.integers(1, 64))
def test_no_layer_is_lost(layers: int, stages: int) -> None:
    if stages <= layers:
        counts = memory.stage_layers(layers, stages)
        assert sum(counts) == layers
        assert len(counts) == stages
        assert max(counts) - min(counts) <= 1


def test_more_ranks_than_kv_heads_hold_copies() -> None:
    eight = memory.need(LLAMA_70B, Layout(tensor_parallel=8))
    sixteen = memory.need(LLAMA_70B, Layout(tensor_parallel=16))
    assert sixteen.kv_per_token == eight.kv_per_token
    assert sixteen.weights > eight.weights / 2


def test_gemmas_windows_save_less_than_half_and_nothing_below_the_window() -> None:
    spread = Layout()
    full = memory.kv_bytes(GEMMA, spread, 8192, windows=False)
    assert full == 8192 * 344_064
    assert memory.kv_bytes(GEMMA, spread, 8192, windows=True) == full * 3 // 4
    assert memory.kv_bytes(GEMMA, spread, 4096, windows=True) == 4096 * 344_064
    assert memory.kv_bytes(LLAMA_8B, spread, 8192, windows=True) == 8192 * 131_072


def test_the_fit_does_not_count_on_windows() -> None:
    assert memory.need(GEMMA, Layout()).kv_per_token == 344_064


@pytest.mark.parametrize(
    ("name", "batch"),
    [
        ("H100-SXM-80GB", (8192, 1024)),
        ("H200-SXM-141GB", (8192, 1024)),
        ("A100-SXM-80GB", (2048, 256)),
        ("L4-24GB", (2048, 256)),
        ("MI300X-192GB", (16_384, 1024)),
    ],
)
def test_batches_follow_the_gpu_as_in_vllm(name: str, batch: tuple[int, int]) -> None:
    assert memory.batch_defaults(gpu(name)) == batch


def test_flags_change_what_is_counted() -> None:
    h100 = gpu("H100-SXM-80GB")
    flags: dict[str, bool | int | float | str] = {
        "max-num-batched-tokens": 2048,
        "max-num-seqs": 64,
        "enforce-eager": True,
    }
    spread = memory.layout(Engine(gpu="H100-SXM-80GB", kv_cache_dtype="fp8", flags=flags), h100)
    assert (spread.batched_tokens, spread.sequences, spread.graphs, spread.kv_bytes) == (2048, 64, False, 1)
    usual = memory.layout(Engine(gpu="H100-SXM-80GB"), h100)
    assert memory.need(LLAMA_8B, spread).total(0) < memory.need(LLAMA_8B, usual).total(0)


@given(tokens=st.integers(0, 10**6), more=st.integers(1, 10**6), usable=st.integers(0, 10**12))
def test_room_is_what_total_leaves(tokens: int, more: int, usable: int) -> None:
    need = memory.need(LLAMA_8B, Layout())
    assert need.total(tokens) < need.total(tokens + more)
    room = need.room_tokens(usable)
    assert room >= 0
    if room:
        assert need.total(room) <= usable < need.total(room + 1)
