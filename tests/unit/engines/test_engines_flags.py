"""vLLM's words and environment follow from the description alone."""

from __future__ import annotations

import pytest

from serve.engines.flags import Weights, argv, environment, thread_binding, weights
from serve.fleet import Engine, Fleet, Model
from serve.fleet.loader import laptop, resolve

pytestmark = pytest.mark.unit

TINY = Weights("/models/x", random=True)


def one(use: str = "llama-3.3-70b-instruct", card: dict | None = None, **engine) -> Model:
    engine = {"device": "gpu", "gpu": "H200-SXM-141GB", "tensor_parallel": 4} | engine
    fleet: Fleet = resolve({"models": [{"use": use, "card": card or {}, "engine": engine}]}, "test")
    return fleet.models[0]


def value(words: list[str], flag: str) -> str:
    return words[words.index(f"--{flag}") + 1]


def test_a_model_answers_to_its_id_with_the_description_s_shape() -> None:
    model = one(pipeline_parallel=1, max_model_len=32_768, quantization="fp8", kv_cache_dtype="fp8")
    words = argv(model, weights(model))
    assert value(words, "model") == "meta-llama/Llama-3.3-70B-Instruct"
    assert value(words, "served-model-name") == model.id
    assert value(words, "tensor-parallel-size") == "4"
    assert value(words, "max-model-len") == "32768"
    assert value(words, "quantization") == value(words, "kv-cache-dtype") == "fp8"
    assert value(words, "distributed-executor-backend") == "mp"
    assert value(words, "gpu-memory-utilization") == "0.9"
    assert value(words, "tool-call-parser") == "llama3_json"
    assert "--enable-auto-tool-choice" in words
    assert "--enforce-eager" not in words


def test_the_card_s_context_is_the_default() -> None:
    model = one()
    assert value(argv(model, TINY), "max-model-len") == str(model.card.context_tokens)


def test_a_revision_pins_weights_and_tokenizer() -> None:
    model = one(card={"revision": "abc123"})
    words = argv(model, weights(model))
    assert value(words, "revision") == value(words, "tokenizer-revision") == "abc123"


def test_a_reasoning_model_gets_its_parser_and_a_base_model_none() -> None:
    thinking = argv(one("normistral-11b-thinking", tensor_parallel=1), TINY)
    assert value(thinking, "reasoning-parser") == "deepseek_r1"
    base = argv(one("normistral-11b-long", tensor_parallel=1), TINY)
    assert not {"--reasoning-parser", "--tool-call-parser", "--enable-auto-tool-choice"} & set(base)


def test_further_flags_come_last_and_may_be_switched_off() -> None:
    words = argv(one(flags={"seed": 7, "enable-prefix-caching": False, "enable-chunked-prefill": True}), TINY)
    assert words[-4:] == ["--seed", "7", "--no-enable-prefix-caching", "--enable-chunked-prefill"]


def test_cpu_differs_by_device_only() -> None:
    model = next(m for m in laptop().models if m.id == "llama-3.3-70b-instruct")
    words = argv(model, TINY)
    assert "--enforce-eager" in words
    assert "--gpu-memory-utilization" not in words
    assert value(words, "kv-cache-memory-bytes") == str(model.engine.kv_cache_bytes)
    env = environment(model, TINY)
    assert env["OMP_NUM_THREADS"] == "1"
    assert env["CUDA_VISIBLE_DEVICES"] == ""
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in env, "two workers are two processes"
    assert "OMP_NUM_THREADS" not in environment(one(), TINY)


def test_one_cpu_worker_lives_in_its_engine_s_process() -> None:
    model = next(m for m in laptop().models if m.id == "gemma-2-9b-it")
    assert environment(model, TINY)["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"


def test_nothing_is_compiled_on_cpus() -> None:
    """On GPUs the same variable would take torch.compile from the engine."""
    assert all(environment(model, TINY)["TORCHDYNAMO_DISABLE"] == "1" for model in laptop().models)
    assert "TORCHDYNAMO_DISABLE" not in environment(one(), TINY)


def test_the_description_s_environment_wins() -> None:
    assert environment(one(env={"TOKENIZERS_PARALLELISM": "true"}), TINY)["TOKENIZERS_PARALLELISM"] == "true"


def test_only_random_weights_are_cut_off_from_the_hub() -> None:
    assert environment(one(), TINY)["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in environment(one(), weights(one()))


def test_stop_tokens_belong_to_the_real_tokenizer() -> None:
    model = one("suzume-llama-3-8b-multilingual", tensor_parallel=1)
    assert 128009 in weights(model).stop_token_ids
    tiny = model.model_copy(update={"engine": Engine(device="cpu", weights="tiny", kv_cache_bytes=1)})
    assert weights(tiny, "/models/x").stop_token_ids == ()
    assert weights(model, substitute="org/small").stop_token_ids == ()


def test_weights_of_each_kind() -> None:
    assert weights(one(weights="/data/llama")).source == "/data/llama"
    assert weights(one(), substitute="org/small") == Weights("org/small", substituted=True)
    with pytest.raises(ValueError, match="no directory was given"):
        weights(one(weights="tiny", device="cpu", gpu=None, tensor_parallel=2, kv_cache_bytes=1 << 26))


@pytest.mark.parametrize(
    ("workers", "cpus", "expected"),
    [(1, [0, 1], "nobind"), (2, [0, 1], "0|1"), (2, [5], "5|5"), (4, [2, 3], "2|3|2|3")],
)
def test_thread_binding(workers: int, cpus: list[int], expected: str) -> None:
    assert thread_binding(workers, cpus) == expected


def test_substituted_weights_bring_their_own_context() -> None:
    """The card is another model's: its context, its cache and its <think> tokens say nothing of these weights."""
    model = one(
        "normistral-11b-thinking", device="cpu", gpu=None, weights="tiny", tensor_parallel=1, kv_cache_bytes=1 << 26
    )
    words = argv(model, weights(model, substitute="org/small"))
    assert value(words, "max-model-len") == "auto"
    assert int(value(words, "kv-cache-memory-bytes")) > 1 << 26
    assert "--reasoning-parser" not in words
