"""GPU facts as engines and prices use them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from serve.fleet.gpus import Gpu, gpu, gpus

pytestmark = pytest.mark.unit


def test_every_gpu_has_a_source_and_a_dated_price() -> None:
    for name, known in gpus().items():
        assert known.source, name
        assert known.usd_per_gpu_hour is not None, name
        assert known.usd_per_gpu_hour.date, name
        assert known.usd_per_gpu_hour.usd > 0.3, name


def test_names_carry_the_memory() -> None:
    for name, known in gpus().items():
        assert name.endswith(f"-{known.memory_gb:g}GB")


def test_fp8_is_known_per_gpu() -> None:
    assert gpu("H100-SXM-80GB").fp8
    assert not gpu("A100-SXM-80GB").fp8
    assert gpu("H100-SXM-80GB").memory_bytes == 80 * 10**9


def test_an_unknown_gpu_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="'H100' is none of the known GPUs: H100-SXM-80GB"):
        gpu("H100")


def test_gpus_are_frozen_and_closed() -> None:
    known = gpu("L4-24GB")
    with pytest.raises(ValidationError):
        known.memory_gb = 48  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Gpu.model_validate(known.model_dump() | {"memory": 1})
