"""GPU models by name: memory, bandwidth, arithmetic and hourly price, read from `catalogue/gpus.yaml`."""

from __future__ import annotations

from functools import cache

from pydantic import Field, TypeAdapter

from serve.fleet import catalogue
from serve.fleet.base import Frozen, Usd


class HourlyPrice(Frozen):
    """What an hour of one GPU costs, on demand."""

    usd: Usd
    source: str
    date: str | None = None


class Gpu(Frozen):
    """One GPU model. Peak figures are dense: structured sparsity would double them."""

    memory_gb: float = Field(gt=0, description="10^9 bytes.")
    memory_type: str
    bandwidth_gb_s: float = Field(gt=0)
    bf16_tflops: float = Field(gt=0)
    fp8_tflops: float | None = Field(default=None, gt=0, description="None: no FP8 units.")
    interconnect: str | None = None
    tdp_w: float | None = Field(default=None, gt=0)
    usd_per_gpu_hour: HourlyPrice | None = None
    source: str

    @property
    def memory_bytes(self) -> int:
        """The vendor's gigabytes as 10^9 bytes: on HBM cards up to 7% less than the driver reports, never more."""
        return int(self.memory_gb * 10**9)

    @property
    def fp8(self) -> bool:
        """Whether it computes in FP8."""
        return self.fp8_tflops is not None


@cache
def gpus() -> dict[str, Gpu]:
    """Every GPU model that is known, by name, in the order of the file."""
    return TypeAdapter(dict[str, Gpu]).validate_python(catalogue.raw_gpus())


def gpu(name: str) -> Gpu:
    """The GPU model of that name. Raises KeyError with the names that are known."""
    try:
        return gpus()[name]
    except KeyError:
        raise KeyError(f"{name!r} is none of the known GPUs: {', '.join(gpus())}") from None
