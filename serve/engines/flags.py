"""vLLM's command line and environment for a model of the fleet. Pure: the same description gives the same words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serve.fleet import Engine, Model

# A cache that suits tiny weights holds a few words of a real model; this is 20,000 tokens of one with half a billion
# parameters (Qwen2.5-0.5B: 24 layers of 2 x 2 x 64 values, float32).
SUBSTITUTE_KV_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Weights:
    """What an engine loads. `source` is a local directory or a hub id.

    `stop_token_ids` end an answer besides those that the weights' own generation_config names; they are ids of the
    real tokenizer, so that tiny or substituted weights have none. `random`: tiny ones, that mean nothing.
    `substituted`: another model's, of which the card says nothing.
    """

    source: str
    revision: str | None = None
    stop_token_ids: tuple[int, ...] = ()
    random: bool = False
    substituted: bool = False


def weights(model: Model, tiny_directory: str | None = None, substitute: str | None = None) -> Weights:
    """What the description says to load. `substitute` replaces it (a hub id or directory, `parlance up --model`).

    `tiny_directory` is where the model's tiny stand-in lies; needed when the description says `weights: tiny`.
    """
    engine = engine_of(model)
    if substitute is not None:
        return Weights(substitute, substituted=True)
    if engine.weights == "tiny":
        if tiny_directory is None:
            raise ValueError(f"{model.id}: weights: tiny, and no directory was given for them")
        return Weights(tiny_directory, random=True)
    stops = model.card.template.stop_token_ids if model.card.template else ()
    if engine.weights != "hub":
        return Weights(engine.weights, stop_token_ids=stops)
    if model.card.source is None:
        raise ValueError(f"{model.id}: weights: hub, and the card names no source")
    return Weights(model.card.source, model.card.revision, stops)


def argv(model: Model, loaded: Weights) -> list[str]:
    """The words after `vllm serve` that run this model; host and port are Ray Serve's business."""
    engine, card = engine_of(model), model.card
    words = ["--model", loaded.source, "--served-model-name", model.id]
    if loaded.revision:
        words += ["--revision", loaded.revision, "--tokenizer-revision", loaded.revision]
    words += ["--tensor-parallel-size", str(engine.tensor_parallel)]
    words += ["--pipeline-parallel-size", str(engine.pipeline_parallel)]
    if engine.workers > 1:
        # The actor owns all GPUs of the replica, so that vLLM's own processes can be its workers: one process tree
        # that lives on one node and dies as one. Ray's executor would add an actor a GPU and a way to half-die.
        words += ["--distributed-executor-backend", "mp"]
    # Another model has another context: vLLM takes as much of it as the KV cache holds.
    context = "auto" if loaded.substituted else str(model.context_tokens)
    words += ["--dtype", engine.dtype, "--max-model-len", context]
    if engine.quantization:
        words += ["--quantization", engine.quantization]
    words += ["--kv-cache-dtype", engine.kv_cache_dtype]
    if engine.kv_cache_bytes is not None:
        least = SUBSTITUTE_KV_BYTES if loaded.substituted else 0
        words += ["--kv-cache-memory-bytes", str(max(engine.kv_cache_bytes, least))]
    elif engine.device == "gpu":
        words += ["--gpu-memory-utilization", str(engine.gpu_memory_utilization)]
    if engine.device == "cpu":
        words.append("--enforce-eager")  # compiling takes minutes and pays on long runs only
    if card.tool_parser:
        words += ["--enable-auto-tool-choice", "--tool-call-parser", card.tool_parser]
    if card.reasoning_parser and not loaded.substituted:  # it needs tokens that another model lacks
        words += ["--reasoning-parser", card.reasoning_parser]
    if loaded.random:
        # Random weights prefer blanks for ever to closing a JSON document.
        words += ["--structured-outputs-config.backend", "xgrammar"]
        words += ["--structured-outputs-config.disable_any_whitespace", "true"]
    words.append("--enable-prompt-tokens-details")  # cached prompt tokens have a price of their own
    words.append("--disable-fastapi-docs")
    for name, value in engine.flags.items():
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        else:
            words += [f"--{name}", str(value)]
    return words


def environment(model: Model, loaded: Weights) -> dict[str, str]:
    """Environment of a replica's processes; what the description says in `engine.env` wins."""
    engine = engine_of(model)
    env = {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a forked child would share the actor's gRPC threads
        "TOKENIZERS_PARALLELISM": "false",
    }
    if engine.device == "cpu":
        env |= {"OMP_NUM_THREADS": "1", "VLLM_TARGET_DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": ""}
        # --enforce-eager leaves out one function, of the sharded embedding: g++ compiles it at the first request.
        # That needs a compiler, takes longer than `stall_s` on a busy machine, and who is killed meanwhile leaves half
        # a library in the cache, on which the model dies at every later first request.
        env["TORCHDYNAMO_DISABLE"] = "1"
        if engine.workers == 1:
            # The worker lives in the engine's process, as on a GPU, instead of one more with all of its imports
            # (0.5 GB, 17 s of CPU). vLLM avoids this on CPUs for its thread binding, which one thread needs not.
            env["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    if loaded.random:
        # Nothing is fetched for tiny weights; and a tool call that never ends must not be an error.
        env |= {"HF_HUB_OFFLINE": "1", "VLLM_ENFORCE_STRICT_TOOL_CALLING": "0"}
    return env | engine.env


def thread_binding(workers: int, cpu_ids: Sequence[int]) -> str:
    """VLLM_CPU_OMP_THREADS_BIND: one CPU list a worker, `0|1`; `nobind` for a single worker.

    vLLM's shared-memory all-reduce needs as many threads in each rank. CPUs are reused when there are too few.
    """
    if workers == 1:
        return "nobind"
    return "|".join(str(cpu_ids[rank % len(cpu_ids)]) for rank in range(workers))


def engine_of(model: Model) -> Engine:
    """The model's engine. Raises ValueError for an upstream that others run."""
    if model.engine is None:
        raise ValueError(f"{model.id} is an upstream: it has no engine here")
    return model.engine
