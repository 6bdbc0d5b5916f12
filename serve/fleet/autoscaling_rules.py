"""The rules of other autoscalers, as policies of ours: their settings under their products' names and defaults.

Where a product has no default because every user has to find the figure by measuring (what one replica should carry),
the description says where ours comes from.
"""

from __future__ import annotations

from pydantic import Field

from serve.fleet.base import Frozen, PositiveSeconds


class RayDefault(Frozen):
    """`AutoscalingConfig` of Ray Serve 2.60; its bounds are `engine.replicas`."""

    target_ongoing_requests: float = Field(
        default=2,
        gt=0,
        le=1_000_000_000,
        description="Requests in a replica or waiting for it. Ray Serve LLM's default is a billion: it never scales.",
    )
    look_back_period_s: PositiveSeconds = Field(default=30, description="Over which they are averaged.")
    upscaling_factor: float = Field(default=1, gt=0, le=100, description="Share of a missing replica that is added.")
    downscaling_factor: float = Field(default=1, gt=0, le=100, description="Share of an idle replica that is removed.")
    upscale_delay_s: float = Field(
        default=30, ge=0, le=86_400, description="For so long every decision must be to add replicas."
    )
    downscale_delay_s: float = Field(
        default=600, ge=0, le=86_400, description="For so long every decision must be to remove replicas."
    )
    downscale_to_zero_delay_s: float | None = Field(
        default=None, ge=0, le=86_400, description="The same from one replica to none; default: downscale_delay_s."
    )


class Hpa(Frozen):
    """A HorizontalPodAutoscaler (autoscaling/v2) with its default `behavior`; its sync period is `interval_s`."""

    tolerance: float = Field(
        default=0.1, ge=0, le=1, description="Metric over target may differ from 1 by so much before it acts."
    )
    scale_up_window_s: float = Field(
        default=0, ge=0, le=3600, description="`scaleUp.stabilizationWindowSeconds`: the lowest recommendation of it."
    )
    scale_up_pods: int = Field(default=4, ge=1, le=1024, description="Added in a period; the larger of both counts.")
    scale_up_percent: float = Field(default=100, ge=0, le=10_000, description="Added in a period.")
    scale_up_period_s: float = Field(default=15, gt=0, le=1800, description="`periodSeconds` of both.")
    scale_down_window_s: float = Field(
        default=300, ge=0, le=3600, description="`scaleDown.stabilizationWindowSeconds`: the highest of it."
    )
    scale_down_percent: float = Field(default=100, ge=0, le=100, description="Removed in a period.")
    scale_down_period_s: float = Field(default=15, gt=0, le=1800, description="`periodSeconds` of that.")


class HpaQueue(Frozen):
    """`hpa-queue`: the HPA on `vllm:num_requests_waiting` of each pod."""

    waiting_per_replica: float = Field(
        default=5,
        ge=0.001,
        le=1_000_000,
        description="`averageValue`. The HPA has no default; Google's guide for LLMs on GKE begins with 3 to 5.",
    )


class HpaConcurrency(Frozen):
    """`hpa-concurrency`: the HPA on `vllm:num_requests_running` of each pod."""

    running_per_replica: float = Field(
        default=32,
        ge=0.001,
        le=1_000_000,
        description="`averageValue`. The HPA has no default, and it depends on model, GPU and lengths: measure yours.",
    )


class Keda(Frozen):
    """`keda`: a ScaledObject with the Prometheus scaler on requests a second, through the HPA above."""

    requests_per_s: float = Field(
        default=1,
        ge=0.001,
        le=1_000_000,
        description="`threshold`: of one replica. KEDA has no default, and it depends on model, GPU and lengths.",
    )
    cooldown_s: float = Field(
        default=300, ge=0, le=86_400, description="`cooldownPeriod`: without a request, before the last replica goes."
    )


class Rules(Frozen):
    """Settings of the policies that stand for other autoscalers; the others do not look at them."""

    ray_default: RayDefault = RayDefault()
    hpa: Hpa = Hpa()
    hpa_queue: HpaQueue = HpaQueue()
    hpa_concurrency: HpaConcurrency = HpaConcurrency()
    keda: Keda = Keda()

    @property
    def look_back_s(self) -> float:
        """For how long back a rule asks what was needed, in seconds."""
        ray, hpa = self.ray_default, self.hpa
        to_zero = ray.downscale_to_zero_delay_s or 0.0
        windows = (ray.look_back_period_s, ray.upscale_delay_s, ray.downscale_delay_s, to_zero)
        behaviour = (hpa.scale_up_window_s, hpa.scale_up_period_s, hpa.scale_down_window_s, hpa.scale_down_period_s)
        return max(*windows, *behaviour, self.keda.cooldown_s)
