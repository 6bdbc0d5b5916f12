"""What a metric is: one object that whoever exports it makes the collector from, and whoever queries it the query."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Kind(StrEnum):
    """Prometheus' metric types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Unit(StrEnum):
    """Prometheus' base units; panels choose their scale from them."""

    COUNT = "count"
    SECONDS = "seconds"
    TIMESTAMP = "timestamp_seconds"  # since the epoch
    USD = "usd"
    TOKENS = "tokens"
    WORDS = "words"
    BYTES = "bytes"
    RATIO = "ratio"
    POINTS = "points"  # of the quality index, against the reference model


class Exporter(StrEnum):
    """Who exposes a metric, and on which scrape job it is found."""

    GATEWAY = "parlance-gateway"
    AUTOSCALER = "parlance-autoscaler"
    RAY = "ray"  # a node's metrics port: Ray itself, Ray Serve, and vLLM under `ray_vllm_`
    HAPROXY = "haproxy"
    KUBERAY = "kuberay"
    PROMETHEUS = "prometheus"  # whatever it scrapes: `up` has the scrape's job


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `name` follows Prometheus' conventions (base units; counters end in _total).

    `labels` are those that a query may use. Histograms that others export have no `buckets` here.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    exporter: Exporter = Exporter.GATEWAY
    unit: Unit = Unit.COUNT

    def __post_init__(self) -> None:
        ours = self.exporter in (Exporter.GATEWAY, Exporter.AUTOSCALER)
        if ours and (self.kind is Kind.HISTOGRAM) != bool(self.buckets):
            raise ValueError(f"{self.name}: buckets go with histograms")
        if ours and (self.kind is Kind.COUNTER) != self.name.endswith("_total"):
            raise ValueError(f"{self.name}: counters, and only they, end in _total")

    def counter(self, registry: CollectorRegistry) -> Counter:
        """Its collector in this registry. Raises ValueError where the registry has one of that name."""
        return Counter(self.name, self.help, self.labels, registry=registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        """Its collector in this registry. Raises ValueError where the registry has one of that name."""
        return Gauge(self.name, self.help, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """Its collector in this registry. Raises ValueError where the registry has one of that name."""
        return Histogram(self.name, self.help, self.labels, registry=registry, buckets=self.buckets)
