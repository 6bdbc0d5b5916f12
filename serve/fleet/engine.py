"""How a model is run: the device, the parallelism, the limits of its vLLM engine. GPU and CPU differ here only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from serve.fleet.autoscaling_kubernetes import RayServiceRef
from serve.fleet.base import EnvName, Frozen, HttpUrl, PositiveSeconds

# Flags that follow from other fields: stated twice, they could contradict each other.
RESERVED_FLAGS = {
    "config": "the fleet description, which is the configuration",
    "model": "card.source or engine.weights",
    "served-model-name": "id",
    "host": "the Serve configuration",
    "port": "the Serve configuration",
    "tensor-parallel-size": "engine.tensor_parallel",
    "pipeline-parallel-size": "engine.pipeline_parallel",
    "max-model-len": "engine.max_model_len",
    "dtype": "engine.dtype",
    "quantization": "engine.quantization",
    "kv-cache-dtype": "engine.kv_cache_dtype",
    "kv-cache-memory-bytes": "engine.kv_cache_bytes",
    "gpu-memory-utilization": "engine.gpu_memory_utilization",
    "tool-call-parser": "card.tool_parser",
    "reasoning-parser": "card.reasoning_parser",
    "api-key": "gateway.keys_file (the engine listens to the gateway only)",
    "middleware": "the engine application",
    "distributed-executor-backend": "engine.tensor_parallel and engine.device",
}


class Replicas(Frozen):
    """Bounds that the autoscaler keeps, and where a deployment starts."""

    initial: int = Field(default=1, ge=0, le=1024)
    min: int = Field(default=1, ge=0, le=1024)
    max: int = Field(default=1, ge=1, le=1024)
    spare: int = Field(
        default=0, ge=0, le=1024, description="Warm replicas kept above what is needed, as far as `max` allows."
    )
    tokens_per_s: float | None = Field(
        default=None,
        gt=0,
        le=10_000_000,
        description="Work that one replica does within the objectives, in output tokens a second, until it is "
        "measured; default: autoscaling.work.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Replicas:
        if not self.min <= self.initial <= self.max:
            raise ValueError(
                f"initial ({self.initial}) must lie between min ({self.min}) and max ({self.max}), ends included"
            )
        return self


class Engine(Frozen):
    """One vLLM engine and its replicas on a Ray cluster."""

    device: Literal["gpu", "cpu"] = "gpu"
    gpu: str | None = Field(default=None, description="GPU model, a name of catalogue/gpus.yaml; needed on gpu.")
    usd_per_gpu_hour: float | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="What an hour of one GPU costs here; default: the catalogue's for `gpu`.",
    )
    weights: str = Field(
        default="hub",
        description="`hub` downloads card.source; `tiny` builds a small random model of the same architecture; "
        "anything else is a local path or a hub id.",
    )
    tensor_parallel: int = Field(default=1, ge=1, le=64)
    pipeline_parallel: int = Field(default=1, ge=1, le=64)
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    quantization: Literal["fp8"] | None = None
    kv_cache_dtype: Literal["auto", "fp8"] = "auto"
    kv_cache_bytes: int | None = Field(default=None, gt=0, description="Per worker; needed on cpu, derived on gpu.")
    gpu_memory_utilization: float = Field(default=0.9, gt=0.1, le=0.98)
    max_model_len: int | None = Field(default=None, gt=0, description="Prompt and output tokens; default: the card's.")
    cpus_per_replica: float = Field(default=1, gt=0, le=512, description="Ray CPUs that a replica's actor reserves.")
    replicas: Replicas = Replicas()
    max_ongoing_requests: int = Field(default=256, gt=0, le=100_000, description="Per replica, before 429.")
    max_stream_s: PositiveSeconds = Field(default=3600, description="The longest answer: a replica drains this long.")
    stall_s: PositiveSeconds = Field(default=300, description="No engine step for so long with work waiting: hung.")
    start_timeout_s: PositiveSeconds = Field(default=1800, description="Weights loaded and first health check passed.")
    surge: bool = Field(default=False, description="On an upgrade start the new replica first: needs spare GPUs.")
    flags: dict[str, bool | int | float | str] = Field(default_factory=dict, description="Further `vllm serve` flags.")
    env: dict[EnvName, str] = Field(default_factory=dict, description="Environment of the replica's processes.")

    @field_validator("flags")
    @classmethod
    def _not_reserved(cls, flags: dict[str, bool | int | float | str]) -> dict[str, bool | int | float | str]:
        for name in flags:
            if name.startswith("-") or "_" in name:
                raise ValueError(f"{name!r}: write the flag as vLLM's help does, without dashes in front: 'seed'")
            if name in RESERVED_FLAGS:
                raise ValueError(f"{name!r} follows from {RESERVED_FLAGS[name]}: set it there")
        return flags

    @property
    def workers(self) -> int:
        """GPUs (or CPU workers) of one replica."""
        return self.tensor_parallel * self.pipeline_parallel


class Upstream(Frozen):
    """An OpenAI-compatible endpoint that others run: a model like the fleet's own, for overflow and comparison."""

    base_url: HttpUrl = Field(description="Up to and without /v1, e.g. https://api.example.com/openai")
    api_key_env: EnvName | None = Field(
        default=None,
        description="Environment variable that holds the key; the key itself never stands in a description.",
    )
    model: str | None = Field(default=None, description="The endpoint's name for the model; default: our id.")
    completions: bool = Field(default=True, description="Whether it serves /v1/completions.")
    responses: bool = Field(default=False, description="Whether it serves /v1/responses.")
    messages: bool = Field(default=False, description="Whether it serves /v1/messages.")

    @field_validator("base_url")
    @classmethod
    def _no_version(cls, url: str) -> str:
        url = url.rstrip("/")
        if url.endswith("/v1"):
            raise ValueError("leave /v1 out: it is added to each path")
        return url


class Cluster(Frozen):
    """A Ray cluster: where its HAProxy answers, and its dashboard (the API that deploys and scales)."""

    serve_url: HttpUrl = "http://127.0.0.1:8000"
    dashboard_url: HttpUrl = "http://127.0.0.1:8265"
    token_env: EnvName | None = Field(
        default=None, description="Environment variable with the token of Ray's dashboard (RAY_AUTH_MODE=token)."
    )
    token_file: str | None = Field(
        default=None,
        description="Absolute path of a file with that token, read before each call: secrets are renewed in place.",
    )
    rayservice: RayServiceRef | None = Field(
        default=None,
        description="The RayService whose active cluster this is, for the autoscaler (`autoscaling.kubernetes`): it "
        "finds the dashboard there in place of `dashboard_url`, and without token_env and token_file the token too.",
    )

    @model_validator(mode="after")
    def _one_token(self) -> Cluster:
        if self.token_env is not None and self.token_file is not None:
            raise ValueError("both token_env and token_file: give one of them")
        if self.token_file is not None and not self.token_file.startswith("/"):
            raise ValueError(f"token_file {self.token_file!r}: an absolute path")
        return self
