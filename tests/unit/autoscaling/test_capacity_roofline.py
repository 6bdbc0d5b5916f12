"""The roofline beside NVIDIA's published tables: its constants were fitted to the H100 rows; the H200 rows test it."""

from __future__ import annotations

import csv
from math import exp, log
from pathlib import Path
from statistics import median, quantiles

import pytest

from autoscaling.capacity.roofline import Roofline
from serve.fleet import loader
from serve.fleet.card import Architecture
from serve.fleet.gpus import gpu
from serve.fleet.memory import Layout

pytestmark = pytest.mark.unit

PUBLISHED = Path(__file__).parents[2] / "data" / "throughput.tsv"
LLAMA_8B = Architecture(
    class_name="LlamaForCausalLM", parameters=8_030_261_248, layers=32, hidden=4096, ffn=14_336, heads=32, kv_heads=8,
    head_dim=128, vocab=128_256,
)  # fmt: skip
# Where not even three mean requests fit the KV cache that our arithmetic leaves, it says nothing of throughput.
LEAST_SEQUENCES = 3
BOUNDLESS = 2048


def rows() -> list[dict[str, str]]:
    lines = [line for line in PUBLISHED.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t"))


def arch_of(name: str) -> Architecture:
    if "8B" in name:
        return LLAMA_8B
    arch = loader.laptop().model("llama-3.3-70b-instruct").card.architecture
    assert arch is not None
    return arch


def expected(row: dict[str, str]) -> float | None:
    """What the roofline says of a row; None where it cannot."""
    card = gpu(row["gpu"])
    layout = Layout(tensor_parallel=int(row["tp"]), fp8=True, kv_bytes=1)
    roof = Roofline(arch_of(row["model"]), layout, card)
    prompt, output = int(row["isl"]), int(row["osl"])
    context = prompt + output / 2
    room = roof.kv_room_tokens(int(card.memory_bytes * 0.9)) / context
    if room < LEAST_SEQUENCES:
        return None
    if row["metric"] == "TTFT_mean":  # alone: others wait in a queue that the table does not tell of
        return roof.step_s(0, 0, prompt, prompt) * 1e3 if row["concurrency"] == "1" else None
    sequences = min(room, int(row["concurrency"] or BOUNDLESS))
    step = roof.step_s(sequences, context, sequences * prompt / output, prompt)
    return step * 1e3 if row["metric"] == "ITL_mean" else sequences / step


@pytest.mark.parametrize("name", ["H100-SXM-80GB", "H200-SXM-141GB"])
def test_published_figures(name: str) -> None:
    ours = [(expected(row), float(row["value"])) for row in rows() if row["gpu"] == name]
    errors = [abs(log(found / published)) for found, published in ours if found is not None]
    assert len(errors) > 60
    middle, worst_tenth = exp(median(errors)) - 1, exp(quantiles(errors, n=10)[-1]) - 1
    print(f"{name}: {len(errors)} figures, median error {middle:.1%}, nine of ten within {worst_tenth:.1%}")
    assert middle < 0.09
    assert worst_tenth < 0.21


def test_a_step_takes_longer_with_more_of_anything() -> None:
    roof = Roofline(LLAMA_8B, Layout(), gpu("H100-SXM-80GB"))
    base = roof.step_s(8, 1000, 100, 1000)
    assert roof.step_s(9, 1000, 100, 1000) > base
    assert roof.step_s(8, 1100, 100, 1000) > base
    assert roof.step_s(8, 1000, 200, 1000) > base
    assert roof.step_s(8, 1000, 100, 9000) > base


def test_tensor_parallel_shortens_a_step_by_less_than_its_degree() -> None:
    arch, card = arch_of("70B"), gpu("H100-SXM-80GB")
    two, four = (Roofline(arch, Layout(tensor_parallel=n), card).step_s(16, 2000) for n in (2, 4))
    assert two / 2 < four < two


def test_a_prompt_is_read_in_chunks_of_the_batch() -> None:
    roof = Roofline(LLAMA_8B, Layout(batched_tokens=2048), gpu("H100-SXM-80GB"))
    chunk = roof.step_s(0, 0, 2048, 4096)
    assert roof.prefill_s(4096) == pytest.approx(2 * chunk)
    assert roof.prefill_s(4096, beside=64, context=1000) > roof.prefill_s(4096)
