"""How long one step of an engine takes: weights, KV cache and arithmetic against the GPU's peaks (a roofline).

A step of continuous batching reads all weights once, reads the KV cache of every sequence that decodes, and computes
every token of the batch, prefill chunks included. Reading weights and computing overlap, so the slower one counts;
reading the KV cache is a kernel of its own and does not. Tensor parallelism splits all three and adds two
synchronisations a layer (Megatron's all-reduces, Shoeybi et al. 2019). The shares of the peaks that engines reach were
fitted to NVIDIA's published tables for Llama 3.1 and 3.3 on H100 (TensorRT-LLM and NIM) and tested on the same tables
for H200: median error 7%, nine of ten within 20% (tests/unit/autoscaling/test_capacity_roofline.py prints both). Other
engines reach a little less; what replicas really do corrects it while they run.
"""

from __future__ import annotations

from dataclasses import dataclass

from serve.fleet import memory
from serve.fleet.card import Architecture
from serve.fleet.gpus import Gpu
from serve.fleet.memory import Layout


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Shares of the GPU's peaks that engines reach, and what does not shrink with them."""

    weights: float = 0.93  # of the memory bandwidth, while weights stream
    kv: float = 0.77  # of the memory bandwidth, while attention gathers KV blocks
    compute: float = 0.54  # of the dense peak of the weights' format
    attention: float = 0.5  # of the dense bf16 peak, over a prompt's square; small below 10,000 tokens
    sync_s: float = 50e-6  # an all-reduce of a layer, without the bytes it moves
    link_bytes_s: float = 300e9  # of NVLink 4 (900 GB/s both ways together), for those bytes
    step_s: float = 1.4e-3  # scheduling, sampling and launching of a step


MEASURED = Efficiency()

# How softly the roof's two sides meet: at the ridge both are busy, and a step takes 2^(1/4) = 1.19 times either.
RIDGE = 4.0


@dataclass(frozen=True, slots=True)
class Roofline:
    """One replica of a model: `layout` over that many `gpu`s."""

    arch: Architecture
    layout: Layout
    gpu: Gpu
    efficiency: Efficiency = MEASURED

    def step_s(self, decoding: float, context: float, prefill: float = 0.0, prompt: float = 0.0) -> float:
        """Seconds of a step in which `decoding` sequences of `context` tokens each give one token, and `prefill` tokens
        of prompts `prompt` tokens long are read."""
        arch, spread, gpu, reach = self.arch, self.layout, self.gpu, self.efficiency
        ranks = spread.workers
        bandwidth = gpu.bandwidth_gb_s * 1e9
        embedding = arch.vocab * arch.hidden
        # The embedding is looked up, not streamed; the output head is.
        streamed = memory.weight_bytes(arch, spread) - embedding * spread.weight_bytes * (not arch.tied_embeddings)
        reading = streamed / ranks / (bandwidth * reach.weights)
        tokens = decoding + prefill
        body = arch.parameters - embedding * (not arch.tied_embeddings)
        computing = 2 * body * tokens / ranks / (self._peak_flops() * reach.compute)
        kv = memory.kv_bytes(arch, spread, 1, windows=False)
        gathering = decoding * context * kv / (bandwidth * reach.kv)
        # Scores and values: 2 x 2 FLOPs a pair of tokens and head dimension; a prompt's token sees half of it.
        pairs = prefill * prompt / 2
        attending = 4 * arch.heads * arch.head_dim * arch.layers * pairs / ranks
        attending /= gpu.bf16_tflops * 1e12 * reach.attention
        overlapped = float((reading**RIDGE + computing**RIDGE) ** (1 / RIDGE))
        return overlapped + gathering + attending + self._synchronising_s(tokens) + reach.step_s

    def _peak_flops(self) -> float:
        tflops = self.gpu.fp8_tflops if self.layout.fp8 and self.gpu.fp8_tflops else self.gpu.bf16_tflops
        return tflops * 1e12

    def _synchronising_s(self, tokens: float) -> float:
        ranks, reach = self.layout.tensor_parallel, self.efficiency
        if ranks == 1:
            return 0.0
        moved = tokens * self.arch.hidden * 2 * 2 * (ranks - 1) / ranks  # a ring: each byte of bf16 out and back
        return 2 * self.arch.layers * (reach.sync_s + moved / reach.link_bytes_s)

    def prefill_s(self, prompt: float, beside: float = 0.0, context: float = 0.0) -> float:
        """Seconds to read a prompt in chunks, while `beside` sequences of `context` tokens decode in the same steps."""
        budget = max(self.layout.batched_tokens - beside, 1.0)
        whole, rest = divmod(prompt, budget)
        seconds = whole * self.step_s(beside, context, budget, prompt)
        return seconds + (self.step_s(beside, context, rest, prompt) if rest else 0.0)

    def kv_room_tokens(self, usable_bytes: int) -> int:
        """Tokens of KV cache that fit beside weights and activations into `usable_bytes` of each GPU."""
        return memory.need(self.arch, self.layout).room_tokens(usable_bytes)
