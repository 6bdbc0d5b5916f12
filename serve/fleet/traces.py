"""Where the gateway's traces go, and how many requests leave one."""

from __future__ import annotations

from pydantic import Field, field_validator

from serve.fleet.base import Frozen, HttpUrl


class Traces(Frozen):
    """OpenTelemetry traces of requests. Off unless an endpoint is given, here or by OTEL_EXPORTER_OTLP_ENDPOINT."""

    endpoint: HttpUrl | None = Field(
        default=None,
        description="Where OTLP over HTTP is taken, with its path: http://collector:4318/v1/traces. None: what "
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT says; neither: no traces.",
    )
    sample_ratio: float = Field(
        default=1, ge=0, le=1, description="Share of the requests without a caller's trace that leave one."
    )
    requests_per_s: float = Field(
        default=100,
        gt=0,
        le=100_000,
        description="Most requests a second and worker that leave a trace, those included that a caller marked as "
        "sampled: what traces cost is bounded, whatever callers send.",
    )
    trust_callers: bool = Field(
        default=True,
        description="Whether a caller's traceparent is continued, with its decision to sample. Off: every request "
        "starts a trace of its own that links to the caller's.",
    )
    queue_spans: int = Field(
        default=4096,
        ge=64,
        le=1_000_000,
        description="Spans that may wait for a collector, about 3 KB each; more are not made, and counted as lost.",
    )

    @field_validator("endpoint")
    @classmethod
    def _has_a_path(cls, value: str | None) -> str | None:
        if value is not None and "/" not in value.partition("://")[2].rstrip("/"):
            raise ValueError(
                f"{value} has no path, and OTLP over HTTP is taken at one: {value.rstrip('/')}/v1/traces is usual"
            )
        return value
