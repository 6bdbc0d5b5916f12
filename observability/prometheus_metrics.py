"""What Prometheus itself says of its scrapes: no exporter has these, every scrape job does."""

from __future__ import annotations

from observability.metric import Exporter, Kind, Metric

UP = Metric("up", Kind.GAUGE, "1 where the last scrape of a target succeeded.", exporter=Exporter.PROMETHEUS)

PROMETHEUS = (UP,)
