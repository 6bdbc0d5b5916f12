"""Which engine shapes a model can have: heads, layers, memory, context. Pure arithmetic over the description."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from serve.errors import Problem
from serve.fleet import memory, tiny
from serve.fleet.card import Architecture, ModelCard
from serve.fleet.engine import Engine
from serve.fleet.gpus import Gpu, gpus
from serve.fleet.memory import GIB

# Degrees that a node of 8 GPUs offers; a placement group is never spread over nodes.
DEGREES: Final = (1, 2, 4, 8)

# A shorter context than this is not proposed as a way to make a model fit.
LEAST_PROPOSED_TOKENS: Final = 1024


@dataclass(frozen=True, slots=True)
class FittingShape:
    """One way to run a model: so many GPUs of one kind, with this much KV cache left."""

    gpu: str
    weights: str
    """`bfloat16`, or `fp8` for online quantization."""
    tensor_parallel: int
    weights_bytes: int
    """Per GPU."""
    kv_room_tokens: int
    """Tokens of all running requests together."""
    usd_per_hour: float | None
    """Of all GPUs of a replica; None where no price is known."""


def shape_problems(card: ModelCard, engine: Engine, path: str) -> list[Problem]:
    """Every reason why this engine cannot run this model, none when it can. `path` is the model's, e.g. models[0]."""
    at = f"{path}.engine"
    problems: list[Problem] = []
    if engine.max_model_len is not None and engine.max_model_len > card.context_tokens:
        limit = f"at most {card.context_tokens}, the context of {card.title}"
        problems.append(Problem(f"{at}.max_model_len", str(engine.max_model_len), limit))
    gpu = _gpu(engine, at, problems)
    arch = architecture(card, engine)
    if arch is None:
        if engine.weights == "tiny":
            problems.append(Problem(f"{at}.weights", "'tiny'", "needs card.architecture, whose class is built small"))
        return problems
    split = _split_problems(arch, engine, at)
    problems += split
    if engine.device == "cpu":
        problems += _cpu_problems(card, arch, engine, at)
    elif gpu is not None and not split:
        problems += _memory_problems(card, arch, engine, gpu, at)
    return problems


def architecture(card: ModelCard, engine: Engine) -> Architecture | None:
    """The numbers that the engine will really load: the card's, or the tiny model's of the same class."""
    if card.architecture is None or engine.weights != "tiny":
        return card.architecture
    embedding = tiny.VOCAB * tiny.HIDDEN
    attention = 2 * tiny.HIDDEN * tiny.HEAD_DIM * (tiny.HEADS + tiny.KV_HEADS)
    layer = attention + 3 * tiny.HIDDEN * tiny.FFN + 2 * tiny.HIDDEN
    return Architecture(
        class_name=card.architecture.class_name,
        parameters=2 * embedding + tiny.LAYERS * layer,
        layers=tiny.LAYERS,
        hidden=tiny.HIDDEN,
        ffn=tiny.FFN,
        heads=tiny.HEADS,
        kv_heads=tiny.KV_HEADS,
        head_dim=tiny.HEAD_DIM,
        vocab=tiny.VOCAB,
    )


def fitting_shapes(card: ModelCard, *, gpu_memory_utilization: float = 0.9) -> list[FittingShape]:
    """Every GPU, weight format and tensor-parallel degree with room for at least one full context, as the facts say.

    Raises ValueError for a card without an architecture.
    """
    if card.architecture is None:
        raise ValueError(f"{card.title} has no architecture: its memory cannot be computed")
    found = []
    for name, gpu in gpus().items():
        for degree in DEGREES:
            for engine in _formats(gpu, name, degree, gpu_memory_utilization):
                if _split_problems(card.architecture, engine, ""):
                    continue
                need = memory.need(card.architecture, memory.layout(engine, gpu))
                room = need.room_tokens(usable_bytes(engine, gpu))
                if room < card.context_tokens:
                    continue
                hourly = gpu.usd_per_gpu_hour
                found.append(
                    FittingShape(
                        gpu=name,
                        weights=engine.quantization or engine.dtype,
                        tensor_parallel=degree,
                        weights_bytes=need.weights,
                        kv_room_tokens=room,
                        usd_per_hour=hourly.usd * degree if hourly else None,
                    )
                )
    return found


def kv_room_tokens(card: ModelCard, engine: Engine) -> int | None:
    """Tokens of KV cache that a replica has for all its requests together; None where it cannot be computed."""
    arch = architecture(card, engine)
    gpu = gpus().get(engine.gpu or "") if engine.device == "gpu" else None
    if arch is None or (engine.device == "gpu" and gpu is None):
        return None
    need = memory.need(arch, memory.layout(engine, gpu))
    if engine.kv_cache_bytes is not None:
        return engine.kv_cache_bytes // need.kv_per_token
    return need.room_tokens(usable_bytes(engine, gpu)) if gpu else None


def usable_bytes(engine: Engine, gpu: Gpu) -> int:
    """What vLLM may fill of one GPU."""
    return int(gpu.memory_bytes * engine.gpu_memory_utilization)


def usd_per_hour(engine: Engine) -> float | None:
    """What an hour of all GPUs of a replica costs; None on CPU, and where no price is known."""
    if engine.device != "gpu":
        return None
    if engine.usd_per_gpu_hour is not None:
        return engine.usd_per_gpu_hour * engine.workers
    gpu = gpus().get(engine.gpu or "")
    price = gpu.usd_per_gpu_hour if gpu is not None else None
    return price.usd * engine.workers if price is not None else None


def _formats(gpu: Gpu, name: str, degree: int, utilization: float) -> Iterator[Engine]:
    base: dict[str, Any] = {"gpu": name, "tensor_parallel": degree, "gpu_memory_utilization": utilization}
    yield Engine(**base)
    if gpu.fp8:
        yield Engine(**base, quantization="fp8")


def _gpu(engine: Engine, at: str, problems: list[Problem]) -> Gpu | None:
    """The engine's GPU, None on CPU or when it is not known (a problem)."""
    if engine.device == "cpu":
        if engine.quantization == "fp8":
            problems.append(Problem(f"{at}.quantization", "'fp8'", "needs device: gpu; leave it out on cpu"))
        return None
    if engine.gpu is None or engine.gpu not in gpus():
        value = "" if engine.gpu is None else repr(engine.gpu)
        problems.append(Problem(f"{at}.gpu", value, f"on device gpu, one of {', '.join(gpus())}"))
        return None
    gpu = gpus()[engine.gpu]
    if not gpu.fp8:
        able = ", ".join(name for name, other in gpus().items() if other.fp8)
        asked = {"quantization": engine.quantization, "kv_cache_dtype": engine.kv_cache_dtype}
        problems.extend(
            Problem(f"{at}.{field}", "'fp8'", f"{engine.gpu} has no FP8 units; these have: {able}")
            for field, wanted in asked.items()
            if wanted == "fp8"
        )
    return gpu


def _split_problems(arch: Architecture, engine: Engine, at: str) -> list[Problem]:
    """What vLLM asserts about heads, feed-forward, vocabulary and layers while it loads a model."""
    ranks, stages = engine.tensor_parallel, engine.pipeline_parallel
    reasons = []
    if arch.heads % ranks:
        reasons.append(f"{arch.heads} attention heads")
    # LlamaAttention: up to kv_heads ranks split the KV heads evenly; beyond, each head is replicated evenly.
    if arch.kv_heads % ranks if ranks <= arch.kv_heads else ranks % arch.kv_heads:
        reasons.append(f"{arch.kv_heads} KV heads")
    if arch.ffn % ranks:
        reasons.append(f"{arch.ffn} feed-forward rows")
    if memory.padded_vocab(arch.vocab) % ranks:
        reasons.append(f"{memory.padded_vocab(arch.vocab)} (padded) vocabulary rows")
    problems = []
    if reasons:
        what = "the tiny model's " if engine.weights == "tiny" else ""
        possible = ", ".join(str(degree) for degree in even_degrees(arch))
        sentence = f"must split {what}{', '.join(reasons)} evenly: one of {possible}"
        problems.append(Problem(f"{at}.tensor_parallel", str(ranks), sentence))
    if stages > arch.layers:
        problems.append(Problem(f"{at}.pipeline_parallel", str(stages), f"at most {arch.layers}, the model's layers"))
    return problems


def even_degrees(arch: Architecture) -> list[int]:
    """Every tensor-parallel degree up to the heads that splits the model evenly."""
    return [
        ranks
        for ranks in range(1, min(arch.heads, 64) + 1)
        if arch.heads % ranks == 0
        and arch.ffn % ranks == 0
        and memory.padded_vocab(arch.vocab) % ranks == 0
        and (arch.kv_heads % ranks == 0 if ranks <= arch.kv_heads else ranks % arch.kv_heads == 0)
    ]


def _context(card: ModelCard, engine: Engine) -> int:
    return min(card.context_tokens, engine.max_model_len or card.context_tokens)


def _cpu_problems(card: ModelCard, arch: Architecture, engine: Engine, at: str) -> list[Problem]:
    """On CPU the KV cache is what the description gives: it must hold one full context."""
    tokens = _context(card, engine)
    needed = memory.need(arch, memory.layout(engine, None)).kv_per_token * tokens
    given = engine.kv_cache_bytes
    if given is not None and given >= needed:
        return []
    value = "" if given is None else str(given)
    sentence = f"on cpu at least {needed} bytes per worker, one context of {tokens} tokens"
    return [Problem(f"{at}.kv_cache_bytes", value, sentence)]


def _memory_problems(card: ModelCard, arch: Architecture, engine: Engine, gpu: Gpu, at: str) -> list[Problem]:
    """Weights, one full context and what vLLM takes beside them must fit each GPU."""
    tokens = _context(card, engine)
    spread = memory.layout(engine, gpu)
    need = memory.need(arch, spread)
    if engine.kv_cache_bytes is not None:
        return _kv_problems(engine, gpu, need, tokens, at)
    usable = usable_bytes(engine, gpu)
    if need.total(tokens) <= usable:
        return []
    stored = engine.quantization or engine.dtype
    sentence = (
        f"{card.title} has {_gib(memory.weight_bytes(arch, spread))} of weights in {stored}; each GPU needs "
        f"{_gib(need.total(tokens))} ({_gib(need.weights)} weights, {_gib(need.kv_per_token * tokens)} KV cache for "
        f"{tokens} tokens, {_gib(need.activations + need.runtime)} activations and runtime) and may fill "
        f"{_gib(usable)} ({engine.gpu_memory_utilization:g} of {_gib(gpu.memory_bytes)}); "
        f"{_ways_out(card, arch, engine, gpu)}"
    )
    return [Problem(at, f"{engine.workers}x {engine.gpu}", sentence)]


def _kv_problems(engine: Engine, gpu: Gpu, need: memory.Need, tokens: int, at: str) -> list[Problem]:
    """A KV cache of a stated size: vLLM takes it whatever gpu_memory_utilization says."""
    given = engine.kv_cache_bytes or 0
    wanted, room = need.kv_per_token * tokens, gpu.memory_bytes - need.total(0)
    if wanted <= given <= room:
        return []
    sentence = f"at least {wanted} bytes per worker, one context of {tokens} tokens"
    sentence += f", and at most {max(0, room)}, what {_gib(need.total(0))} of weights, activations and runtime leave"
    return [Problem(f"{at}.kv_cache_bytes", str(given), f"{sentence} of {_gib(gpu.memory_bytes)}")]


def _ways_out(card: ModelCard, arch: Architecture, engine: Engine, gpu: Gpu) -> str:
    """What would fit on the same kind of GPU: more ranks, then FP8, then a shorter context."""
    tokens = _context(card, engine)
    degrees = [degree for degree in even_degrees(arch) if degree in DEGREES]
    formats = list(dict.fromkeys((engine.quantization, "fp8" if gpu.fp8 else engine.quantization)))
    ways = []
    for stored in formats:
        prefix = "quantization fp8 and " if stored != engine.quantization else ""
        rooms = {degree: _room(arch, engine, gpu, degree, stored) for degree in degrees}
        if enough := [degree for degree, room in rooms.items() if room >= tokens]:
            ways.append(f"{prefix}tensor_parallel {enough[0]}")
        elif rooms and (most := max(rooms.values())) >= LEAST_PROPOSED_TOKENS:
            ways.append(f"{prefix}tensor_parallel {degrees[-1]} and max_model_len {most // 256 * 256}")
    here = _room(arch, engine, gpu, engine.tensor_parallel, engine.quantization)
    if LEAST_PROPOSED_TOKENS <= here < tokens:
        ways.append(f"max_model_len {here // 256 * 256}")
    if not ways:
        return f"it does not fit up to {DEGREES[-1]} GPUs of this kind: take a larger GPU"
    return f"it fits with {', or '.join(ways)}"


def _room(arch: Architecture, engine: Engine, gpu: Gpu, degree: int, stored: str | None) -> int:
    other = engine.model_copy(update={"tensor_parallel": degree, "quantization": stored})
    return memory.need(arch, memory.layout(other, gpu)).room_tokens(usable_bytes(other, gpu))


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
