"""Sizes of replicas: figures by hand, what has none says why, and of many shapes the sensible ones in order."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pytest

from autoscaling.capacity import sizing
from autoscaling.capacity.sizing import Size
from autoscaling.capacity.sustained import Mix, Sustained, sustained
from autoscaling.policies import Static
from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.run import simulate
from autoscaling.simulate.traces import Trace, Window
from serve.fleet import Engine, Fleet, ModelCard, catalogue, loader
from serve.fleet.loader import LAPTOP, resolve
from serve.fleet.slo import Slo

pytestmark = pytest.mark.unit

GEMMA = "gemma-2-9b-it"
MIX = Mix(512, 256)


def fleet(*models: dict[str, Any]) -> Fleet:
    return resolve({"models": list(models)}, "test")


def card(name: str) -> ModelCard:
    return ModelCard.model_validate(catalogue.raw(name))


def size(usd: float | None, mix: Mix, requests_per_s: float, room: int = 0) -> Size:
    done = Sustained(requests_per_s, requests_per_s * mix.output, 1, 0.01, 0.1, "kv")
    return Size("m", Engine(gpu="L4-24GB"), 8192, mix, room, done, True, usd)


def test_prices_and_room_are_those_of_the_arithmetic() -> None:
    # 2 requests a second of 750 + 250 tokens: 7.2 million tokens an hour, 1.8 million of them written.
    one = size(7.2, Mix(750, 250), 2, room=8750)
    assert one.usd_per_mtok == pytest.approx(1.0)
    assert one.usd_per_output_mtok == pytest.approx(4.0)
    # A request holds its prompt and, on average, half of its answer; long answers are met more often (1 + 0.77^2).
    assert one.kv_sequences == pytest.approx(8750 / (750 + 125 * 1.5929))
    assert size(None, MIX, 2).usd_per_mtok is None
    assert size(0.0, MIX, 2).usd_per_mtok == 0  # one's own GPUs, paid for


def test_a_model_of_the_fleet_has_its_engine_s_figures() -> None:
    engine = {
        "gpu": "H100-SXM-80GB",
        "usd_per_gpu_hour": 2.5,
        "tensor_parallel": 2,
        # Gemma 2 9B: 42 layers, 8 KV heads of 256, keys and values in two bytes; half of the heads on each GPU.
        "kv_cache_bytes": 100_000 * 2 * 42 * 4 * 256 * 2,
        "max_model_len": 4096,
        "replicas": {"initial": 2, "min": 2, "max": 5},
    }
    described = fleet({"use": GEMMA, "engine": engine})
    [one], unsized = sizing.of_fleet(described, [MIX])
    assert not unsized
    assert one.kv_room_tokens == 100_000
    assert one.kv_sequences == pytest.approx(100_000 / (512 + 128 * 1.5929))
    assert (one.least, one.most, one.context_tokens, one.stored) == (2, 5, 4096, "bfloat16")
    assert one.usd_per_hour == 5.0
    assert one.sustained == sustained(described.models[0], MIX, described.slo)
    bill = sizing.bill(described)
    assert (bill.least_gpus, bill.most_gpus) == (4, 10)
    assert (bill.least_usd_per_hour, bill.most_usd_per_hour) == (10.0, 25.0)


def test_a_description_that_lets_too_few_requests_in_is_told() -> None:
    def one(ongoing: int) -> Size:
        return sizing.of_fleet(
            fleet({"use": GEMMA, "engine": {"gpu": "H100-SXM-80GB", "max_ongoing_requests": ongoing}}), [MIX]
        )[0][0]

    at_once = int(one(256).sustained.sequences)
    assert one(at_once - 1).held_back
    assert not one(at_once).held_back


def test_the_whole_fleet_s_bill() -> None:
    # Two H100 for one or two 70B, four small models on one each: 6 to 8 GPUs at 3.97 USD.
    bill = sizing.bill(loader.load(LAPTOP.with_name("8xh100.yaml")))
    assert (bill.least_gpus, bill.most_gpus) == (6, 8)
    assert bill.least_usd_per_hour == pytest.approx(6 * 3.97)
    assert bill.most_usd_per_hour == pytest.approx(8 * 3.97)
    assert bill.unpriced == ()


def test_what_cannot_be_computed_says_why() -> None:
    upstream = {"base_url": "https://api.example.com"}
    own = {
        "title": "Own",
        "source": "example-org/own",
        "licence": {"name": "Apache-2.0", "gated": False},
        "context_tokens": 4096,
        "languages_declared": ["en"],
        "template": {"roles": ["user"]},
        "tokenizer": "llama3",
        "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1, "source": "test"},
    }
    sizes, unsized = sizing.of_fleet(
        fleet(
            {"use": "llama-3.3-70b-instruct", "upstream": upstream},
            {"use": GEMMA, "engine": {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 50_331_648}},
            {"id": "own", "card": own, "engine": {"gpu": "L4-24GB"}},
            {"use": "eurollm-9b-instruct", "engine": {"gpu": "H100-SXM-80GB"}},
        ),
        [MIX, Mix(4000, 200)],
    )
    assert [(one.model, one.mix) for one in sizes] == [("eurollm-9b-instruct", MIX)]
    whys = {one.name: one.why for one in unsized}
    assert "https://api.example.com" in whys["llama-3.3-70b-instruct"]
    assert "CPU" in whys[GEMMA]
    assert "architecture" in whys["own"]
    assert whys["eurollm-9b-instruct"].startswith("4,000 prompt and 200 output tokens are more than the 4,096")


def test_an_objective_missed_by_one_request_alone_is_told() -> None:
    described = fleet({"use": "llama-3.3-70b-instruct", "engine": {"gpu": "H200-SXM-141GB", "quantization": "fp8"}})
    # 100,000 tokens of prompt: 2 x 70e9 x 1e5 FLOPs at the GPU's peak of 1,979 TFLOPS are 7 s, and 2.5 are promised.
    [one], _ = sizing.of_fleet(described, [Mix(100_000, 20_000)])
    assert not one.within
    assert one.sustained.bound == "ttft"
    assert one.sustained.ttft_s > 7
    assert not one.flattered


def test_of_the_catalogue_each_gpu_and_format_has_its_smallest_shape_and_the_cheapest() -> None:
    cards = {name: card(name) for name in ("llama-3.3-70b-instruct", GEMMA)}
    sizes, unsized = sizing.of_catalogue(cards, [MIX], Slo())
    shapes: dict[tuple[str, str | None, str], list[int]] = {}
    for one in sizes:
        shapes.setdefault((one.model, one.engine.gpu, one.stored), []).append(one.engine.tensor_parallel)
    # 70.6 GB of FP8 weights and one context of 43 GB: two GPUs of 80 GB, one of 141; in bfloat16 twice as many.
    assert shapes["llama-3.3-70b-instruct", "H100-SXM-80GB", "fp8"] == [2]
    assert shapes["llama-3.3-70b-instruct", "H100-SXM-80GB", "bfloat16"][-1:] == [4]
    assert ("llama-3.3-70b-instruct", "A100-SXM-80GB", "fp8") not in shapes  # it has no FP8 units
    assert all(1 <= len(degrees) <= 2 for degrees in shapes.values())
    assert all(one.within for one in sizes)
    for _, group in groupby(sizes, key=lambda one: one.model):
        prices = [one.usd_per_mtok for one in group]
        assert prices == sorted(prices, key=lambda usd: usd or 0.0)
    # 141 GB of bfloat16 weights on eight A10G of 24 GB, and a context of 131,072 tokens: no room.
    [nothing] = unsized
    assert nothing.name == "llama-3.3-70b-instruct on A10G-24GB"
    assert "each GPU needs" in nothing.why
    assert "take a larger GPU" in nothing.why


@pytest.mark.parametrize(("use", "least", "most"), [(0.8, 0.99, 1.0), (1.3, 0.0, 0.5)])
def test_a_simulated_replica_sustains_what_its_size_says_and_no_more(use: float, least: float, most: float) -> None:
    described = loader.load(LAPTOP.with_name("elastic.yaml"))
    sizes, _ = sizing.of_fleet(described, [MIX])
    for one in sizes:
        window = Window(0, 900, use * one.sustained.requests_per_s, 1, MIX.prompt, MIX.output)
        outcome = simulate(described, {one.model: Trace("even", (window,))}, Static(), Conditions())
        assert least <= outcome.met <= most, one.model


def test_ranks_that_talk_over_pcie_are_told() -> None:
    sizes, _ = sizing.of_catalogue({GEMMA: card(GEMMA)}, [MIX], Slo())
    flattered = {(one.engine.gpu, one.engine.tensor_parallel) for one in sizes if one.flattered}
    assert flattered
    assert {gpu for gpu, _ in flattered} <= {"L40S-48GB", "L4-24GB", "A10G-24GB", "A100-PCIe-80GB"}
    assert all(degree > 1 for _, degree in flattered)


def test_a_card_without_architecture_has_no_rows() -> None:
    bare = card(GEMMA).model_copy(update={"architecture": None})
    sizes, [why] = sizing.of_catalogue({"bare": bare}, [MIX], Slo())
    assert not sizes
    assert "architecture" in why.why
