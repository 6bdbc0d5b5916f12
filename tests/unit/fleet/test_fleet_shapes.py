"""Impossible shapes are refused with a sentence; possible ones pass; and the sentence is true."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from serve.errors import Problem
from serve.fleet import catalogue, memory, tiny
from serve.fleet.card import ModelCard
from serve.fleet.engine import Engine
from serve.fleet.gpus import gpus
from serve.fleet.shapes import DEGREES, architecture, fitting_shapes, kv_room_tokens, shape_problems, usable_bytes

pytestmark = pytest.mark.unit

CARDS = {name: ModelCard.model_validate(catalogue.raw(name)) for name in catalogue.names()}
LLAMA = CARDS["llama-3.3-70b-instruct"]
H100 = "H100-SXM-80GB"


def problems(card: ModelCard, **engine: Any) -> list[Problem]:
    return shape_problems(card, Engine(**engine), "models[0]")


def fits(card: ModelCard, **engine: Any) -> bool:
    return not problems(card, **engine)


@pytest.mark.parametrize(
    ("ranks", "quantization", "possible"),
    [(1, None, False), (2, None, False), (4, None, True), (8, None, True), (1, "fp8", False), (2, "fp8", True)],
)
def test_the_70b_on_h100(ranks: int, quantization: str | None, possible: bool) -> None:
    assert fits(LLAMA, gpu=H100, tensor_parallel=ranks, quantization=quantization) is possible


def test_what_does_not_fit_is_said_with_the_numbers_and_what_would() -> None:
    (problem,) = problems(LLAMA, gpu=H100)
    assert problem.path == "models[0].engine"
    assert problem.value == "1x H100-SXM-80GB"
    assert "131.4 GiB of weights in bfloat16" in problem.allowed
    assert "40.0 GiB KV cache for 131072 tokens" in problem.allowed
    assert "67.1 GiB (0.9 of 74.5 GiB)" in problem.allowed
    assert problem.allowed.endswith("it fits with tensor_parallel 4, or quantization fp8 and tensor_parallel 2")


@pytest.mark.parametrize("name", sorted(CARDS))
@pytest.mark.parametrize("gpu", sorted(gpus()))
def test_every_proposed_way_out_does_fit(name: str, gpu: str) -> None:
    for problem in problems(CARDS[name], gpu=gpu):
        proposals = problem.allowed.partition("it fits with ")[2]
        if not proposals:
            assert problem.allowed.endswith("take a larger GPU")
            assert gpu not in {shape.gpu for shape in fitting_shapes(CARDS[name])}
            continue
        for proposal in proposals.split(", or "):
            changed: dict[str, Any] = {"gpu": gpu, "quantization": "fp8" if "fp8" in proposal else None}
            for field, value in re.findall(r"(tensor_parallel|max_model_len) (\d+)", proposal):
                changed[field] = int(value)
            assert fits(CARDS[name], **changed), proposal


def test_a_shorter_context_is_proposed_where_only_the_context_is_too_long() -> None:
    (problem,) = problems(
        LLAMA, gpu="H200-SXM-141GB", tensor_parallel=1, quantization="fp8", gpu_memory_utilization=0.8
    )
    assert re.search(r"or max_model_len \d+$", problem.allowed)


def test_a_model_too_large_for_eight_gpus_says_so() -> None:
    giant = LLAMA.architecture.model_copy(update={"parameters": 2 * 10**12})  # type: ignore[union-attr]
    (problem,) = problems(LLAMA.model_copy(update={"architecture": giant}), gpu="L4-24GB")
    assert problem.allowed.endswith("take a larger GPU")


@pytest.mark.parametrize(
    ("name", "ranks", "reason"),
    [
        ("llama-3.3-70b-instruct", 3, "64 attention heads"),
        ("eurollm-22b-instruct-2512", 3, "8 KV heads"),
        ("eurollm-22b-instruct-2512", 12, "8 KV heads"),
        ("gemma-2-9b-it", 32, "16 attention heads"),
    ],
)
def test_ranks_must_split_the_heads(name: str, ranks: int, reason: str) -> None:
    found = problems(CARDS[name], gpu="MI300X-192GB", tensor_parallel=ranks)
    assert [problem.path for problem in found] == ["models[0].engine.tensor_parallel"]
    assert reason in found[0].allowed
    assert re.search(r"one of 1, 2, 4, 8", found[0].allowed)


def test_ranks_may_exceed_the_kv_heads_as_a_multiple() -> None:
    assert fits(CARDS["eurollm-22b-instruct-2512"], gpu=H100, tensor_parallel=16)


def test_stages_may_not_exceed_the_layers() -> None:
    small = {"gpu": H100, "pipeline_parallel": 64}
    assert fits(CARDS["llama-3.3-70b-instruct"], **small)
    (problem,) = problems(CARDS["gemma-2-9b-it"], **small)
    assert str(problem) == "models[0].engine.pipeline_parallel: 64: at most 42, the model's layers"


def test_fp8_needs_a_gpu_that_has_it() -> None:
    found = problems(LLAMA, gpu="A100-SXM-80GB", tensor_parallel=8, quantization="fp8", kv_cache_dtype="fp8")
    assert [p.path for p in found] == ["models[0].engine.quantization", "models[0].engine.kv_cache_dtype"]
    assert all("A100-SXM-80GB has no FP8 units; these have: H100-SXM-80GB" in p.allowed for p in found)
    cpu = problems(LLAMA, device="cpu", weights="tiny", kv_cache_bytes=10**9, quantization="fp8")
    assert [p.path for p in cpu] == ["models[0].engine.quantization"]


@pytest.mark.parametrize(("named", "value"), [(None, ""), ("H100", "'H100'")])
def test_the_gpu_must_be_a_known_one(named: str | None, value: str) -> None:
    (problem,) = problems(LLAMA, gpu=named)
    assert (problem.path, problem.value) == ("models[0].engine.gpu", value)
    assert "H100-SXM-80GB, H200-SXM-141GB" in problem.allowed


def test_a_context_over_the_models_is_refused() -> None:
    found = problems(CARDS["eurollm-9b-instruct"], gpu=H100, max_model_len=8192)
    assert [str(p) for p in found] == [
        "models[0].engine.max_model_len: 8192: at most 4096, the context of EuroLLM 9B Instruct"
    ]


def test_problems_of_different_kinds_come_together() -> None:
    found = problems(LLAMA, gpu="A100-SXM-80GB", tensor_parallel=3, quantization="fp8", max_model_len=10**6)
    assert [p.path.rpartition(".")[2] for p in found] == ["max_model_len", "quantization", "tensor_parallel"]


@pytest.mark.parametrize(("ranks", "possible"), [(1, True), (2, True), (3, False), (4, True), (8, False)])
def test_tiny_weights_have_the_tiny_models_heads(ranks: int, possible: bool) -> None:
    engine = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 10**9, "tensor_parallel": ranks}
    assert fits(LLAMA, **engine) is possible
    if not possible:
        assert "the tiny model's 4 attention heads" in problems(LLAMA, **engine)[0].allowed


def test_the_tiny_architecture_keeps_the_class_and_the_tiny_dimensions() -> None:
    small = architecture(CARDS["gemma-2-9b-it"], Engine(weights="tiny"))
    assert small is not None
    assert small.class_name == "Gemma2ForCausalLM"
    assert (small.heads, small.kv_heads, small.layers, small.hidden) == (
        tiny.HEADS,
        tiny.KV_HEADS,
        tiny.LAYERS,
        tiny.HIDDEN,
    )


def test_tiny_weights_need_a_class() -> None:
    bare = LLAMA.model_copy(update={"architecture": None})
    (problem,) = problems(bare, device="cpu", weights="tiny", kv_cache_bytes=10**9)
    assert problem.path == "models[0].engine.weights"
    assert fits(bare, gpu=H100)  # nothing to compute with


def test_on_cpu_the_kv_cache_is_stated_and_holds_one_context() -> None:
    one_context = 131_072 * 512  # 2 layers x 2 x 2 KV heads x 32 x 2 bytes
    (absent,) = problems(LLAMA, device="cpu", weights="tiny")
    assert absent.path == "models[0].engine.kv_cache_bytes"
    assert str(one_context) in absent.allowed
    assert not fits(LLAMA, device="cpu", weights="tiny", kv_cache_bytes=one_context - 1)
    assert fits(LLAMA, device="cpu", weights="tiny", kv_cache_bytes=one_context)
    assert fits(LLAMA, device="cpu", weights="tiny", kv_cache_bytes=one_context // 2, tensor_parallel=2)
    assert fits(LLAMA, device="cpu", weights="tiny", kv_cache_bytes=one_context // 2, max_model_len=65_536)


def test_a_stated_kv_cache_on_a_gpu_must_hold_a_context_and_fit() -> None:
    engine: dict[str, Any] = {"gpu": H100, "tensor_parallel": 2, "quantization": "fp8"}
    context = 131_072 * 163_840
    assert fits(LLAMA, **engine, kv_cache_bytes=context)
    for wrong in (context - 1, 60 * 2**30):
        (problem,) = problems(LLAMA, **engine, kv_cache_bytes=wrong)
        assert problem.path == "models[0].engine.kv_cache_bytes"
        assert f"at least {context} bytes" in problem.allowed
    assert kv_room_tokens(LLAMA, Engine(**engine, kv_cache_bytes=context)) == 131_072


@pytest.mark.parametrize("name", sorted(CARDS))
def test_fitting_shapes_are_exactly_those_without_problems(name: str) -> None:
    card = CARDS[name]
    listed = {(s.gpu, s.weights, s.tensor_parallel) for s in fitting_shapes(card)}
    for gpu, facts in gpus().items():
        for ranks in DEGREES:
            for quantization in (None, "fp8") if facts.fp8 else (None,):
                shape = (gpu, quantization or "bfloat16", ranks)
                assert (shape in listed) is fits(card, gpu=gpu, tensor_parallel=ranks, quantization=quantization), shape


def test_fitting_shapes_say_room_and_price() -> None:
    shape = next(s for s in fitting_shapes(LLAMA) if s.gpu == H100 and s.weights == "bfloat16")
    assert shape.tensor_parallel == 4
    engine = Engine(gpu=H100, tensor_parallel=4)
    assert shape.kv_room_tokens == kv_room_tokens(LLAMA, engine)
    need = memory.need(LLAMA.architecture, memory.layout(engine, gpus()[H100]))  # type: ignore[arg-type]
    assert need.total(shape.kv_room_tokens) <= usable_bytes(engine, gpus()[H100])
    assert shape.usd_per_hour == pytest.approx(4 * gpus()[H100].usd_per_gpu_hour.usd)  # type: ignore[union-attr]


def test_a_card_without_an_architecture_has_no_computed_shapes() -> None:
    with pytest.raises(ValueError, match="has no architecture"):
        fitting_shapes(LLAMA.model_copy(update={"architecture": None}))


ENGINES = {
    "card": st.sampled_from(sorted(CARDS)),
    "gpu": st.sampled_from(sorted(gpus())),
    "ranks": st.sampled_from(DEGREES[:-1]),
    "share": st.floats(0.5, 0.98),
    "fp8": st.booleans(),
}


@given(**ENGINES, tokens=st.integers(64, 131_072))
def test_twice_the_gpus_never_fit_less(card: str, gpu: str, ranks: int, share: float, fp8: bool, tokens: int) -> None:
    model = CARDS[card]
    engine: dict[str, Any] = {
        "gpu": gpu,
        "gpu_memory_utilization": share,
        "quantization": "fp8" if fp8 and gpus()[gpu].fp8 else None,
        "max_model_len": min(tokens, model.context_tokens),
    }
    one, two = (Engine(**engine, tensor_parallel=degree) for degree in (ranks, 2 * ranks))
    assert (kv_room_tokens(model, one) or 0) <= (kv_room_tokens(model, two) or 0)
    if fits(model, **engine, tensor_parallel=ranks):
        assert fits(model, **engine, tensor_parallel=2 * ranks)


@given(**ENGINES, tokens=st.integers(64, 131_072), more=st.integers(1, 131_072))
def test_a_longer_context_never_fits_better(
    card: str, gpu: str, ranks: int, share: float, fp8: bool, tokens: int, more: int
) -> None:
    model = CARDS[card]
    assume(tokens + more <= model.context_tokens)
    engine: dict[str, Any] = {
        "gpu": gpu,
        "tensor_parallel": ranks,
        "gpu_memory_utilization": share,
        "quantization": "fp8" if fp8 and gpus()[gpu].fp8 else None,
    }
    if fits(model, **engine, max_model_len=tokens + more):
        assert fits(model, **engine, max_model_len=tokens)
