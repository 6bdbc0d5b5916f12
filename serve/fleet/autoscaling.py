"""How the autoscaler looks, plans and applies: `autoscaling:` of the fleet. Bounds stand with each model's engine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from serve.fleet.autoscaling_joint import Budget, Joint
from serve.fleet.autoscaling_kubernetes import Kubernetes
from serve.fleet.autoscaling_rules import Rules
from serve.fleet.base import Frozen, HttpUrl, PositiveSeconds

# What the controller keeps of each round is bounded; see `autoscaling.history`.
MAX_ROUNDS = 4096


class Work(Frozen):
    """Work in tokens: what an answer costs an engine, and what a replica does a second until that is measured."""

    prompt_token_weight: float = Field(
        default=0.45,
        ge=0,
        le=10,
        description="A prompt token that is not in a cache, in output tokens. Default: the weight that makes 104 "
        "published throughputs of nine prompt and answer lengths agree best (docs/autoscaling.md).",
    )
    output_token_weight: float = Field(default=1, gt=0, le=10, description="An output token.")
    gpu_tokens_per_s: float = Field(
        default=1000, gt=0, le=1_000_000, description="Work of one GPU within the objectives, until it is measured."
    )
    cpu_tokens_per_s: float = Field(
        default=100, gt=0, le=1_000_000, description="Work of a replica on CPUs, until it is measured."
    )
    request_tokens: float = Field(
        default=400, gt=0, le=1_000_000, description="Work of a request, until one has been answered."
    )
    target_utilisation: float = Field(
        default=0.7, gt=0, le=1, description="Share of its capacity that a replica is planned to use."
    )
    headroom: float = Field(default=1.1, ge=1, le=10, description="Expected work, over the recent peak.")
    catch_up_s: PositiveSeconds = Field(default=30, description="Within which work that waits is to be done.")
    kv_target: float = Field(default=0.8, gt=0, le=1, description="Share of the KV cache that is planned to be used.")
    late_cost: float = Field(
        default=25,
        ge=1,
        le=20_000,
        description="`slo`: what a late request costs at the beginning, in costs of serving one at full use. From "
        "there it follows the misses that are measured, so that slo.attainment holds.",
    )
    late_request_usd: float | None = Field(
        default=None,
        gt=0,
        le=10_000,
        description="`slo`: a fixed price of a late request, in place of one that follows measured misses.",
    )
    cold_start_s: PositiveSeconds = Field(
        default=180, description="From the call for a replica until it runs, until that is measured."
    )


class Pace(Frozen):
    """How quickly the number of replicas may change."""

    scale_down_window_s: PositiveSeconds = Field(
        default=300,
        description="Fewer replicas only when none of the plans of so long, or of a cold start, asked for more.",
    )
    period_s: PositiveSeconds = Field(default=60, description="Of the two limits below.")
    up: int = Field(default=4, ge=1, le=1024, description="Replicas added at most within a period, or `up_share`.")
    up_share: float = Field(
        default=1.0, ge=0, le=100, description="The same in shares of those there are; the larger number counts."
    )
    down: int = Field(default=1, ge=1, le=1024, description="Replicas taken away at most within a period.")
    down_share: float = Field(
        default=0.1, ge=0, le=1, description="The same in shares of those there are; the larger number counts."
    )


class Autoscaling(Frozen):
    """One autoscaler. It reads Prometheus, plans, and tells Ray Serve how many replicas each model should have."""

    prometheus_url: HttpUrl = Field(default="http://127.0.0.1:9090", description="Whose HTTP API it asks.")
    host: str = Field(default="127.0.0.1", description="Where /plan, /healthz and /metrics are served.")
    port: int = Field(default=8082, ge=1, le=65_535)
    state_dir: str | None = Field(
        default=None,
        description="Where it keeps what it has seen, and the lock by which one of several leads; relative to the "
        "fleet file (`parlance autoscaler --state-dir`). None: nothing is kept, and it leads.",
    )
    policy: Literal["slo", "token-work", "static", "ray-default", "hpa-queue", "hpa-concurrency", "keda"] = Field(
        default="slo",
        description="`slo` weighs replicas against late requests, `token-work` scales on tokens of work, `static` "
        "keeps each model's `replicas.initial`; the last four are rules of other autoscalers, with their own pace "
        "(`rules`).",
    )
    interval_s: PositiveSeconds = Field(default=15, description="Between the beginnings of two rounds.")
    window_s: PositiveSeconds = Field(
        default=60, description="Over which rates are measured: at least four scrapes of Prometheus."
    )
    mix_window_s: PositiveSeconds = Field(
        default=600, description="Over which the tokens of a request are averaged: longer than an answer takes."
    )
    stale_after_s: PositiveSeconds = Field(default=60, description="Samples older than this are no data.")
    timeout_s: PositiveSeconds = Field(default=5, description="For each question to Prometheus or Ray Serve.")
    work: Work = Work()
    pace: Pace = Pace()
    rules: Rules = Rules()
    joint: Joint = Joint()
    budget: Budget = Budget()
    kubernetes: Kubernetes | None = Field(
        default=None, description="Leadership by a Lease and memory in a ConfigMap, in place of `state_dir`: `{}` does."
    )

    @model_validator(mode="after")
    def _one_memory(self) -> Autoscaling:
        if self.kubernetes is None:
            return self
        if self.state_dir is not None:
            raise ValueError(
                f"both state_dir ({self.state_dir!r}) and kubernetes: leader and memory are a Lease and a ConfigMap, "
                "or a lock and a file: give one of them"
            )
        deadline, duration = self.kubernetes.renew_deadline_s, self.kubernetes.duration_s
        if deadline + self.timeout_s > duration:
            raise ValueError(
                f"kubernetes.renew_deadline_s ({deadline:g}) + timeout_s ({self.timeout_s:g}) must be at most "
                f"kubernetes.duration_s ({duration}): what a leader has begun ends before another leads"
            )
        return self

    @model_validator(mode="after")
    def _rounds_fit(self) -> Autoscaling:
        paces = (self.pace.scale_down_window_s, self.pace.period_s, self.rules.look_back_s)
        longest = max(*paces, self.work.cold_start_s)
        if longest / self.interval_s > MAX_ROUNDS:
            raise ValueError(
                f"interval_s ({self.interval_s:g}) is so short that {longest:g} s are more than {MAX_ROUNDS} rounds"
            )
        return self
