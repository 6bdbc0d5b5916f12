"""What one worker of an engine needs in memory: weights, KV cache, activations, runtime. Pure arithmetic.

The rules are vLLM 0.32's: how it splits weights and KV heads over tensor-parallel ranks and layers over pipeline
stages, and what it subtracts from `gpu_memory_utilization` before the rest becomes KV cache. All sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from serve.fleet.card import Architecture
from serve.fleet.engine import Engine
from serve.fleet.gpus import Gpu

GIB: Final = 1 << 30

DTYPE_BYTES: Final = {"bfloat16": 2, "float16": 2, "float32": 4}

# CUDA context, libraries and NCCL, as vLLM itself reported them for Llama-3-8B on an 80 GB H100 with one GPU and with
# tensor parallel 2 (vllm-project/vllm pull request 10511: non_torch_memory 1.79 and 3.58 GiB). They do not depend on
# the model.
RUNTIME_BYTES: Final = int(1.79 * GIB)
RUNTIME_BYTES_PARALLEL: Final = int(3.58 * GIB)

# vLLM has long warned that CUDA graphs "can take additional 1~3 GiB memory per GPU"; since 0.32 counts them before it
# sizes the KV cache (VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS), they are counted here, at the lower end.
CUDA_GRAPH_BYTES: Final = GIB

# vLLM's redundancy buffer beside what it profiled (vllm/v1/worker/gpu_worker.py).
SLACK_BYTES: Final = 150 << 20

# Per logit while sampling with top-p: float32 logits, their sorted copy, its int64 index, float32 probabilities.
SAMPLER_BYTES_PER_LOGIT: Final = 4 + 4 + 8 + 4

# vLLM pads the vocabulary to a multiple of this before it splits it (vocab_parallel_embedding.py).
VOCAB_PADDING: Final = 64

# Below this many bytes of GPU memory, and on an A100, vLLM's server schedules fewer tokens a step
# (EngineArgs.get_batch_defaults in
# vllm/engine/arg_utils.py).
_LARGE_GPU_BYTES: Final = 70 * GIB
_VERY_LARGE_GPU_BYTES: Final = 160 * GIB


@dataclass(frozen=True, slots=True)
class Layout:
    """How a model is spread and stored, and how much it works on at once."""

    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    weight_bytes: int = 2
    """Per parameter of the layers; embeddings and output head too unless `fp8`."""
    fp8: bool = False
    """Linear layers in one byte; embeddings and output head stay as they are."""
    kv_bytes: int = 2
    batched_tokens: int = 8192
    sequences: int = 1024
    graphs: bool = True

    @property
    def workers(self) -> int:
        """GPUs, or CPU workers, of one replica."""
        return self.tensor_parallel * self.pipeline_parallel


@dataclass(frozen=True, slots=True)
class Need:
    """What each worker of a replica holds, at the worker that holds most."""

    weights: int
    kv_per_token: int
    activations: int
    runtime: int

    def total(self, tokens: int) -> int:
        """Bytes with `tokens` tokens of context in the KV cache."""
        return self.weights + self.activations + self.runtime + self.kv_per_token * tokens

    def room_tokens(self, usable: int) -> int:
        """Tokens of KV cache that fit beside the rest into `usable` bytes; 0 when the rest does not fit."""
        return max(0, usable - self.total(0)) // self.kv_per_token


def layout(engine: Engine, gpu: Gpu | None) -> Layout:
    """The layout that an engine's description stands for. `gpu` None: on CPU."""
    weight = DTYPE_BYTES[engine.dtype]
    tokens, sequences = batch_defaults(gpu)
    return Layout(
        tensor_parallel=engine.tensor_parallel,
        pipeline_parallel=engine.pipeline_parallel,
        weight_bytes=weight,
        fp8=engine.quantization == "fp8",
        kv_bytes=1 if engine.kv_cache_dtype == "fp8" else weight,
        batched_tokens=_flag(engine, "max-num-batched-tokens", tokens),
        sequences=_flag(engine, "max-num-seqs", sequences),
        graphs=gpu is not None and engine.flags.get("enforce-eager") is not True,
    )


def batch_defaults(gpu: Gpu | None) -> tuple[int, int]:
    """Tokens and sequences a step that vLLM's server takes on a GPU where no flag says otherwise."""
    if gpu is None:
        return 2048, 128
    if gpu.memory_bytes >= _VERY_LARGE_GPU_BYTES:
        return 16_384, 1024
    # "HBM2e": the A100, which vLLM excepts by name.
    if gpu.memory_bytes >= _LARGE_GPU_BYTES and gpu.memory_type != "HBM2e":
        return 8192, 1024
    return 2048, 256


def need(arch: Architecture, spread: Layout) -> Need:
    """What each worker needs, over the pipeline stage that needs most."""
    return Need(
        weights=max(
            _stage_weights(arch, spread, stage, count)
            for stage, count in enumerate(stage_layers(arch.layers, spread.pipeline_parallel))
        ),
        # The windowed layers' saving is not counted on. vLLM keeps `window - 1 + tokens in flight` tokens of such a
        # layer (SlidingWindowSpec.max_admission_blocks_per_request): with 8,192 batched tokens that is all of Gemma
        # 2's context, and it keeps everything when its hybrid KV cache manager is off.
        kv_per_token=kv_bytes(arch, spread, 1, windows=False),
        activations=activation_bytes(arch, spread),
        runtime=runtime_bytes(spread),
    )


def kv_bytes(arch: Architecture, spread: Layout, tokens: int, *, windows: bool) -> int:
    """KV cache of one request of `tokens` tokens on the worker that holds most.

    `windows` counts the saving of layers that attend to the last tokens only, as vLLM does when nothing is in flight;
    without it every layer keeps every token.
    """
    layers = max(stage_layers(arch.layers, spread.pipeline_parallel))
    windowed, kept = 0, tokens
    if windows and arch.sliding_window_tokens is not None:
        # Windowed layers alternate with full ones, so a stage has its share of them, rounded to fewer.
        windowed = layers * arch.sliding_window_layers // arch.layers
        kept = min(tokens, arch.sliding_window_tokens)
    per_layer = 2 * max(1, arch.kv_heads // spread.tensor_parallel) * arch.head_dim * spread.kv_bytes
    return per_layer * ((layers - windowed) * tokens + windowed * kept)


def weight_bytes(arch: Architecture, spread: Layout) -> int:
    """All weights of one replica, counted once."""
    body, embedding, head = _parts(arch)
    per_body = 1 if spread.fp8 else spread.weight_bytes
    return body * per_body + (embedding + head) * spread.weight_bytes


def activation_bytes(arch: Architecture, spread: Layout) -> int:
    """Peak of what lives only during a step: a layer over all batched tokens, or the sampler over all sequences.

    A layer holds its gate, up and activated feed-forward rows (split over ranks) and four rows of the hidden size
    (residual, normed input, attention output, sum). Read from vLLM's Llama and sampler code; not measured.
    """
    rows = 3 * -(-arch.ffn // spread.tensor_parallel) + 4 * arch.hidden
    layer = spread.batched_tokens * rows * spread.weight_bytes
    sampler = min(spread.sequences, spread.batched_tokens) * arch.vocab * SAMPLER_BYTES_PER_LOGIT
    return max(layer, sampler)


def runtime_bytes(spread: Layout) -> int:
    """What the driver, the libraries and captured graphs take beside the model."""
    base = RUNTIME_BYTES if spread.workers == 1 else RUNTIME_BYTES_PARALLEL
    return base + SLACK_BYTES + (CUDA_GRAPH_BYTES if spread.graphs else 0)


def stage_layers(layers: int, stages: int) -> tuple[int, ...]:
    """Layers of each pipeline stage, as vLLM's get_pp_indices spreads them: what is left over avoids the last stage."""
    counts = [layers // stages] * stages
    for index in range(2, layers % stages + 2):
        counts[-index] += 1
    return tuple(counts)


def padded_vocab(vocab: int) -> int:
    """The vocabulary as vLLM pads it before splitting."""
    return -(-vocab // VOCAB_PADDING) * VOCAB_PADDING


def _parts(arch: Architecture) -> tuple[int, int, int]:
    """Parameters of the layers, of the embedding, and of an output head of its own."""
    embedding = arch.vocab * arch.hidden
    head = 0 if arch.tied_embeddings else embedding
    return max(0, arch.parameters - embedding - head), embedding, head


def _stage_weights(arch: Architecture, spread: Layout, stage: int, layers: int) -> int:
    """Weights of one rank of one stage. The first stage holds the embedding, the last the output head."""
    body, embedding, _ = _parts(arch)
    ranks = spread.tensor_parallel
    share = body * layers // arch.layers
    # Beyond kv_heads ranks, each still holds one whole KV head: the key and value projections are replicated.
    copies = max(0, ranks - arch.kv_heads)
    replicated = 2 * arch.hidden * arch.head_dim * copies * layers
    per_body = 1 if spread.fp8 else spread.weight_bytes
    last = spread.pipeline_parallel - 1
    tables = (stage == 0) + (stage == last and not (arch.tied_embeddings and last == 0))
    return ((share + replicated) * per_body + tables * embedding * spread.weight_bytes) // ranks


def _flag(engine: Engine, name: str, default: int) -> int:
    value = engine.flags.get(name, default)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default
