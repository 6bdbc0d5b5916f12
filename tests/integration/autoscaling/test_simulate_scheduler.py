"""The simulated engine beside vLLM's own scheduler: the same requests, the same step times, the same token times.

The real `Scheduler` and its KV cache manager decide here what each step computes; no model runs, and a step takes what
the roofline says. Asynchronous scheduling is off: the simulated engine has none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest

from autoscaling.capacity.roofline import Roofline
from autoscaling.simulate.blocks import BLOCK_TOKENS
from autoscaling.simulate.engine import Engine
from autoscaling.simulate.request import Request as Simulated
from autoscaling.simulate.steps import Steps
from autoscaling.simulate.traces import Arrival
from serve.fleet import loader
from serve.fleet.gpus import gpu
from serve.fleet.memory import Layout

pytestmark = pytest.mark.integration

CONTEXT_TOKENS = 4096
LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 128, "intermediate_size": 256,
    "num_attention_heads": 4, "num_hidden_layers": 1, "num_key_value_heads": 2, "vocab_size": 1000,
    "max_position_embeddings": CONTEXT_TOKENS, "torch_dtype": "bfloat16",
}  # fmt: skip
# What a scheduler is made of: blocks of KV cache, tokens and sequences of a step.
Made = Callable[[int, int, int], Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Makes vLLM's scheduler for a model that exists as its configuration only."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("vllm")
    from vllm.config import CacheConfig, ModelConfig, SchedulerConfig, VllmConfig
    from vllm.utils.hashing import sha256
    from vllm.v1.core.kv_cache_utils import init_none_hash
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
    from vllm.v1.structured_output import StructuredOutputManager

    init_none_hash(sha256)
    directory = tmp_path_factory.mktemp("llama")
    (directory / "config.json").write_text(json.dumps(LLAMA))

    def make(blocks: int, tokens: int, sequences: int) -> Any:
        model = ModelConfig(model=str(directory), skip_tokenizer_init=True, dtype="bfloat16")
        config = VllmConfig(
            model_config=model,
            scheduler_config=SchedulerConfig(
                max_model_len=model.max_model_len,
                is_encoder_decoder=False,
                max_num_batched_tokens=tokens,
                max_num_seqs=sequences,
                async_scheduling=False,
            ),
            cache_config=CacheConfig(block_size=BLOCK_TOKENS, enable_prefix_caching=True),
        )
        # One block is vLLM's null block.
        config.cache_config.num_gpu_blocks = blocks + 1
        spec = FullAttentionSpec(block_size=BLOCK_TOKENS, num_kv_heads=2, head_size=32, dtype=torch.bfloat16)
        return Scheduler(
            vllm_config=config,
            kv_cache_config=KVCacheConfig(blocks + 1, [], [KVCacheGroupSpec(["layer"], spec)]),
            structured_output_manager=StructuredOutputManager(config),
            block_size=BLOCK_TOKENS,
            log_stats=False,
        )

    return make


class _Job:
    """One request in vLLM's scheduler."""

    def __init__(self, arrival: Arrival, number: int) -> None:
        from vllm.sampling_params import SamplingParams
        from vllm.utils.hashing import sha256
        from vllm.v1.core.kv_cache_utils import get_request_block_hasher
        from vllm.v1.request import Request

        self.arrival = arrival
        params = SamplingParams(max_tokens=arrival.output, ignore_eos=True)
        self.request = Request(
            str(number),
            [number + 1] * arrival.prompt,
            params,
            None,
            block_hasher=get_request_block_hasher(BLOCK_TOKENS, sha256),
        )
        self.reads = True
        self.at_s: list[float] = []


def by_vllm(scheduler: Any, roof: Roofline, arrivals: Sequence[Arrival]) -> list[_Job]:
    """Lets vLLM schedule them until all are answered."""
    from vllm.v1.outputs import ModelRunnerOutput

    jobs = {str(number): _Job(arrival, number) for number, arrival in enumerate(arrivals)}
    coming, now = list(jobs.values()), 0.0
    while coming or scheduler.has_unfinished_requests():
        if not scheduler.has_unfinished_requests():
            now = max(now, coming[0].arrival.at_s)
        while coming and coming[0].arrival.at_s <= now:
            scheduler.add_request(coming.pop(0).request)
        output = scheduler.schedule()
        counts = output.num_scheduled_tokens
        for name in output.preempted_req_ids or ():
            jobs[name].reads = True
        now += _seconds(roof, [(jobs[name], count) for name, count in counts.items()])
        names = list(counts)
        whole = [jobs[name].request.num_computed_tokens == jobs[name].request.num_tokens for name in names]
        sampled = [[7] if done else [] for done in whole]
        scheduler.update_from_output(
            output, ModelRunnerOutput(names, {name: index for index, name in enumerate(names)}, sampled)
        )
        for name, done in zip(names, whole, strict=True):
            if done:
                jobs[name].at_s.append(now)
                jobs[name].reads = False
    return list(jobs.values())


def _seconds(roof: Roofline, scheduled: Sequence[tuple[_Job, int]]) -> float:
    decoding = [job for job, _ in scheduled if not job.reads]
    read = sum(count for job, count in scheduled if job.reads)
    # vLLM has counted these tokens as computed already.
    pairs = sum(
        count * (2 * (job.request.num_computed_tokens - count) + count) for job, count in scheduled if job.reads
    )
    context = sum(job.request.num_tokens for job in decoding) / len(decoding) if decoding else 0.0
    return roof.step_s(len(decoding), context, read, pairs / read if read else 0.0)


def drawn(random: Random, count: int, span_s: float, prompt: int, output: int) -> list[Arrival]:
    times = sorted(random.uniform(0, span_s) for _ in range(count))
    return [Arrival(at, random.randint(1, prompt), random.randint(1, output)) for at in times]


@pytest.mark.parametrize(
    ("name", "blocks", "tokens", "sequences", "arrivals"),
    [
        ("room for all", 4000, 8192, 256, drawn(Random(1), 60, 3.0, 1500, 200)),
        ("prompts in chunks", 4000, 256, 64, drawn(Random(2), 40, 2.0, 3000, 150)),
        ("a full cache", 260, 2048, 256, drawn(Random(3), 60, 2.0, 900, 300)),
        ("a full cache and chunks", 260, 128, 64, drawn(Random(4), 40, 3.0, 2000, 300)),
        ("a full batch", 4000, 2048, 8, drawn(Random(5), 40, 1.0, 500, 200)),
        ("all at once", 300, 512, 32, [Arrival(0.0, 100 + 37 * n, 250 - 5 * n) for n in range(40)]),
    ],
)
def test_tokens_come_when_vllm_would_send_them(
    made: Made, name: str, blocks: int, tokens: int, sequences: int, arrivals: list[Arrival]
) -> None:
    arch = loader.laptop().model("suzume-llama-3-8b-multilingual").card.architecture
    assert arch is not None
    roof = Roofline(arch, Layout(batched_tokens=tokens, sequences=sequences), gpu("H100-SXM-80GB"))
    theirs = by_vllm(made(blocks, tokens, sequences), roof, arrivals)
    engine = Engine(Steps(roof), blocks * BLOCK_TOKENS, 0)
    ours = [Simulated(arrival) for arrival in arrivals]
    for one in ours:
        engine.until(one.arrival.at_s)
        engine.submit(one, one.arrival.at_s)
    engine.until(math.inf)
    preempted = sum(one.preemptions for one in ours)
    print(f"{name}: {len(ours)} requests, {engine.progress.wrote} tokens, {preempted} preemptions")
    assert (preempted > 0) == (blocks < 1000)
    for one, job in zip(ours, theirs, strict=True):
        assert one.preemptions == job.request.num_preemptions
        assert one.first_s == pytest.approx(job.at_s[0], rel=1e-9)
        assert one.end_s == pytest.approx(job.at_s[-1], rel=1e-9)
