"""The simulated engine beside NVIDIA's published throughputs (tests/data/throughput.tsv), and what a full cache costs.

The tables are TensorRT-LLM's, at the largest batch. vLLM with a queue that never ends goes beyond that: it reserves
nothing for answers, fills the cache to its end, and reads again what it has preempted.
"""

from __future__ import annotations

from math import exp, log
from statistics import median

import pytest
from test_capacity_roofline import arch_of, expected, rows

from autoscaling.capacity.roofline import Roofline
from autoscaling.simulate.engine import Engine
from autoscaling.simulate.request import Request
from autoscaling.simulate.steps import Steps
from autoscaling.simulate.traces import Arrival
from serve.fleet.gpus import gpu
from serve.fleet.memory import Layout

pytestmark = pytest.mark.unit

SEQUENCES = 2048
# Of the offline rows, in the order of the table: enough for all lengths, models and GPU counts.
EVERY = 5  # in three parts


def steady(roof: Roofline, kv: int, prompt: int, output: int, most: int) -> tuple[float, float]:
    """Output tokens a second while `most` requests are open, and preemptions a request, over `most` of them.

    The first ones are in the middle of their answers, evenly spread: else all prompts would be read at once.
    """
    engine = Engine(Steps(roof), kv, 0)
    for index in range(most):
        written = output * index // most
        engine.submit(Request(Arrival(0, prompt + written, max(output - written, 1))), 0)
    now = 0.0

    def run(ended: int) -> None:
        nonlocal now
        while len(engine.progress.ended) < ended:
            now = engine.quiet_s + 1e-6
            engine.until(now)
            while engine.open < most:
                engine.submit(Request(Arrival(now, prompt, output)), now)

    run(most)
    wrote, since, preempted = engine.progress.wrote, now, engine.progress.preemptions
    run(2 * most)
    return (engine.progress.wrote - wrote) / (now - since), (engine.progress.preemptions - preempted) / most


def published(name: str) -> list[dict[str, str]]:
    """Rows of runs with a full queue on such GPUs, whose KV cache we can tell."""
    return [
        row
        for row in rows()
        if row["gpu"] == name and not row["concurrency"] and row["metric"] == "output_throughput" and expected(row)
    ]


def roof_of(row: dict[str, str]) -> tuple[Roofline, int]:
    """One replica of a row, and the tokens of its KV cache."""
    card = gpu(row["gpu"])
    layout = Layout(tensor_parallel=int(row["tp"]), fp8=True, kv_bytes=1, sequences=SEQUENCES)
    roof = Roofline(arch_of(row["model"]), layout, card)
    return roof, roof.kv_room_tokens(int(card.memory_bytes * 0.9))


@pytest.mark.parametrize("name", ["H100-SXM-80GB", "H200-SXM-141GB"])
@pytest.mark.parametrize("part", range(3))
def test_throughput_is_the_published_one(name: str, part: int) -> None:
    """With as many requests as fit, the error is the roofline's, which was fitted to H100."""
    errors = []
    for row in published(name)[part * EVERY :: 3 * EVERY]:
        (roof, kv), prompt, output = roof_of(row), int(row["isl"]), int(row["osl"])
        fit = min(SEQUENCES, int(0.9 * kv / (prompt + output / 2)))
        found, _ = steady(roof, kv, prompt, output, fit)
        errors.append(log(found / float(row["value"])))
        error = exp(errors[-1]) - 1
        print(f"{row['model']} x{row['tp']} {prompt}/{output}: {found:.0f} of {row['value']} a second ({error:+.0%})")
    middle, worst = (exp(found) - 1 for found in (median(map(abs, errors)), max(map(abs, errors))))
    print(f"{name}: {len(errors)} rows, median error {middle:.1%}, largest {worst:.1%}")
    assert len(errors) > 2
    assert middle < 0.2
    assert worst < 0.40


def test_a_queue_that_never_ends_costs_throughput_where_answers_are_long() -> None:
    """A fifth more requests than fit: each is preempted about once, and its prompt and answer are read again."""
    row = next(
        row for row in published("H100-SXM-80GB") if (row["tp"], row["isl"], row["osl"]) == ("2", "1000", "2000")
    )
    roof, kv = roof_of(row)
    fit = int(0.9 * kv / 2000)
    fitting, _ = steady(roof, kv, 1000, 2000, fit)
    queueing, preempted = steady(roof, kv, 1000, 2000, int(1.2 * fit))
    print(f"{fitting:.0f} output tokens a second; with a queue {queueing:.0f}, {preempted:.1f} preemptions a request")
    assert 0.5 < preempted < 2
    assert 0.7 * fitting < queueing < 0.95 * fitting
