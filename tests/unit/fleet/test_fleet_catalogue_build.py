"""gpus.yaml and list prices from a small sample of the collected facts."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from serve.errors import DescriptionError
from serve.fleet import yaml
from serve.fleet.catalogue import build

pytestmark = pytest.mark.unit

FACTS = Path(__file__).with_name("facts")


def text(name: str) -> str:
    return (FACTS / name).read_text(encoding="utf-8")


def test_a_gpus_price_is_the_median_of_what_is_on_demand_and_undisputed() -> None:
    made = build.gpus_yaml(text("gpus.csv"), text("prices.csv"))
    gpus = yaml.parse(made, "gpus.yaml")["gpus"]
    assert list(gpus) == ["H100-SXM-80GB", "A100-PCIe-80GB", "L4-24GB"]
    assert gpus["L4-24GB"]["usd_per_gpu_hour"]["usd"] == median([0.8048, 1.0, 0.44, 0.49, 0.8])
    h100 = gpus["H100-SXM-80GB"]
    assert (h100["memory_gb"], h100["fp8_tflops"]) == (80, 1979)
    # Neither the reserved capacity blocks (4.326) nor the contradicted 11.061 counts.
    assert h100["usd_per_gpu_hour"]["usd"] == median([6.88, 12.29, 2.95, 2.4, 3.99, 3.49, 3.95, 6.155])
    assert gpus["A100-PCIe-80GB"]["fp8_tflops"] is None


def test_a_list_price_counts_a_provider_once_and_no_resellers() -> None:
    # OpenRouter stands there twice (0.2 and 0.07), and a benchmark's list once.
    into, out, providers = build.token_price(text("prices.csv"), "google/gemma-2-9b-it") or (0, 0, 0)
    assert into == pytest.approx(median([0.2, 0.03, 0.08, (0.2 + 0.07) / 2, 0.3]))
    assert out == pytest.approx(median([0.2, 0.09, 0.08, (0.2 + 0.07) / 2, 0.3]))
    assert providers == 5


def test_no_price_found_is_none() -> None:
    assert build.token_price(text("prices.csv"), "utter-project/EuroLLM-9B-Instruct") is None


def test_unknown_gpus_and_broken_tables_are_said() -> None:
    with pytest.raises(DescriptionError, match=r"line 2: 'B300': give it a name in GPUS"):
        build.gpus_yaml(text("gpus.csv").replace("H100 SXM5", "B300"), text("prices.csv"))
    with pytest.raises(DescriptionError, match="has no column kind"):
        build.gpus_yaml(text("gpus.csv"), "a,b\n1,2\n")
    with pytest.raises(DescriptionError, match=r"line 2: 'much': a number"):
        build.gpus_yaml(text("gpus.csv").replace(",3350,", ",much,"), text("prices.csv"))
