"""Every shipped example, and the one on the page, is a fleet."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from serve.fleet import load, yaml
from serve.fleet.loader import resolve
from serve.fleet.summary import summary

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
EXAMPLES = {path.stem: path for path in sorted((ROOT / "serve" / "fleet" / "examples").glob("*.yaml"))}


def test_the_examples_are_there() -> None:
    assert {"single-gpu", "8xh100", "overflow", "elastic", "laptop"} <= set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_loads(name: str) -> None:
    fleet = load(EXAMPLES[name])
    assert fleet.name == name
    assert len(fleet.models) >= 2


def test_the_node_of_eight_needs_no_more_than_eight() -> None:
    counts = summary(load(EXAMPLES["8xh100"]))["gpus"]
    assert counts == {"H100-SXM-80GB": {"min": 6, "max": 8}}


def test_single_gpu_needs_one() -> None:
    assert summary(load(EXAMPLES["single-gpu"]))["gpus"] == {"H100-SXM-80GB": {"min": 1, "max": 1}}


def test_the_pages_example_loads() -> None:
    page = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert [model.id for model in resolve(yaml.parse(block, "docs/fleet.md"), "docs/fleet.md").models] == [
        "eurollm-9b-instruct",
        "house-model",
    ]
